"""TRL's ``GRPOTrainer`` on DangerousTaxi, for ``algorithms.py``: the world through ``trl_environment``, a model that speaks its tool calls.

The model has the architecture and size of the others' policy, and a tokenizer of the same kind: constant parts of a conversation (the
description of the tool, the frame of a call and of an answer) are one token each, as theirs are. Its warm-up is supervised learning on
whole conversations of the oracle, loss on what the assistant says. A conversation holds all turns so far, as TRL's tool loop has it, so its
context is longer than a turn of the others.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from transformers import PreTrainedTokenizerFast, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils.chat_template_utils import get_json_schema
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from workbench.config import RunConfig, apply_overrides
from workbench.data.sets import IGNORED, Row
from workbench.data.splits import Splits
from workbench.envs.catalog import make_env
from workbench.models.language_model import LanguageModel
from workbench.models.loading import build_tiny
from workbench.models.tokenizer import train_tokenizer
from workbench.seeding import derived_seed, generator
from workbench.trainers.sft import prepare, train_segment
from workbench.trainers.trl_env import TextTool, trl_environment

END, START = "<|im_end|>", "<|im_start|>"
ANSWERED = f"{END}\n{START}user\n<tool_response>\n"
ASKED = f"\n</tool_response>{END}\n{START}assistant\n"
CALL, CALLED = '<tool_call>\n{"name": "act", "arguments": {"command": "', '"}}\n</tool_call>'
USER = "Play.\n"
LONGEST = 1024
"""Tokens of a conversation's turns; a trajectory of 20 turns has about 600."""
BETWEEN = 20
"""Steps of the warm-up between two judgements."""
WORLD = "taxi"


class TrlContestant:
    """One training by TRL; the score is kept as the others' is."""

    def __init__(self, root: Path, config: RunConfig, tasks: Splits, options: argparse.Namespace, score: Any, *, like: float) -> None:
        self.config, self.tasks, self.options, self.score = config, tasks, options, score
        plays = [oracle_play(task, options.stage) for task in tasks["train"]]
        self.tokenizer = conversation_tokenizer(plays, config.policy.tiny.vocab_size)
        size = config.policy.tiny.model_copy(update={"n_positions": 2 * LONGEST})
        model = build_tiny(size, self.tokenizer, seed=derived_seed(options.seed, "weights", "policy"))
        self.player = LanguageModel(model.eval(), self.tokenizer, adapter=None, name="tiny")
        self.root = root
        self._warm_up(plays, like)

    def run(self, between: Callable[[], object]) -> None:
        """Train to the target or the end of the budget; ``between`` is called after every step, off the clock."""
        settings = self.config.rl
        rows = [{"prompt": [{"role": "user", "content": USER}], "task": task, "stage": self.options.stage} for task in self.tasks["train"]]
        count = settings.trajectories_per_update
        # On by default in TRL, and renamed in newer transformers; the others keep their activations, too.
        checkpointing = (
            "activation_checkpointing" if "activation_checkpointing" in GRPOConfig.__dataclass_fields__ else "gradient_checkpointing"
        )
        renamed: dict[str, Any] = {checkpointing: False}
        arguments = GRPOConfig(
            str(self.root / "trl"),
            max_steps=100_000,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant",
            per_device_train_batch_size=count,
            num_generations=self.options.group_size,
            max_completion_length=LONGEST,
            temperature=1.0,
            beta=0.0,
            use_cpu=True,
            bf16=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=self.options.seed,
            **renamed,
        )
        trainer = GRPOTrainer(
            model=self.player.model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=self.tokenizer,
            environment_factory=self._factory(),
            callbacks=[_Clock(self, between)],
        )
        trainer.train()

    def evaluate(self) -> None:
        """Play validation tasks by the same kind of conversation, sampled; counted are those that the world calls solved."""
        self.player.activate()
        tasks = self.tasks["validation"]
        order = [tasks[place % len(tasks)] for place in range(self.options.trajectories)]
        won = self._play(order)
        self.score.judged(sum(won) / len(won), self.options.target)

    @torch.inference_mode()
    def _play(self, tasks: Sequence[str]) -> list[bool]:
        model: Any = self.player.model
        tools = [CountingTool(WORLD, {}, 0) for _ in tasks]
        texts = [opening(tool.reset(task=task, stage=self.options.stage), self.tokenizer) for tool, task in zip(tools, tasks, strict=True)]
        live = list(range(len(tasks)))
        stop = self.tokenizer.convert_tokens_to_ids(END)
        torch.manual_seed(derived_seed(self.options.seed, "validation", self.score.updates))
        while live:
            encoded = self.tokenizer(
                [texts[row] for row in live], padding=True, padding_side="left", return_tensors="pt", add_special_tokens=False
            )
            said = model.generate(
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                max_new_tokens=12,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                eos_token_id=stop,
                pad_token_id=self.tokenizer.pad_token_id,
            )[:, encoded["input_ids"].shape[1] :]
            going = []
            for row, ids in zip(live, said.tolist(), strict=True):
                text = str(self.tokenizer.decode(ids)).split(END)[0]
                command = text.removeprefix(CALL).removesuffix(CALLED)
                if text == f"{CALL}{command}{CALLED}" and not tools[row].is_over:
                    texts[row] += f"{text}{ANSWERED}{tools[row].act(command)}{ASKED}"
                    going.append(row)
            live = going
        return [tool.success for tool in tools]

    def _factory(self) -> Callable[[], TextTool]:
        made = 0
        trl_environment(WORLD)  # refuses what cannot be played

        def factory() -> TextTool:
            nonlocal made
            made += 1
            return CountingTool(WORLD, {}, made, on_turn=self._count)

        return factory

    def _count(self) -> None:
        self.score.turns += 1

    def _warm_up(self, plays: Sequence[tuple[str, list[tuple[str, str]]]], like: float) -> None:
        """Learn from the oracle's plays until the others' success before any update is reached; the last judgement counts as the first."""
        longest = max(1, self.options.trl_warm_up_steps)
        settings = apply_overrides(self.config, [f"sft_policy.max_steps={longest}", "sft_policy.per_device_train_batch_size=16"]).sft_policy
        rows, steps = [conversation_row(play, self.tokenizer) for play in plays], prepare(self.player, settings)
        started = time.perf_counter()
        for done in range(0, longest, BETWEEN):
            stop = min(done + BETWEEN, longest)
            train_segment(
                self.player,
                rows,
                steps,
                settings,
                start=done,
                stop=stop,
                seed=self.options.seed,
                on_log=lambda step, metrics: None,
                on_step=lambda step: False,
            )
            self.evaluate()
            if self.score.success[-1] >= like:
                break
        del self.score.success[:-1]
        print(f"TRL's model warmed up in {time.perf_counter() - started:.0f} s: {stop} steps", flush=True)


class CountingTool(TextTool):
    """The world as TRL plays it, whose turns are counted."""

    def __init__(self, name: str, options: dict[str, Any], seed: int, *, on_turn: Callable[[], None] = lambda: None) -> None:
        super().__init__(name, options, seed)
        self._on_turn = on_turn

    def act(self, command: str) -> str:
        """
        Carry out one command in the world.

        Args:
            command: One of the commands that can be done now.

        Returns:
            What is seen afterwards.
        """
        if not self._over:
            self._on_turn()
        return super().act(command)

    @property
    def is_over(self) -> bool:
        """Nothing can be done any more."""
        return self._over

    @property
    def success(self) -> bool:
        """What the world says."""
        return bool(self._env.success)


class _Clock(TrainerCallback):
    """Runs while TRL works, and stands while others take turns or it is judged."""

    def __init__(self, contestant: TrlContestant, between: Callable[[], object]) -> None:
        self.contestant = contestant
        self.between = between
        self.since = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.since = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        score, options = self.contestant.score, self.contestant.options
        score.seconds += time.perf_counter() - self.since
        score.updates += 1
        if score.updates % options.every == 0:
            self.contestant.evaluate()
            self.contestant.player.model.train()
        control.should_training_stop = score.is_over(options.budget)
        self.between()
        self.since = time.perf_counter()


def oracle_play(task: str, stage: str) -> tuple[str, list[tuple[str, str]]]:
    """What is seen first, then commands of the oracle and what is seen after each."""
    tool, env = TextTool(WORLD, {}, 0), make_env(WORLD)
    seen = tool.reset(task=task, stage=stage)
    env.reset(seed=0, options={"task": task, "stage": stage})
    return seen, [(command, tool.act(command)) for command in env.oracle() or ()]


def opening(seen: str, tokenizer: PreTrainedTokenizerFast) -> str:
    """The beginning of a conversation, up to where the assistant speaks, as TRL renders it."""
    messages = [{"role": "user", "content": USER + seen}]
    schema = get_json_schema(TextTool(WORLD, {}, 0).act)
    return str(tokenizer.apply_chat_template(messages, tools=[schema], tokenize=False, add_generation_prompt=True))


def conversation(play: tuple[str, list[tuple[str, str]]], tokenizer: PreTrainedTokenizerFast) -> list[tuple[str, bool]]:
    """Pieces of a whole conversation; True where the assistant speaks."""
    seen, turns = play
    pieces = [(opening(seen, tokenizer), False)]
    for command, after in turns:
        pieces += [(f"{CALL}{command}{CALLED}{END}", True), (f"{ANSWERED.removeprefix(END)}{after}{ASKED}", False)]
    return [*pieces, (f"Done.{END}", True)]


def conversation_row(play: tuple[str, list[tuple[str, str]]], tokenizer: PreTrainedTokenizerFast) -> Row:
    """Token ids, with loss on what the assistant says."""
    ids: list[int] = []
    labels: list[int] = []
    for text, is_said in conversation(play, tokenizer):
        own = tokenizer.encode(text, add_special_tokens=False)
        ids += own
        labels += own if is_said else [IGNORED] * len(own)
    return Row(ids, labels)


def conversation_tokenizer(plays: Sequence[tuple[str, list[tuple[str, str]]]], vocab_size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of the others' kind that speaks as Qwen 3 does, whose template TRL knows."""
    template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8")
    dice = generator(0, "texts")
    chosen = [plays[int(place)] for place in dice.permutation(len(plays))[:200]]
    texts = [text for seen, turns in chosen for text in (seen, *(part for turn in turns for part in turn), "Done.")]
    bare = train_tokenizer(texts, whole=[], vocab_size=vocab_size)
    bare.chat_template = template
    head = opening("", bare).partition(USER)[0].removeprefix(f"{START}system")
    statement = plays[0][0].partition("\n\n")[0]
    frames = [
        head,
        CALL,
        CALLED,
        ANSWERED.removeprefix(f"{END}"),
        ASKED.partition(END)[0],
        f"\n{START}assistant\n",
        USER + statement + "\n\n",
    ]
    tokenizer = train_tokenizer(texts, whole=frames, vocab_size=vocab_size)
    tokenizer.add_special_tokens({"additional_special_tokens": [START, END, "<tool_call>", "</tool_call>"]})
    tokenizer.chat_template = template
    tokenizer.eos_token = tokenizer.pad_token = END
    return tokenizer

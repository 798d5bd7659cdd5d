"""An RL iteration with reflection the way the published Reflect-RL code works, to measure ours against.

Written from facts about that code, not from the code. What makes it slow is theirs, not ours: every reflection is 100 sampled
tokens on a second model, since none ever learned to stop; ``generate`` keeps a cache within one call and nothing between calls;
logits are computed at every position of a prompt; trajectories go in lock-step, so the batch shrinks as they end; replayed
successes are a second update of their own. What does not belong to that way of working is given to it for free: the same models
trained in full (no adapters, no dropout), our environment, our prompts with their cached tokenisation, transformers' present
``generate`` (which keeps the logits of the last position only), a head of six rows for the policy, and no tensors kept after use.

It chooses commands but carries out those that ours chose in the same turn, so that both play the very same trajectories: what a
policy has learned, and how it reads reflections that ramble on, decides nothing here.
"""

import copy
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from workbench.envs.text_env import Info, TextEnv
from workbench.models.language_model import left_padded
from workbench.models.loading import Players
from workbench.prompts import Label, PromptBuilder, assign_labels
from workbench.records import Trajectory
from workbench.seeding import derived_seed

REFLECTION_TOKENS = 100
LEARNING_RATE, WEIGHT_DECAY, MAX_GRAD_NORM = 2e-4, 0.001, 0.3
REPLAY_CAPACITY = 50
NO_LIMIT = 1_000_000


@dataclass(slots=True)
class Sample:
    """One turn as an update needs it."""

    prompt: tuple[int, ...]
    label: int
    """Row of the policy's small head."""
    reward: float
    return_to_go: float = 0.0


@dataclass(slots=True)
class Spent:
    """Seconds of one iteration by part, and what it played."""

    reflect: float = 0.0
    act: float = 0.0
    env: float = 0.0
    update: float = 0.0
    turns: int = 0
    prompt_tokens: int = 0


@dataclass(slots=True)
class _Game:
    played: Trajectory
    env: TextEnv
    dice: np.random.Generator
    observation: str
    info: Info
    samples: list[Sample] = field(default_factory=list)
    over: bool = False


class ReferenceLoop:
    """Plays again and learns; copies both players, so that nothing is shared with whoever they came from.

    Args:
        players: Both with rotary positions: 100 tokens of reflection exceed a tiny model's trained context.
        make_env: Makes one environment.
        commands: How many commands every state has.
        mini_batch: Turns per forward and backward pass of the update.
        replayed: Successful trajectories that are learned from again in every iteration.
        seed: Of sampling.
    """

    def __init__(
        self, players: Players, make_env: Callable[[], TextEnv], *, commands: int, mini_batch: int, replayed: int, seed: int
    ) -> None:
        assert players.reflection is not None
        self.policy, self.reflection = copy.deepcopy(players.policy.model), copy.deepcopy(players.reflection.model)
        assert isinstance(self.policy, PreTrainedModel) and isinstance(self.reflection, PreTrainedModel)
        # A setting that a call leaves empty is taken from here.
        self.reflection.generation_config.eos_token_id = None
        self.generate: Callable[..., Tensor] = self.reflection.generate  # type: ignore[assignment]
        self.pad_id = players.policy.pad_id
        self.prompts = PromptBuilder(players.policy.tokenizer, NO_LIMIT)
        self.labels = self.prompts.labels[:commands]
        self.policy.lm_head = small_head(self.policy, self.labels)
        self.make_env = make_env
        self.mini_batch = mini_batch
        self.replayed = replayed
        self.optimizer = torch.optim.Adam(
            [value for value in self.policy.parameters() if value.requires_grad], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        self.replay: deque[list[Sample]] = deque(maxlen=REPLAY_CAPACITY)
        self.dice = np.random.default_rng(seed)
        torch.manual_seed(seed)

    def iterate(self, trajectories: Sequence[Trajectory]) -> Spent:
        """Play what ``trajectories`` played in lock-step, learn from all turns, then from replayed successes."""
        spent = Spent()
        games = [self._begin(trajectory) for trajectory in trajectories]
        while live := [game for game in games if not game.over]:
            self._turn(live, spent)
        started = time.perf_counter()
        for game in games:
            returns = np.cumsum([sample.reward for sample in game.samples][::-1])[::-1]
            for sample, value in zip(game.samples, returns, strict=True):
                sample.return_to_go = float(value)
        samples = [sample for game in games for sample in game.samples]
        self._train(samples)
        if self.replay and self.replayed:
            chosen = self.dice.integers(len(self.replay), size=self.replayed)
            self._train([sample for place in chosen for sample in self.replay[int(place)]])
        self.replay.extend(game.samples for game in games if game.info["success"])
        spent.update = time.perf_counter() - started
        spent.turns = len(samples)
        spent.prompt_tokens = sum(len(sample.prompt) for sample in samples)
        return spent

    def _begin(self, played: Trajectory) -> _Game:
        env = self.make_env()
        observation, info = env.reset(seed=derived_seed(played.seed, "env"), options={"task": played.task, "stage": played.stage})
        return _Game(played, env, np.random.default_rng(played.seed), observation, info)

    def _turn(self, games: Sequence[_Game], spent: Spent) -> None:
        started = time.perf_counter()
        reflections = self._reflect(games)
        reflected = time.perf_counter()
        shuffled = [assign_labels(self.labels, len(game.info["admissible_commands"]), game.dice) for game in games]
        prompts = [
            self.prompts.policy(game.info["task_statement"], game.observation, ids, game.info["admissible_commands"], own).token_ids
            for game, ids, own in zip(games, reflections, shuffled, strict=True)
        ]
        with torch.no_grad():
            torch.multinomial(self._log_probs(prompts).exp(), 1).tolist()
        acted = time.perf_counter()
        for game, prompt, own in zip(games, prompts, shuffled, strict=True):
            command = game.played.turns[len(game.samples)].command
            row = self.labels.index(own[game.info["admissible_commands"].index(command)])
            game.observation, reward, terminated, truncated, game.info = game.env.step(command)
            game.over = terminated or truncated
            game.samples.append(Sample(prompt, row, reward))
        spent.reflect += reflected - started
        spent.act += acted - reflected
        spent.env += time.perf_counter() - acted

    def _reflect(self, games: Sequence[_Game]) -> list[list[int]]:
        prompts = [self.prompts.reflection(game.info["task_statement"], game.observation).token_ids for game in games]
        batch = left_padded(prompts, self.pad_id, torch.device("cpu"))
        mask_BT = batch.mask_BT if batch.mask_BT is not None else torch.ones_like(batch.token_ids_BT)
        config = GenerationConfig(max_new_tokens=REFLECTION_TOKENS, do_sample=True, top_k=0, pad_token_id=self.pad_id)
        ids_BT = self.generate(batch.token_ids_BT, attention_mask=mask_BT, generation_config=config)
        answers: list[list[int]] = ids_BT[:, batch.token_ids_BT.shape[1] :].tolist()
        return answers

    def _log_probs(self, prompts: Sequence[tuple[int, ...]]) -> Tensor:
        """Log-probability of each label, nats, (B, labels), from logits at every position."""
        batch = left_padded(prompts, self.pad_id, torch.device("cpu"))
        output = self.policy(
            input_ids=batch.token_ids_BT, attention_mask=batch.mask_BT, position_ids=batch.positions_BT, use_cache=False, logits_to_keep=0
        )
        last_BK: Tensor = output.logits[:, -1]
        return last_BK.log_softmax(-1)

    def _train(self, samples: Sequence[Sample]) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        for start in range(0, len(samples), self.mini_batch):
            rows = samples[start : start + self.mini_batch]
            log_probs_NK = self._log_probs([row.prompt for row in rows])
            chosen_N = log_probs_NK.gather(1, torch.tensor([[row.label] for row in rows]))[:, 0]
            returns_N = torch.tensor([row.return_to_go for row in rows])
            torch.autograd.backward(-(returns_N * chosen_N).sum() / len(samples))
        nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_GRAD_NORM)
        self.optimizer.step()


def small_head(model: PreTrainedModel, labels: Sequence[Label]) -> nn.Linear:
    """The rows of the model's head that belong to ``labels``, as a frozen head of its own."""
    rows_KE = model.get_output_embeddings().weight[[label.token_id for label in labels]]
    head = nn.Linear(rows_KE.shape[1], len(labels), bias=False)
    head.weight = nn.Parameter(rows_KE.detach().clone(), requires_grad=False)
    return head

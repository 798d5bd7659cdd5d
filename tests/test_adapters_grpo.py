"""TRL's own trainer on a world of ours: its tool loop plays, its reward is the world's, and the weights follow."""

from pathlib import Path

import pytest

CALL = '<tool_call>\n{{"name": "act", "arguments": {{"command": "{command}"}}}}\n</tool_call><|im_end|>'


def chat_tokenizer():
    """A byte-level tokenizer that speaks as Qwen 3 does, whose template TRL knows."""
    import trl

    from tests.small_models import byte_level_tokenizer

    tokenizer = byte_level_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]})
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8")
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    return tokenizer


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_trls_own_trainer_takes_our_worlds(tmp_path, monkeypatch):
    """One step of GRPO on four plays of one task. What is said is set, as random weights call no tool; all the rest is TRL's."""
    import torch
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    from tests.small_models import small_model
    from workbench.trainers.trl_env import trl_environment

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    tokenizer = chat_tokenizer()
    model = small_model("qwen2", len(tokenizer))
    # Byte-level prompts are long, and TRL drops a tool's answer that would not fit; rotary positions have no table to grow.
    model.config.max_position_embeddings = 4096
    prompts: list[str] = []

    def generate(*, input_ids, **_):
        """Every other row picks the passenger up, the others drive on; after the tool has answered they stop."""
        prompts.extend(tokenizer.batch_decode(input_ids))
        called = ["<tool_response>" in text for text in prompts[-len(input_ids) :]]
        said = ["Done.<|im_end|>" if done else CALL.format(command=("pickup", "south")[row % 2]) for row, done in enumerate(called)]
        ids = tokenizer(said, padding=True, padding_side="right", return_tensors="pt")["input_ids"]
        return torch.cat([input_ids, ids], dim=1)

    monkeypatch.setattr(model, "generate", generate)
    settings = GRPOConfig(
        str(tmp_path),
        max_steps=1,
        learning_rate=1e-2,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=512,
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
    )
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": "Play. "}], "task": "r0c0-R-Y", "stage": "pickup"}])
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    trainer = GRPOTrainer(
        model=model, args=settings, train_dataset=rows, processing_class=tokenizer, environment_factory=trl_environment("taxi")
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    assert len(prompts) == 8
    assert all("Play. Drive the taxi" in text and "Commands: south, north" in text for text in prompts)
    assert ["It is over." in text for text in prompts] == [False] * 4 + [True, False] * 2
    assert logged["rewards/TextTool/mean"] == pytest.approx((0.95 - 0.05) / 2)
    assert (logged["tools/call_frequency"], logged["tools/failure_frequency"]) == (1.0, 0.0)
    assert logged["grad_norm"] > 0
    assert any(not torch.equal(before[name], weights) for name, weights in model.named_parameters())

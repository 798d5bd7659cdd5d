"""What a person without this library reads from a checkpoint: plain transformers and PEFT."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

from tests.small_models import ARCHITECTURES, save_small, taxi_tokenizer
from tests.test_models_loading import DECISIONS, config_for, probabilities, train
from workbench.models.loading import POLICY, REFLECTION, build_players
from workbench.trainers.checkpoint import save_checkpoint


def plain_probabilities(folder: str, base: str | None, prompts: list[list[int]], labels: list[int]) -> list[list[float]]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base or folder)
    if base is not None:
        model = PeftModel.from_pretrained(model, folder)
    model.eval()
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([prompt])).logits[0, -1] for prompt in prompts]
    return [one[labels].softmax(-1).tolist() for one in logits]


PROMPTS = [list(decision.prompt_token_ids) for decision in DECISIONS]
LABELS = list(DECISIONS[0].label_token_ids)


def checkpoint_of(players, tmp_path):
    train(players.policy, steps=1)
    train(players.reflection, steps=2)
    return save_checkpoint(tmp_path / "rl", 1, state={}, players={POLICY: players.policy, REFLECTION: players.reflection})


def assert_same(players, folder, base):
    for role, player in ((POLICY, players.policy), (REFLECTION, players.reflection)):
        found = np.array(plain_probabilities(str(folder / role), base, PROMPTS, LABELS))
        assert np.abs(found - probabilities(player)).max() < 1e-5
    assert np.abs(probabilities(players.policy) - probabilities(players.reflection)).max() > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_adapters_give_the_same_probabilities(architecture, tmp_path):
    base = save_small(tmp_path / "base", architecture)
    players = build_players(config_for(base), None)
    folder = checkpoint_of(players, tmp_path)
    assert_same(players, folder, str(base))


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_tiny_players_give_the_same_probabilities(architecture, tmp_path):
    tiny = {"architecture": architecture, "n_layer": 2, "n_embd": 32, "n_head": 2}
    players = build_players(config_for("tiny", tiny=tiny), taxi_tokenizer())
    assert_same(players, checkpoint_of(players, tmp_path), None)


def test_an_adapter_names_its_base_and_its_tokenizer_lies_beside_it(tmp_path):
    base = save_small(tmp_path / "base", "llama")
    players = build_players(config_for(base), None)
    folder = checkpoint_of(players, tmp_path) / POLICY
    model = AutoPeftModelForCausalLM.from_pretrained(str(folder)).eval()
    with torch.no_grad():
        found = model(input_ids=torch.tensor([PROMPTS[1]])).logits[0, -1, LABELS].softmax(-1).numpy()
    assert np.abs(found - probabilities(players.policy)[1]).max() < 1e-5
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    assert tokenizer.encode("Last command: 0\n") == players.policy.tokenizer.encode("Last command: 0\n")


@pytest.mark.slow
def test_a_process_that_never_imports_this_library_reads_them(tmp_path):
    base = save_small(tmp_path / "base", "mistral")
    players = build_players(config_for(base), None)
    folder = checkpoint_of(players, tmp_path) / POLICY
    code = "\n".join(
        [
            "import json, sys",
            "from typing import Any",
            inspect.getsource(plain_probabilities),
            "print(json.dumps(plain_probabilities(*json.loads(sys.argv[1]))))",
            "assert not any(name.split('.')[0] == 'workbench' for name in sys.modules)",
        ]
    )
    arguments = json.dumps([str(folder), str(base), PROMPTS, LABELS])
    done = subprocess.run([sys.executable, "-c", code, arguments], capture_output=True, text=True, check=True, cwd=Path(tmp_path))
    assert np.abs(np.array(json.loads(done.stdout)) - probabilities(players.policy)).max() < 1e-5

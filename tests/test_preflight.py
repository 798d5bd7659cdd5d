import pytest
import torch

from tests.small_models import byte_level_tokenizer, save_small, small_config
from workbench.config import apply_overrides, load_preset
from workbench.envs.catalog import make_env
from workbench.envs.text_env import Outcome, TextEnv
from workbench.errors import ConfigError, DataError, DeviceError, EnvError, ModelError, PromptError, WorkbenchError
from workbench.models.loading import load_tokenizer
from workbench.prompts import PromptBuilder
from workbench.recipes.preflight import preflight


def refused(kind, config, *overrides):
    with pytest.raises(kind) as caught:
        preflight(apply_overrides(config, overrides))
    message = str(caught.value)
    assert isinstance(caught.value, WorkbenchError) and "\n" not in message and len(message) < 500
    return message


@pytest.fixture(scope="module")
def smoke():
    return apply_overrides(load_preset("taxi-smoke"), ["device.device=cpu"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("models") / "gpt2", "gpt2")


@pytest.fixture(scope="module")
def cramped(tmp_path_factory):
    """A model whose context holds no taxi prompt."""
    folder = tmp_path_factory.mktemp("models") / "cramped"
    tokenizer = byte_level_tokenizer()
    config = small_config("gpt2", len(tokenizer))
    config.n_positions = 64
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class ManyCommands(TextEnv):
    """More commands than any tokenizer here has labels for."""

    name = "many"
    stages = ("all",)

    def tasks(self, stage):
        return tuple(f"task-{number}" for number in range(20))

    def _begin(self, task, stage):
        pass

    def _act(self, command):
        return Outcome(0.0, terminated=True)

    def observe(self):
        return "Choose well."

    def admissible_commands(self):
        return tuple(f"command {number}" for number in range(100))

    def state_key(self):
        return self.task

    def task_statement(self):
        return "Choose."


class FreeText(ManyCommands):
    """Takes any answer."""

    def _info(self):
        return {key: value for key, value in super()._info().items() if key != "admissible_commands"}


class NeverBegins(ManyCommands):
    """Breaks at once."""

    def _begin(self, task, stage):
        raise ZeroDivisionError("no bridge")


class NoTasks(ManyCommands):
    """Breaks when its tasks are asked for."""

    def task_group(self, task):
        raise KeyError(task)


MANY = "env.name=tests.test_preflight:ManyCommands"


@pytest.mark.parametrize("preset", ["taxi-smoke", "taxi-quickstart"])
def test_what_is_shipped_passes(preset):
    preflight(apply_overrides(load_preset(preset), ["device.device=cpu"]))


def test_a_local_model_passes_in_every_way_it_can_be_used(smoke, folder, cramped):
    for overrides in (
        [],
        ["reflection.kind=none"],
        ["reflection.kind=oracle"],
        ["reflection.kind=shuffled"],
        [f"reflection.model={folder}"],
        ["reflection.model=tiny"],
        # A model that nobody uses is not asked for.
        ["reflection.kind=none", f"reflection.model={cramped}"],
        ["reflection.kind=oracle", "reflection.model=/nowhere"],
    ):
        preflight(apply_overrides(smoke, [f"policy.model={folder}", *overrides]))


def test_a_model_that_is_not_there(smoke, folder):
    assert "no config.json" in refused(ModelError, smoke, "policy.model=./nowhere")
    assert "no config.json" in refused(ModelError, smoke, f"policy.model={folder}", "reflection.model=./nowhere")
    assert "no config.json" in refused(ModelError, smoke, "reflection.model=./nowhere")


def test_devices(smoke, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in refused(DeviceError, smoke, "device.device=cuda")
    assert "no CUDA device" in refused(DeviceError, smoke, "device.device=cuda:9")
    for bits in ("8bit", "4bit"):
        assert f"policy.load_in_{bits} needs a CUDA device" in refused(DeviceError, smoke, f"policy.load_in_{bits}=true")


def test_a_prompt_longer_than_the_context(smoke, cramped, folder):
    message = refused(PromptError, smoke, f"policy.model={cramped}")
    assert str(cramped) in message and "its context is 64" in message and "longer context" in message
    message = refused(PromptError, smoke, f"policy.model={folder}", "reflection.max_new_tokens=500")
    assert "its context is 512" in message and "smaller reflection.max_new_tokens" in message
    assert "its context is 64" in refused(PromptError, smoke, f"policy.model={folder}", f"reflection.model={cramped}")
    assert "its context is 32" in refused(PromptError, smoke, "policy.tiny.n_positions=32")


@pytest.fixture(scope="module")
def taxi_prompt(folder, smoke):
    """A taxi prompt of this model as a function of the room it has, with the longest reflection there may be."""
    observation, info = make_env("taxi").reset(seed=smoke.seed)
    tokenizer = load_tokenizer(str(folder))

    def build(max_tokens, text=observation):
        builder = PromptBuilder(tokenizer, max_tokens)
        said = [5] * smoke.reflection.max_new_tokens
        return builder.policy(info["task_statement"], text, said, info["admissible_commands"], builder.labels[:6])

    return build


def test_a_context_that_holds_a_whole_prompt_and_its_label_is_enough(smoke, taxi_prompt, tmp_path):
    needed = len(taxi_prompt(10_000).token_ids) + 1
    tokenizer = byte_level_tokenizer(bos=True)
    for context in (needed - 1, needed):
        config = small_config("gpt2", len(tokenizer))
        config.n_positions = context
        config.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        assert taxi_prompt(context - 1).was_cut == (context < needed)
        if context < needed:
            assert f"up to {needed} tokens" in refused(PromptError, smoke, f"policy.model={tmp_path}")
        else:
            preflight(apply_overrides(smoke, [f"policy.model={tmp_path}"]))


def test_observations_may_be_shortened_where_that_is_asked_for(smoke, folder, taxi_prompt):
    least = len(taxi_prompt(10_000, text="").token_ids)
    preflight(apply_overrides(smoke, [f"policy.model={folder}", f"policy.max_prompt_tokens={least}"]))
    assert taxi_prompt(least).was_cut
    message = refused(PromptError, smoke, f"policy.model={folder}", f"policy.max_prompt_tokens={least - 1}")
    assert f"needs {least} tokens besides its observation" in message and f"policy.max_prompt_tokens is {least - 1}" in message


def test_too_few_labels(smoke, folder):
    phases = "phases=[rl, evaluate]"
    message = refused(PromptError, smoke, f"policy.model={folder}", MANY, phases, "curriculum.kind=none")
    assert "single-token labels" in message and "100 commands" in message and "use another model" in message


def test_what_the_environment_cannot_give(smoke):
    assert "taxi" in refused(EnvError, smoke, "env.name=taxy")
    assert "oracle" in refused(DataError, smoke, MANY, "curriculum.kind=none")
    preflight(apply_overrides(smoke, [MANY, "curriculum.kind=none", "phases=[rl, evaluate]"]))
    assert "oracle" in refused(DataError, smoke, MANY, "curriculum.kind=none", "phases=[rl, evaluate]", "reflection.kind=oracle")
    assert "stage" in refused(ConfigError, smoke, "curriculum.stages=[pickup, flying]")
    message = refused(ConfigError, smoke, "data.test_share=0", "evaluation.split=test")
    assert "data.test_share" in message and "evaluation.split=all" in message


@pytest.mark.parametrize("model", ["tiny", None])
def test_a_world_of_ones_own_that_cannot_be_played_is_told_before_a_run_exists(smoke, folder, model):
    settings = [f"policy.model={model or folder}", "curriculum.kind=none", "phases=[rl, evaluate]"]
    message = refused(EnvError, smoke, *settings, "env.name=tests.test_preflight:FreeText")
    assert "'many' lists no admissible commands" in message
    message = refused(EnvError, smoke, *settings, "env.name=tests.test_preflight:NeverBegins")
    assert "first trajectory of many (seed 0): the environment broke (ZeroDivisionError: no bridge)" in message
    message = refused(EnvError, smoke, *settings, "env.name=tests.test_preflight:NoTasks")
    assert "tasks of many: the environment broke (KeyError: 'task-0')" in message


def test_preflight_draws_no_dice(smoke):
    before = torch.random.get_rng_state()
    preflight(smoke)
    assert torch.equal(torch.random.get_rng_state(), before)

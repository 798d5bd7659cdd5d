from importlib import resources
from pathlib import Path

import pytest
import yaml

from workbench.config import (
    PHASES,
    RunConfig,
    apply_overrides,
    dump_config,
    load_config,
    load_preset,
    preset_names,
    section_keys,
    validated,
)
from workbench.errors import ConfigError, WorkbenchError, nearest


def set_error(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        apply_overrides(RunConfig(), overrides)
    return one_line(caught.value)


def file_error(folder: Path, text: str | bytes) -> str:
    path = folder / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = one_line(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def one_line(error: WorkbenchError) -> str:
    message = str(error)
    assert message and "\n" not in message
    return message


# Presets --------------------------------------------------------------------------------------------------


def test_there_are_presets_and_the_smoke_one_is_among_them():
    names = preset_names()
    assert "taxi-smoke" in names
    assert names == sorted(set(names))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_describes_itself_and_knows_its_name(name):
    config = load_preset(name)
    assert config.preset == name
    assert config.description and "\n" not in config.description


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_plain_yaml_without_its_own_name(name):
    values = yaml.safe_load((resources.files("workbench") / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    assert "preset" not in values, "the file's name is the preset's name"


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        load_preset("taxi-smok")
    assert one_line(caught.value).startswith("unknown preset 'taxi-smok'; did you mean 'taxi-smoke'")


def test_an_unknown_preset_near_to_none_is_answered_with_all():
    with pytest.raises(ConfigError) as caught:
        load_preset("zzzzzzzzzzzz")
    assert one_line(caught.value) == "unknown preset 'zzzzzzzzzzzz'; known: " + ", ".join(preset_names())


@pytest.mark.parametrize("name", ["../presets/taxi-smoke", "taxi-smoke.yaml", "", "/etc/passwd"])
def test_a_preset_is_a_name_never_a_path(name):
    with pytest.raises(ConfigError, match="unknown preset"):
        load_preset(name)


# Files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", preset_names())
def test_a_dumped_preset_loads_back_equal(name, tmp_path):
    config = load_preset(name)
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config


def test_a_dump_holds_every_setting_and_survives_unusual_values(tmp_path):
    config = apply_overrides(
        RunConfig(),
        [
            "description='Grüße: ''quoted'', #5'",
            "sft_policy.learning_rate=1e-7",
            "policy.lora.lora_target_modules=[q_proj, v_proj]",
            "env.options={size: 3, name: null, deep: {rate: 1.0e-7, flag: true}}",
            "data.behaviours=[{share: 2, random: 0.5, safe: false}]",
        ],
    )
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
    assert list(yaml.safe_load(path.read_text(encoding="utf-8"))) == section_keys(())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.yaml")
    assert "none.yaml: cannot be read as a configuration" in one_line(caught.value)


def test_a_folder_is_not_a_configuration(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert "cannot be read as a configuration" in one_line(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [1, 2", "cannot be read as a configuration: "),
        (b"\xff\xfe\x00", "cannot be read as a configuration: "),
        ("- a\n- b\n", "expected settings as `key: value` lines, found list"),
        ("", "expected settings as `key: value` lines, found NoneType"),
        ("seeds: 3\n", "unknown setting 'seeds'; did you mean 'seed'"),
        ("rl:\n  max_step: 3\n", "unknown setting 'rl.max_step'; did you mean 'max_steps'"),
        ("policy:\n  tiny:\n    layers: 2\n", "unknown setting 'policy.tiny.layers'; "),
        ("rl:\n  replay:\n    capacitiy: 2\n", "unknown setting 'rl.replay.capacitiy'; did you mean 'capacity'?"),
        ("data:\n  behaviours: [{shar: 1}]\n", "unknown setting 'data.behaviours.0.shar'; did you mean 'share'"),
        ("rl: 3\n", "rl: "),
        ("seed: many\n", "seed: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(text, message, tmp_path):
    assert file_error(tmp_path, text).startswith(message)


def test_a_file_cannot_build_python_objects(tmp_path):
    assert "cannot be read as a configuration" in file_error(tmp_path, "seed: !!python/object/apply:os.getcwd []\n")


# Values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override, message",
    [
        ("seed=-1", "--set: seed: Input should be greater than or equal to 0, found -1"),
        ("seed=1.5", "--set: seed: "),
        ("seed=many", "--set: seed: Input should be a valid integer"),
        ("description=", "--set: description: Input should be a valid string, found None"),
        ("rl.max_steps=0", "--set: rl.max_steps: Input should be greater than or equal to 1, found 0"),
        ("rl.gamma=1.01", "--set: rl.gamma: Input should be less than or equal to 1, found 1.01"),
        ("rl.gamma=0", "--set: rl.gamma: Input should be greater than 0, found 0"),
        ("rl.gamma=.nan", "--set: rl.gamma: "),
        ("sft_policy.learning_rate=.inf", "--set: sft_policy.learning_rate: "),
        ("sft_policy.learning_rate=fast", "--set: sft_policy.learning_rate: Input should be a valid number"),
        (
            "reflection.kind=modle",
            "--set: reflection.kind: Input should be 'model', 'endpoint', 'oracle', 'shuffled' or 'none', found 'modle'",
        ),
        ("device.device=gpu", "--set: device.device: String should match pattern"),
        ("policy.tiny.n_embd=130", "--set: policy.tiny: n_embd=130 is not a multiple of n_head=4"),
        (
            "rl={algorithm: grpo, group_size: 6}",
            "--set: rl: algorithm=grpo plays groups of group_size=6, and trajectories_per_update=64 is not a multiple of it",
        ),
        ("phases=[]", "--set: phases: List should have at least 1 item"),
        ("phases=[rl, dance]", "--set: phases.1: Input should be 'generate'"),
        ("phases=[rl, generate]", "--set: phases ['rl', 'generate'] must follow the order ['generate', "),
        ("phases=[rl, rl]", "--set: phases ['rl', 'rl'] must follow the order ['generate', "),
        ("data.behaviours=[]", "--set: data.behaviours: List should have at least 1 item"),
        ("env.options=3", "--set: env.options: Input should be a valid dictionary, found 3"),
        ("policy=tiny", "--set: policy: Input should be"),
    ],
)
def test_a_refused_value_names_setting_rule_and_what_was_found(override, message):
    assert set_error(override).startswith(message)


def test_two_quantisations_at_once_are_refused():
    assert "load_in_8bit and load_in_4bit are both set; choose one" in set_error("policy.load_in_8bit=true", "policy.load_in_4bit=true")


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:11"])
def test_devices_that_can_be_named(device):
    assert apply_overrides(RunConfig(), [f"device.device={device}"]).device.device == device


def test_validated_says_where_the_values_came_from():
    with pytest.raises(ConfigError, match=r"^the form: seed: "):
        validated({"seed": -1}, source="the form")


def test_a_configuration_cannot_be_changed_in_place():
    config = RunConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
    assert config.seed == 0


def test_two_default_configurations_share_no_list():
    RunConfig().phases.append("rl")
    assert RunConfig().phases == list(PHASES)


# --set ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, value", [("1e-3", 0.001), ("1E-3", 0.001), ("0.001", 0.001), (" 1e-3", 0.001), ("1", 1.0)])
def test_a_number_may_be_written_in_any_usual_form(text, value):
    assert apply_overrides(RunConfig(), [f"rl.learning_rate={text}"]).rl.learning_rate == value


@pytest.mark.parametrize(
    "override, path, value",
    [
        ("seed=7", ("seed",), 7),
        ("rl.replay.capacity=0", ("rl", "replay", "capacity"), 0),
        ("rl.whiten_advantages=false", ("rl", "whiten_advantages"), False),
        ("policy.model=gpt2-xl", ("policy", "model"), "gpt2-xl"),
        ("policy.model=./a=b", ("policy", "model"), "./a=b"),
        ("reflection.model=null", ("reflection", "model"), None),
        ("description=''", ("description",), ""),
        ("description='1e-3'", ("description",), "1e-3"),
        ("curriculum.stages=[pickup, full]", ("curriculum", "stages"), ["pickup", "full"]),
        (" rl.max_steps =3", ("rl", "max_steps"), 3),
        ("data.negatives=0", ("data", "negatives"), 0),
    ],
)
def test_an_override_reaches_its_setting(override, path, value):
    node = apply_overrides(RunConfig(), [override])
    for part in path:
        node = getattr(node, part)
    assert node == value


def test_overrides_leave_everything_else_and_the_original_alone():
    before = RunConfig()
    after = apply_overrides(before, ["rl.max_steps=3", "rl.gamma=0.9", "rl.max_steps=4"])
    assert before == RunConfig()
    assert after.model_dump() == {**before.model_dump(), "rl": {**before.rl.model_dump(), "max_steps": 4, "gamma": 0.9}}


def test_environment_options_take_any_key():
    config = apply_overrides(RunConfig(), ["env.options.horizon=30", "env.options.colour=red"])
    assert config.env.options == {"horizon": 30, "colour": "red"}


@pytest.mark.parametrize(
    "override, message",
    [
        ("seed", "--set 'seed' is not of the form a.b=value"),
        ("=3", "--set '=3' is not of the form a.b=value"),
        ("", "--set '' is not of the form a.b=value"),
        ("sed=3", "--set: unknown setting 'sed'; did you mean 'seed'?"),
        ("rl.gama=1", "--set: unknown setting 'rl.gama'; did you mean 'gamma'"),
        ("rll.gamma=1", "--set: unknown setting 'rll'; did you mean 'rl'"),
        ("rl.replay.size=1", "--set: unknown setting 'rl.replay.size'; known: capacity, "),
        ("seed.value=1", "--set: unknown setting 'seed'"),
        ("rl..gamma=1", "--set: unknown setting 'rl.'"),
        ("env.optoins.horizon=3", "--set: unknown setting 'env.optoins'; did you mean 'options'"),
        ("seed=[1", "--set seed: the value '[1' is not valid YAML"),
    ],
)
def test_an_override_that_names_nothing_is_answered_with_the_nearest(override, message):
    assert set_error(override).startswith(message)


# Errors ---------------------------------------------------------------------------------------------------


def test_a_configuration_error_can_be_caught_as_either():
    assert issubclass(ConfigError, WorkbenchError)
    assert issubclass(ConfigError, ValueError)


def test_nearest_names_the_close_ones_or_all():
    assert nearest("seeed", ["seed", "rl"]) == "did you mean 'seed'?"
    assert nearest("qqq", ["b", "a"]) == "known: a, b"

"""What a person is told when a model cannot be had: one line each, at once."""

import json
import time

import pytest
import torch

from tests.small_models import save_small, small_config, small_model, word_start_tokenizer
from tests.test_models_loading import config_for
from workbench.config import DeviceConfig
from workbench.errors import DeviceError, ModelError, WorkbenchError
from workbench.models import sources
from workbench.models.loading import build_players, context_of, load_base, load_tokenizer, resolve_device
from workbench.models.sources import locate


def message(kind, action, *arguments):
    with pytest.raises(kind) as caught:
        action(*arguments)
    text = str(caught.value)
    assert isinstance(caught.value, WorkbenchError)
    assert "\n" not in text and len(text) < 500
    return text


@pytest.fixture
def small(tmp_path):
    return save_small(tmp_path / "model", "llama")


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A hub that cannot be reached, and nothing downloaded before."""

    class Counter:
        asked = 0

    def refuse(*args, **kwargs):
        Counter.asked += 1
        raise ConnectionError("[Errno -2] Name or service not known")

    monkeypatch.setattr(sources, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(sources, "try_to_load_from_cache", lambda *args: None)
    return Counter


@pytest.mark.parametrize("action", [load_tokenizer, context_of, locate])
def test_a_model_that_is_not_there_and_no_network(no_network, action):
    started = time.perf_counter()
    text = message(ModelError, action, "nobody/no-such-model")
    assert time.perf_counter() - started < 2  # the hub's own retries take half a minute
    assert no_network.asked == 1
    assert "'nobody/no-such-model'" in text and "Name or service not known" in text
    assert "check the name and the network" in text and "local folder" in text


def test_the_whole_way_to_players_without_network(no_network):
    assert "cannot be loaded" in message(ModelError, build_players, config_for("nobody/no-such-model"), None)


def test_the_hub_is_asked_without_retries(monkeypatch):
    # The real client against a port where nobody listens: refused at once, and not five times over.
    monkeypatch.setattr(sources, "hf_hub_url", lambda name, file: f"http://127.0.0.1:9/{name}/resolve/main/{file}")
    started = time.perf_counter()
    message(ModelError, locate, "nobody/no-such-model")
    assert time.perf_counter() - started < 5


def test_a_model_in_the_hubs_cache_needs_no_network(no_network, monkeypatch, small):
    monkeypatch.setattr(sources, "try_to_load_from_cache", lambda *args: str(small / "config.json"))
    assert locate("nobody/downloaded").path == "nobody/downloaded"
    assert no_network.asked == 0


@pytest.mark.parametrize("name", ["a/b/c", "white space", "-x/y", "x" * 200])
def test_names_that_no_model_can_have(name):
    assert "check the name" in message(ModelError, load_tokenizer, name)


def test_no_name_at_all():
    assert "''" in message(ModelError, load_tokenizer, "")


def test_a_folder_without_a_model(tmp_path):
    for name in (str(tmp_path), str(tmp_path / "nowhere"), "./nowhere", "~nobody/model", "~/nowhere-at-all"):
        text = message(ModelError, load_tokenizer, name)
        assert name in text and "no config.json" in text and "save_pretrained" in text


def test_damaged_files_of_a_model(small):
    settings, cpu = config_for(small).policy, torch.device("cpu")
    whole = {path.name: path.read_bytes() for path in small.iterdir()}
    for name, content in (
        ("model.safetensors", whole["model.safetensors"][:-20]),
        ("model.safetensors", b"{}"),
        ("tokenizer.json", b"{ not json"),
        ("tokenizer.json", b'{"model": 3}'),
        ("config.json", b"[]"),
        ("config.json", b'{"model_type": "no-such-type"}'),
        ("config.json", b"\xff\xfe"),
    ):
        (small / name).write_bytes(content)
        assert str(small) in message(ModelError, load_base, str(small), settings, cpu, torch.float32)
        (small / name).write_bytes(whole[name])
    (small / "model.safetensors").unlink()
    message(ModelError, load_base, str(small), settings, cpu, torch.float32)


def test_pickled_weights_are_not_read(small):
    state = {name: value.clone() for name, value in small_model("llama", 500).state_dict().items()}
    (small / "model.safetensors").unlink()
    torch.save(state, small / "pytorch_model.bin")
    message(ModelError, load_base, str(small), config_for(small).policy, torch.device("cpu"), torch.float32)


def test_code_of_a_models_author_is_not_run_and_nobody_is_asked(small):
    config = json.loads((small / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Theirs", "AutoModelForCausalLM": "theirs.Model"}}
    (small / "config.json").write_text(json.dumps(config))
    (small / "theirs.py").write_text(f"open({str(small / 'ran')!r}, 'w')\n")
    started = time.perf_counter()
    message(ModelError, context_of, str(small))
    message(ModelError, load_base, str(small), config_for(small).policy, torch.device("cpu"), torch.float32)
    assert not (small / "ran").exists()
    assert time.perf_counter() - started < 5  # transformers would wait 15 seconds for an answer


def test_weights_that_lack_a_layer(small, tmp_path):
    tokenizer = load_tokenizer(str(small))
    shallow = small_model("llama", len(tokenizer))
    deep = small_config("llama", len(tokenizer))
    deep.num_hidden_layers = 3
    shallow.save_pretrained(small)
    deep.save_pretrained(small)
    text = message(ModelError, load_base, str(small), config_for(small).policy, torch.device("cpu"), torch.float32)
    assert "lack" in text and "layers.2" in text


def test_a_tokenizer_without_an_end(small):
    tokenizer = word_start_tokenizer()
    tokenizer.eos_token = None
    tokenizer.save_pretrained(small)
    text = message(ModelError, load_tokenizer, str(small))
    assert "no end-of-text token" in text and "use another model" in text


def test_tiny_without_its_tokenizer():
    assert "generate phase" in message(ModelError, build_players, config_for("tiny"), None)


def test_layers_that_a_model_does_not_have(small):
    config = config_for(small, lora={"lora_target_modules": ["c_attn"]})
    text = message(ModelError, build_players, config, None)
    assert "policy.lora.lora_target_modules" in text and "c_attn" in text


# Devices -------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda_devices(monkeypatch):
    def pretend(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:9"])
def test_cuda_asked_for_and_absent(cuda_devices, name):
    cuda_devices(0)
    text = message(DeviceError, resolve_device, DeviceConfig(device=name))
    assert f"device.device={name}" in text and "no CUDA device" in text and "--set device.device=cpu" in text


def test_a_device_beyond_the_last(cuda_devices):
    cuda_devices(2)
    assert resolve_device(DeviceConfig(device="cuda:1"))[0] == torch.device("cuda:1")
    text = message(DeviceError, resolve_device, DeviceConfig(device="cuda:9"))
    assert "cuda:9" in text and "2 CUDA device(s)" in text


def test_devices_and_precisions_chosen_by_themselves(cuda_devices):
    cuda_devices(0)
    assert resolve_device(DeviceConfig()) == (torch.device("cpu"), torch.float32)
    assert resolve_device(DeviceConfig(dtype="bfloat16")) == (torch.device("cpu"), torch.bfloat16)
    cuda_devices(1)
    assert resolve_device(DeviceConfig()) == (torch.device("cuda"), torch.bfloat16)
    assert resolve_device(DeviceConfig(device="cpu")) == (torch.device("cpu"), torch.float32)
    assert resolve_device(DeviceConfig(device="cuda", dtype="float32")) == (torch.device("cuda"), torch.float32)


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_quantised_weights_without_cuda(small, bits):
    text = message(DeviceError, build_players, config_for(small, **{f"load_in_{bits}": True}), None)
    assert f"policy.load_in_{bits}" in text and "found cpu" in text and f"--set policy.load_in_{bits}=false" in text

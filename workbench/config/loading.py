"""Reading, overriding and writing configurations; what is wrong with one is told in a line."""

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from workbench.config.data import Behaviour
from workbench.config.run import RunConfig
from workbench.errors import ConfigError, nearest


def validated(values: Mapping[str, Any], *, source: str) -> RunConfig:
    """Build a :class:`RunConfig`, turning pydantic's report into one line.

    Raises:
        ConfigError: A key is unknown, or a value has the wrong type or lies outside its range.
    """
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = section_keys(problem["loc"][:-1])
        return f"unknown setting {key!r}; {nearest(str(problem['loc'][-1]), known)}"
    # Of a rule about a whole section the values are many; an address may hold a password, and a key may stand where its name should.
    secret = key.endswith(("base_url", "api_key_env"))
    untold = problem["type"] == "missing" or isinstance(problem["input"], Mapping) or secret
    found = "" if untold else f", found {redacted(repr(problem['input']))}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}{found}" if key else f"{message}"


def redacted(text: str) -> str:
    """``text`` without what stands before an ``@`` or behind an address's ``?`` or ``#``: passwords, keys.

    Example:
        >>> redacted("http://me:word@host/v1?key=1")
        '***@host/v1?***'
    """

    def bare(address: re.Match[str]) -> str:
        _, at, after = address[0].rpartition("@")
        return ("***@" if at else "") + re.sub(r"(?<=[?#]).+", "***", after)

    return re.sub(r"[^\s'\"]*(?:@|//)[^\s'\"]*", bare, text)


def section_keys(path: Iterable[int | str]) -> list[str]:
    """Names of the settings below ``path`` in the schema, for error messages and forms."""
    model: Any = RunConfig
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field is not None else Behaviour
    return list(getattr(model, "model_fields", {}))


def apply_overrides(config: RunConfig, overrides: Iterable[str]) -> RunConfig:
    """Return ``config`` with ``a.b=c`` strings applied; each value is read as YAML.

    Raises:
        ConfigError: An override has no ``=``, names no setting, or its value is refused.
    """
    values = config.model_dump()
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {redacted(repr(override))} is not of the form a.b=value")
        _set_path(values, key.strip().split("."), _yaml_value(text, key))
    return validated(values, source="--set")


def _yaml_value(text: str, key: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: the value {redacted(repr(text))} is not valid YAML") from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            return float(text)  # not the value: quotes keep a number a word
        except ValueError:
            return value
    return value


def _set_path(values: dict[str, Any], path: list[str], value: Any) -> None:
    node = values
    for depth, part in enumerate(path[:-1]):
        if not isinstance(node.get(part), dict):
            where = ".".join(path[: depth + 1])
            raise ConfigError(f"--set: unknown setting {where!r}; {nearest(part, node)}")
        node = node[part]
    # Free dictionaries (env.options) take any key; sections only those they declare.
    if path[-1] not in node and path[:-1] != ["env", "options"]:
        raise ConfigError(f"--set: unknown setting {'.'.join(path)!r}; {nearest(path[-1], node)}")
    node[path[-1]] = value


def preset_names() -> list[str]:
    """Names of the ready configurations, sorted."""
    folder = resources.files("workbench") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name: str) -> RunConfig:
    """Read a ready configuration by name.

    Raises:
        ConfigError: No preset has that name.
    """
    if name not in preset_names():
        raise ConfigError(f"unknown preset {name!r}; {nearest(name, preset_names())}")
    text = (resources.files("workbench") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return validated({**yaml.safe_load(text), "preset": name}, source=f"preset {name}")


def load_config(path: Path) -> RunConfig:
    """Read a configuration file written by hand or found in a run folder.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not validate.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as a configuration: {reason}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected settings as `key: value` lines, found {type(values).__name__}")
    return validated(values, source=str(path))


def dump_config(config: RunConfig) -> str:
    """The whole resolved configuration as YAML; ``load_config`` reads it back to an equal object."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)

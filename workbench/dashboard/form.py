"""A form made from the configuration's schema: every field of every section, with its default, range and help. Nothing is typed twice."""

import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
import streamlit as st
import yaml
from pydantic.fields import FieldInfo

from workbench.config import RunConfig, Section

GENERAL = "general"
"""Group of the settings that stand in no section."""
_LEFT_OUT = ("preset", "description")
"""What a configuration is called, not what it does."""


class Setting(NamedTuple):
    """One field of the schema."""

    key: str
    """As ``--set`` names it: ``rl.learning_rate``."""
    group: str
    """The section at the top that it belongs to."""
    info: FieldInfo

    @property
    def label(self) -> str:
        """What stands beside its field: its place within the group."""
        return self.key.removeprefix(f"{self.group}.").replace(".", ": ").replace("_", " ")


def settings(model: type[Section] = RunConfig, prefix: str = "", group: str = "") -> Iterator[Setting]:
    """Every setting of the schema in its order, sections taken apart."""
    for name, info in model.model_fields.items():
        if not prefix and name in _LEFT_OUT:
            continue
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield from settings(section, f"{prefix}{name}.", group or name)
        else:
            yield Setting(f"{prefix}{name}", group or GENERAL, info)


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """The value of ``a.b.c`` in nested dictionaries."""
    node: Any = values
    for part in key.split("."):
        node = node[part]
    return node


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """Least and greatest value of a number as its field declares them; a bound that is itself excluded counts as one."""
    low: float | None = None
    high: float | None = None
    for rule in info.metadata:
        if isinstance(rule, (annotated_types.Ge, annotated_types.Gt)):
            low = rule.ge if isinstance(rule, annotated_types.Ge) else rule.gt  # type: ignore[assignment]
        if isinstance(rule, (annotated_types.Le, annotated_types.Lt)):
            high = rule.le if isinstance(rule, annotated_types.Le) else rule.lt  # type: ignore[assignment]
    return low, high


def help_text(setting: Setting, default: Any) -> str:
    """What a setting does, what it may be, what it is here unless changed, and how the command line calls it."""
    low, high = bounds(setting.info)
    words = [setting.info.description or "", f"`--set {setting.key}=…`", f"Here: `{written(default)}`"]
    if low is not None or high is not None:
        words.append(f"From {low:g}" if high is None else f"Up to {high:g}" if low is None else f"From {low:g} to {high:g}")
    return "  \n".join(word for word in words if word)


def written(value: Any) -> str:
    """A value as ``--set`` reads it: one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6).strip()
    return text.removesuffix("...").strip()


def overrides(changed: Mapping[str, Any]) -> list[str]:
    """Changed settings as what follows ``--set``."""
    return [f"{key}={written(value)}" for key, value in changed.items()]


def draw_group(group: str, base: Mapping[str, Any], *, prefix: str) -> dict[str, Any]:
    """Draw the fields of a group, filled from ``base``; gives those that differ, by key.

    Args:
        group: Name of a section, or ``GENERAL``.
        base: A whole configuration as nested dictionaries.
        prefix: Tells the widgets of one base from another's, so that a new base fills them anew.
    """
    changed: dict[str, Any] = {}
    columns = st.columns(3)
    members = [one for one in settings() if one.group == group]
    # What is chosen from a list takes a whole line, so that every choice can be read.
    for place, setting in enumerate(sorted(members, key=_is_choice)):
        default = value_at(base, setting.key)
        with st.container() if _is_choice(setting) else columns[place % 3]:
            value = _field(setting, default, f"{prefix}:{setting.key}")
        if value != default:
            changed[setting.key] = value
    return changed


def _is_choice(setting: Setting) -> bool:
    return any(get_origin(kind) is list and get_origin(get_args(kind)[0]) is Literal for kind in _kinds(setting.info.annotation))


def _field(setting: Setting, default: Any, key: str) -> Any:
    kinds, help_ = _kinds(setting.info.annotation), help_text(setting, default)
    low, high = bounds(setting.info)
    choices = next((list(get_args(kind)) for kind in kinds if get_origin(kind) is Literal), None)
    if choices and all(isinstance(choice, str) for choice in choices):
        return st.selectbox(setting.label, choices, index=choices.index(default), key=key, help=help_)
    if bool in kinds:
        return st.toggle(setting.label, default, key=key, help=help_)
    if int in kinds or (choices and any(isinstance(choice, int) for choice in choices)):
        least = None if low is None else min(int(low), *(choices or [int(low)]))
        most = None if high is None else int(high)
        return st.number_input(setting.label, least, most, default, 1, key=key, help=help_, placeholder="empty")
    if float in kinds:
        step = max(abs(float(default or 0)) / 10, 1e-9) if default else 0.01
        ends = (None if low is None else float(low), None if high is None else float(high))
        return st.number_input(setting.label, *ends, default, step, format="%g", key=key, help=help_, placeholder="empty")
    listed = next((get_args(kind)[0] for kind in kinds if get_origin(kind) is list), None)
    if get_origin(listed) is Literal:
        return st.multiselect(setting.label, list(get_args(listed)), default, key=key, help=help_)
    if str in kinds:
        text = st.text_input(setting.label, default or "", key=key, help=help_)
        return None if not text and type(None) in kinds else text
    return _free(setting, default, key, help_)


def _free(setting: Setting, default: Any, key: str, help_: str) -> Any:
    """Draw lists and dictionaries of anything as YAML."""
    text = st.text_area(f"{setting.label} (YAML)", written(default), key=key, help=help_, height=80)
    try:
        return yaml.safe_load(text) if text.strip() else type(default)() if default is not None else None
    except yaml.YAMLError:
        st.caption("This is not valid YAML; the value from before is kept.")
        return default


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a type, what pydantic has not unwrapped included."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for part in get_args(annotation) for kind in _kinds(part))
    if hasattr(annotation, "__metadata__"):
        return _kinds(annotation.__origin__)
    return (annotation,)


def groups() -> list[str]:
    """Names of the groups in the order of the schema."""
    return list(dict.fromkeys(setting.group for setting in settings()))

"""What a generated file says: one fact in its first line, and a reference to another file."""

import json
from pathlib import PurePosixPath

_COMMENT = {".c": "//", ".cpp": "//", ".java": "//", ".go": "//"}


def render(path: str, name: str, thing: str, value: int, unit: str, other: str) -> str:
    """Text of a file.

    Args:
        path: Of this file; its suffix decides the form.
        name: What the fact is called in code, such as ``invoice_due``.
        thing: The same in words, such as ``time until an invoice is due``.
        value: How much it is.
        unit: Of what.
        other: Path of the file that is referred to.
    """
    suffix = PurePosixPath(path).suffix
    if suffix == ".json":
        return json.dumps({"about": f"the {thing}", name: value, "unit": unit, "see": other}, indent=1).replace("{\n ", "{ ", 1) + "\n"
    mark = _COMMENT.get(suffix, "#")
    first = f"{mark} The {thing}.\n"
    return first + _BODIES[suffix].format(
        name=name, upper=name.upper(), value=value, unit=unit, other=other, module=_module(other), thing=thing, camel=_camel(name)
    )


def _module(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")).replace("/", ".")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


_BODIES = {
    ".py": "import {module}\n\n{upper} = {value}  # {unit}\n\n\ndef {name}():\n    return {upper}\n",
    ".c": '#include "{other}"\n\n#define {upper} {value} /* {unit} */\n\nint {name}(void) {{ return {upper}; }}\n',
    ".cpp": '#include "{other}"\n\nconstexpr int {upper} = {value}; // {unit}\n\nint {name}() {{ return {upper}; }}\n',
    ".java": "// uses {other}\n\nfinal class {camel} {{\n    static final int {upper} = {value}; // {unit}\n}}\n",
    ".go": "// uses {other}\n\npackage main\n\nconst {camel} = {value} // {unit}\n",
    ".md": "\nIt is {value} {unit}. More in {other}.\n",
    ".txt": "\nIt is {value} {unit}. More in {other}.\n",
    ".rst": "\nIt is {value} {unit}. More in ``{other}``.\n",
    ".csv": "setting,value,unit\n{name},{value},{unit}\nsee,{other},\n",
    ".yaml": "{name}: {value}\nunit: {unit}\nsee: {other}\n",
    ".sh": "set -eu\n{upper}={value} # {unit}\nexport {upper}\n. ./{other}\n",
}

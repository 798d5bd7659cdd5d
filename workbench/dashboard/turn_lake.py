"""The frozen lake of a turn, read from its observation."""

import re
from collections.abc import Sequence

_ROW = re.compile(r"[@SFHG]( [@SFHG])*")
_CELL = "width: 2.6rem; height: 2.6rem; text-align: center; border: 2px solid rgba(138, 138, 138, 0.45); padding: 0;"
# Letter: what stands in the field, what a pointer says, the ground.
_FIELDS = {
    "@": ("◉", "you", "rgba(230, 159, 0, 0.75)"),
    "S": ("", "ice, the start", "rgba(86, 180, 233, 0.22)"),
    "F": ("", "ice", "rgba(86, 180, 233, 0.22)"),
    "H": ("●", "hole", "rgba(20, 24, 29, 0.65)"),
    "G": ("⚑", "goal", "rgba(0, 158, 115, 0.65)"),
}
_LEGEND = "◉ you · ● hole · ⚑ goal · the dotted fields were walked over"


def lake_rows(observation: str) -> list[str]:
    """The rows of the map, a letter a field; empty for any other world's observation."""
    lines = observation.split("\n")
    rows = [line.replace(" ", "") for line in lines[:-1] if _ROW.fullmatch(line)]
    square = len(rows) == len(lines) - 1 and all(len(row) == len(rows) for row in rows)
    told = lines[-1].startswith("The goal lies ")
    return rows if rows and square and told and sum(row.count("@") for row in rows) == 1 else []


def lake_html(observations: Sequence[str]) -> str:
    """The map at the last of ``observations`` as an HTML table, the fields that were stood on before it dotted; empty for other worlds."""
    maps = [lake_rows(observation) for observation in observations]
    if not maps or not all(maps):
        return ""
    walked = {_place(rows) for rows in maps[:-1]}
    lines = []
    for number, row in enumerate(maps[-1]):
        fields = []
        for column, letter in enumerate(row):
            sign, title, ground = _FIELDS[letter]
            if not sign and (number, column) in walked:
                sign = "·"
            colour = "white" if letter == "H" else "inherit"
            style = f"{_CELL} background: {ground}; color: {colour}; font-size: 1.3rem;"
            fields.append(f'<td style="{style}" title="{title}">{sign}</td>')
        lines.append(f"<tr>{''.join(fields)}</tr>")
    table = f'<table style="border-collapse: collapse; border: none;">{"".join(lines)}</table>'
    return f'{table}<div style="opacity: 0.7; font-size: 0.86rem; margin-top: 0.4rem;">{_LEGEND}</div>'


def _place(rows: Sequence[str]) -> tuple[int, int]:
    return next((number, row.index("@")) for number, row in enumerate(rows) if "@" in row)

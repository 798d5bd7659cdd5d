r"""Whether two formulas are equal, such as ``\frac{1}{2}`` and ``0.5`` or ``(x+1)^2`` and ``x^2+2x+1``.

Text of models is untrusted, and sympy's own parsers evaluate Python or take for ever over ``9^{9^{9^9}}``. Here a formula is cut into the
few tokens that a school formula has, parsed into a tree by ``ast`` without being run, and built of sympy's numbers and symbols node by
node, each within limits; what does not fit is no formula. Two are equal when their values are, at several points and to many digits.
"""

import ast
import operator
import re
from itertools import pairwise
from typing import Any

LONGEST = 200
"""Characters."""
MOST_NODES = 80
LARGEST_EXPONENT = 12
LARGEST_DEGREE = 72
"""Exponents of powers of powers, multiplied."""
DIGITS = 30
POINTS = ((17, 10), (23, 7), (31, 9))
"""Where formulas with letters are compared, as fractions; every letter gets its own multiple."""

_NEVER_MATTERS = re.compile(
    r"\\(?:left|right|displaystyle|[,!;: ])|\\[%$]|\^\{?\\circ\}?|[$~]|\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[{}]?$"
)
_MIXED = re.compile(r"(?<![\w.])(\d{1,9})\s*\\frac\s*\{\s*(\d{1,9})\s*\}\s*\{\s*(\d{1,9})\s*\}")
_FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)")
_ROOT = re.compile(r"\\sqrt\s*(?:\[\s*([2-9])\s*\])?\s*\{([^{}]*)\}")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d)")
_POWER = re.compile(r"\^\s*\{([^{}]*)\}")
_TOKEN = re.compile(r"\d{1,15}(?:\.\d{1,15})?|\.\d{1,15}|pi|sqrt|[A-Za-z]|\*\*|[-+*/(),]")
_OPERATORS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_EQUATION = re.compile(r"^\s*[A-Za-z]\s*=\s*([^=]+)$")


def same_formula(one: str, other: str) -> bool:
    """Whether both are formulas, or lists of them, of the same values; also True for the same text."""
    texts = [_plain(one), _plain(other)]
    if texts[0] == texts[1]:
        return bool(texts[0])
    built = [_built(text) for text in texts]
    if built[0] is None or built[1] is None or len(built[0]) != len(built[1]):
        return False
    return all(_equal(left, right) for left, right in zip(built[0], built[1], strict=True))


def _plain(formula: str) -> str:
    """Without what changes only its looks."""
    if len(formula) > LONGEST:
        return ""
    text = formula.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    text = _NEVER_MATTERS.sub("", text)
    match = _EQUATION.match(text)
    return "".join((match[1] if match else text).split(" ")).strip().rstrip(".")


def _built(text: str) -> list[Any] | None:
    """The values of a formula or of a list in brackets, as sympy's expressions; None when it is none."""
    source = _as_python(text)
    if source is None:
        return None
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if sum(1 for _ in ast.walk(tree)) > MOST_NODES:
        return None
    parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
    try:
        return [_value(part) for part in parts]
    except (_NoFormula, ArithmeticError, ValueError, TypeError, RecursionError):
        return None


class _NoFormula(Exception):
    pass


def _as_python(text: str) -> str | None:
    """The formula in Python's signs, with every product written out; None when it holds something else."""
    text = _MIXED.sub(r"(\1+\2/\3)", text)
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", _SHORT_ROOT.sub(r"\\sqrt{\1}", text))
    before = ""
    # Innermost braces first; every round takes some away.
    while before != text and len(text) < 10 * LONGEST:
        before = text
        text = _FRACTION.sub(r"((\1)/(\2))", text)
        text = _ROOT.sub(lambda match: f"((({match[2]}))**(1/{match[1]}))" if match[1] else f"(sqrt({match[2]}))", text)
        text = _POWER.sub(r"**(\1)", text)
    for sign, plain in ((r"\cdot", "*"), (r"\times", "*"), (r"\div", "/"), (r"\pi", "(pi)"), ("^", "**")):
        text = text.replace(sign, plain)
    tokens = _TOKEN.findall(text)
    if not tokens or "".join(tokens) != "".join(text.split()):
        return None
    written = tokens[:1]
    for last, token in pairwise(tokens):
        ends = (last[-1].isalnum() and last != "sqrt") or last == ")"
        begins = token[0].isalnum() or token in ("(", "sqrt") or token[0] == "."
        written += ["*", token] if ends and begins else [token]
    return "".join(written)


def _value(node: ast.expr) -> Any:
    """A node of the tree as sympy's expression.

    Raises:
        _NoFormula: It is nothing that a school formula has, or larger than the limits.
    """
    import sympy  # takes a second, and only formulas need it

    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return sympy.Rational(str(node.value)) if isinstance(node.value, float) else sympy.Integer(node.value)
    if isinstance(node, ast.Name):
        return sympy.pi if node.id == "pi" else sympy.Symbol(node.id, positive=True)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return -_value(node.operand) if isinstance(node.op, ast.USub) else _value(node.operand)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sqrt" and len(node.args) == 1:
        return sympy.sqrt(_value(node.args[0]))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            return _power(node, left, right)
        combine = _OPERATORS.get(type(node.op))
        if combine is not None and not (combine is operator.truediv and right == 0):
            return combine(left, right)
    raise _NoFormula


def _power(node: ast.BinOp, base: Any, exponent: Any) -> Any:
    """A power whose value stays small enough to write down."""
    if base == 0 and not exponent.is_positive:
        raise _NoFormula
    if exponent.is_Rational and abs(exponent) <= LARGEST_EXPONENT and _degree(node) <= LARGEST_DEGREE:
        return base**exponent
    if exponent.is_Symbol and (base.is_Symbol or base.is_Integer):
        return base**exponent
    raise _NoFormula


def _degree(node: ast.AST) -> float:
    """Product of the exponents of powers within powers, at most."""
    inner = max((_degree(child) for child in ast.iter_child_nodes(node)), default=1.0)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        exponent = node.right.value if isinstance(node.right, ast.Constant) else LARGEST_EXPONENT
        return max(inner, 1.0) * (abs(exponent) if isinstance(exponent, int | float) else LARGEST_EXPONENT)
    return inner


def _equal(one: Any, other: Any) -> bool:
    import sympy

    letters = sorted({str(letter) for value in (one, other) for letter in value.free_symbols})
    for top, bottom in POINTS if letters else POINTS[:1]:
        # No two letters have the same value, or x+y would be 2x.
        point = {sympy.Symbol(letter, positive=True): sympy.Rational(top * (place + 2), bottom) for place, letter in enumerate(letters)}
        left, right = (sympy.N(value.subs(point), DIGITS) for value in (one, other))
        difference, size = sympy.Abs(left - right), sympy.Abs(left)
        if not (difference.is_comparable and size.is_comparable) or difference > (size + 1) * sympy.Float(10) ** -(DIGITS // 2):
            return False
    return True

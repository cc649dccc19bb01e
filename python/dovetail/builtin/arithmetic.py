"""Arithmetic, comparisons and a fixed list of functions, and nothing else: evaluated within bounds."""

from __future__ import annotations

import ast
import math as mathematics
import operator
import re
import threading
from typing import TYPE_CHECKING, Any, Final

from dovetail.builtin.notation import normalise
from dovetail.errors import DovetailError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FUNCTIONS", "MathError", "NotArithmeticError", "evaluate", "shown"]

MAX_CHARACTERS: Final = 1_000
# A sum of so many terms is so deep too. The evaluator takes three frames a level, of Python's thousand.
MAX_DEPTH: Final = 150
MAX_DIGITS: Final = 300
# 10 ** 300 as a power of two: a number of that many bits also fits into a float.
_MAX_BITS: Final = 997
_MAX_DEFINITIONS: Final = 50
_DEFINITION: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.+)", re.DOTALL)
_EXAMPLE: Final = "(8849 - 828) / 2"
_CONSTANTS: Final = {"pi": mathematics.pi, "e": mathematics.e, "true": True, "false": False}

_ALLOWED: Final = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.boolop,
    ast.Compare, ast.IfExp, ast.Call, ast.List, ast.Tuple,
)  # fmt: skip


class MathError(DovetailError):
    """An expression cannot be evaluated."""


class NotArithmeticError(MathError):
    """A text is no expression; a model may find the one that it means."""


def evaluate(problem: str, context: list[str] | None = None) -> int | float | bool | str:
    """Evaluate an expression.

    Whole numbers stay whole (``6/2`` is 3), ``^`` is the power, ``5%`` is 0.05. The work is bounded whatever
    the text: its length, its depth, and the size of every number on the way.

    Args:
        problem: the expression.
        context: definitions ``name = expression``, which may use the earlier ones; other texts are left out.

    Raises:
        NotArithmeticError: it is no such expression.
        MathError: it is too large, or its value is no number that JSON has.
    """
    names: dict[str, Any] = dict(_CONSTANTS)
    for text in (context or [])[:_MAX_DEFINITIONS]:
        match = _DEFINITION.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
        if match is not None:
            names[match[1]] = _evaluate(match[2], names)
    value = _evaluate(problem, names)
    if isinstance(value, int | float | str):
        return value
    raise MathError(f"{shown(problem)}: this is no single value; write one expression, such as {_EXAMPLE}")


def _evaluate(text: str, names: dict[str, Any]) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise NotArithmeticError(
            f"the expression has {len(text):,} characters; at most {MAX_CHARACTERS:,} are evaluated"
        )
    try:
        return _evaluator(names).eval(text, previously_parsed=_parse(text))
    except MathError as error:
        raise type(error)(f"{shown(text)}: {error}") from error
    except ZeroDivisionError as error:
        raise MathError(f"{shown(text)}: this divides by zero") from error
    except OverflowError as error:
        raise MathError(f"{shown(text)}: a number on the way is too large") from error
    except Exception as error:  # the evaluator's own errors, and what functions raise at wrong arguments
        kind = MathError if _unknown_name(error) is None else NotArithmeticError
        raise kind(f"{shown(text)}: {_reason(error)}") from error


def shown(text: str) -> str:
    """A text as it stands in an error: on one line, and short."""
    text = " ".join(text.split())
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _parse(text: str) -> ast.expr:
    """Read an expression, and refuse everything that is not arithmetic before any of it is evaluated."""
    try:
        tree = ast.parse(normalise(text), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        remedy = "write == to compare" if re.search(r"(?<![=<>!])=(?!=)", text) else f"write {_EXAMPLE}"
        raise NotArithmeticError(f"this is no arithmetic expression; {remedy}, with numbers and no words") from error
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        for node in level:
            _refuse(node)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree.body
    raise MathError(f"this is nested more than {MAX_DEPTH} deep; do it in several steps")


def _refuse(node: ast.AST) -> None:
    """Refuse a node that is not arithmetic."""
    if isinstance(node, ast.operator | ast.unaryop | ast.cmpop):
        allowed = type(node) in _OPERATORS
    else:
        allowed = isinstance(node, _ALLOWED)
    if not allowed:
        raise MathError(f"{type(node).__name__} is not available; only arithmetic is")
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, int | float | str):
            raise MathError(f"{node.value!r} is no number")
        _bounded(node.value)
    if isinstance(node, ast.Call) and (node.keywords or not isinstance(node.func, ast.Name)):
        raise MathError("a function is called by its name, with numbers: sqrt(2)")


_threads = threading.local()


def _evaluator(names: dict[str, Any]) -> Any:
    """This thread's evaluator. Making one costs more than most expressions do."""
    evaluator = getattr(_threads, "evaluator", None)
    if evaluator is None:
        from simpleeval import EvalWithCompoundTypes  # here: only for a call

        evaluator = EvalWithCompoundTypes(operators=_OPERATORS, functions={}, names={}, allowed_attrs={})
        # Set afterwards, for the class adds list, dict and the like to whatever it is given.
        evaluator.functions = FUNCTIONS
        _threads.evaluator = evaluator
    evaluator.names = names
    return evaluator


def _unknown_name(error: Exception) -> str | None:
    name = getattr(error, "func_name", None) or getattr(error, "name", None)
    return None if name is None else str(name)


def _reason(error: Exception) -> str:
    name = _unknown_name(error)
    if name is None:
        return str(error)
    return f"{name!r} is not known; there are {', '.join(FUNCTIONS)}, pi and e"


def _bounded(value: Any) -> Any:
    """Let a number through if it is one, and not too large."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise MathError(f"a number on the way has more than {MAX_DIGITS} digits, which is too large")
        return value
    if isinstance(value, float) and mathematics.isfinite(value):
        return value
    raise MathError("a number on the way is not finite or not real")


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MathError(f"{value!r} is no number")
    return value


def _numeric(function: Callable[..., Any]) -> Callable[..., Any]:
    """Numbers in, one bounded number out: no text or list is ever repeated, formatted or joined."""

    def bounded(*values: Any) -> Any:
        return _bounded(function(*map(_number, values)))

    return bounded


def _over(function: Callable[[list[int | float]], Any], name: str) -> Callable[..., Any]:
    """A function of many numbers, given one by one or in a list."""

    def bounded(*values: Any) -> Any:
        if len(values) == 1 and isinstance(values[0], list | tuple):
            values = tuple(values[0])
        elif len(values) < 2:
            raise MathError(f"{name} needs at least two numbers; write numbers without thousands separators")
        if not values:
            raise MathError(f"{name} needs at least one number")
        return _bounded(function([_number(value) for value in values]))

    return bounded


def _divide(left: float, right: float) -> float:
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


def _power(base: float, exponent: float) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1:
        # Before it is done: the bits of the result are at least these.
        if (base.bit_length() - 1) * exponent > _MAX_BITS:
            raise MathError(f"a power has more than {MAX_DIGITS} digits, which is too large")
        if exponent < -_MAX_BITS:
            return 0.0
    return base**exponent


def _sqrt(value: float) -> float:
    if isinstance(value, int) and value >= 0 and mathematics.isqrt(value) ** 2 == value:
        return mathematics.isqrt(value)
    return mathematics.sqrt(value)


def _round(value: float, digits: float = 0) -> float:
    if not isinstance(digits, int) or abs(digits) > 15:
        raise MathError(f"{digits} is no number of digits; write numbers without thousands separators")
    return round(value, digits) if digits > 0 else int(round(value, digits))


def _mean(values: list[int | float]) -> float:
    return _divide(sum(values), len(values))


_OPERATORS: Final[dict[type[ast.AST], Callable[..., Any]]] = {
    ast.Add: _numeric(operator.add),
    ast.Sub: _numeric(operator.sub),
    ast.Mult: _numeric(operator.mul),
    ast.Div: _numeric(_divide),
    ast.FloorDiv: _numeric(operator.floordiv),
    ast.Mod: _numeric(operator.mod),
    ast.Pow: _numeric(_power),
    ast.USub: _numeric(operator.neg),
    ast.UAdd: _numeric(operator.pos),
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "min": _over(min, "min"),
    "max": _over(max, "max"),
    "larger": _over(max, "larger"),
    "smaller": _over(min, "smaller"),
    "sum": _over(sum, "sum"),
    "mean": _over(_mean, "mean"),
    "abs": _numeric(abs),
    "round": _numeric(_round),
    "floor": _numeric(mathematics.floor),
    "ceil": _numeric(mathematics.ceil),
    "sqrt": _numeric(_sqrt),
    "exp": _numeric(mathematics.exp),
    "log": _numeric(mathematics.log),
    "ln": _numeric(mathematics.log),
    "log2": _numeric(mathematics.log2),
    "log10": _numeric(mathematics.log10),
    "pow": _numeric(_power),
    "sin": _numeric(mathematics.sin),
    "cos": _numeric(mathematics.cos),
    "tan": _numeric(mathematics.tan),
}

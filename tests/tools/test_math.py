"""Arithmetic comes out right, and nothing else can be said."""

from __future__ import annotations

import json
import math as mathematics
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.builtin import math
from dovetail.builtin.arithmetic import MathError, evaluate

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("1 + 2 * 3", 7),
        ("7/2", 3.5),
        ("6/2", 3),
        ("7//2", 3),
        ("-7 % 3", 2),
        ("2^10", 1024),
        ("2**-2", 0.25),
        ("10**300", 10**300),
        ("sqrt(16)", 4),
        ("sqrt(2)", 2**0.5),
        ("round(2.6)", 3),
        ("round(3.14159, 2)", 3.14),
        ("floor(2.9) + ceil(2.1)", 5),
        ("abs(-3)", 3),
        ("log(e)", 1.0),
        ("ln(1)", 0.0),
        ("log(8, 2)", 3.0),
        ("log10(1000)", 3.0),
        ("max(3, 9, 4)", 9),
        ("min([3, 9, 4])", 3),
        ("sum(1, 2, 3)", 6),
        ("mean([1, 2])", 1.5),
        ("larger(8849, 8611)", 8849),
        ("smaller(8849, 8611)", 8611),
        ("8849 > 828", True),
        ("1 < 2 < 3", True),
        ("1 == 1.0 and not 2 < 1", True),
        ('"Everest" if 8849 > 828 else "K2"', "Everest"),
        ("1 if 1 else 9**9**9", 1),
        ("= 2 + 2 =", 4),
        ("2+2=?", 4),
        ("2 × 3 − 1 ÷ 2", 5.5),
        ("1 ≤ 2", True),
        ("'2^3'", "2^3"),
        ("2 *\n3", 6),
        # thousands separators
        ("1,000 + 2,500.5", 3500.5),
        ("(1,234,567)", 1234567),
        ("max(1,000, 2,000)", 2000),
        ("max(1,000,2,000)", 2000),
        ("max(8,849, 828)", 8849),
        ("max(100,200)", 200),
        ("sqrt(1,000)", 1000**0.5),
        # percentages
        ("20% of 50", 10),
        ("15% of (20 + 30)", 7.5),
        ("(5 + 5)% of 30", 3),
        ("50%", 0.5),
        ("200 * 10% - 1", 19),
        ("100 + 10%", 100.1),
        ("10 % 3", 1),
        ("10%3", 1),
        ("10% 3", 1),
        (" + ".join("1" * 100), 100),
    ],
)
def test_expressions_have_their_value(problem: str, value: float | bool | str) -> None:
    got = evaluate(problem)
    assert got == (pytest.approx(value) if type(value) is float else value)
    if type(value) is not int:
        assert type(got) is type(value)


@pytest.mark.parametrize("problem", ["6/2", "sqrt(16)", "round(2.6)", "2^10", "floor(2.5)"])
def test_whole_numbers_stay_whole(problem: str) -> None:
    assert type(evaluate(problem)) is int


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("9**9**9", "a power has more than 300 digits"),
        ("(9**99)**9999", "a power has more than 300 digits"),
        ("(-9)**9999", "more than 300 digits"),
        ("pow(9, 9999)", "more than 300 digits"),
        ("10**200 * 10**200", "more than 300 digits"),
        ("1" * 400, "more than 300 digits"),
        ("1" * 5000, "has 5,000 characters; at most 1,000"),
        ("'a' * 10**9", "'a' is no number"),
        ("[1] * 10**9", r"\[1\] is no number"),
        ("'%s' % 3", "'%s' is no number"),
        ("'a' + 'b'", "'a' is no number"),
        ("True + 1", "True is no number"),
        ("factorial(10**9)", "'factorial' is not known; there are min, max"),
        ("__import__('os').system('true')", "a function is called by its name"),
        ("__import__('os')", "'__import__' is not known"),
        ("().__class__", "Attribute is not available"),
        ("[1][0]", "Subscript is not available"),
        ("[x for x in [1]]", "ListComp is not available"),
        ("(lambda: 1)()", "Lambda is not available|a function is called by its name"),
        ("f'{1}'", "JoinedStr is not available"),
        ("(x := 5)", "NamedExpr is not available"),
        ("max(*[1, 2])", "Starred is not available"),
        ("round(1, ndigits=2)", "a function is called by its name"),
        ("2 in [1, 2]", "In is not available"),
        ("1 << 9", "LShift is not available"),
        ("1j", "1j is no number"),
        ("None", "None is no number"),
        ("min", "no single value"),
        ("[1, 2]", "no single value"),
        ("1, 2", "no single value"),
        ("max(3)", "max needs at least two numbers"),
        ("max([])", "max needs at least one number"),
        ("round(1,234)", "234 is no number of digits; write numbers without thousands"),
        ("1/0", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("log(0)", "math domain error|expected a positive"),
        ("sqrt(-1)", "math domain error|expected a nonneg"),
        ("(-8)**0.5", "not finite or not real"),
        ("1e308 * 10", "not finite"),
        ("exp(1000)", "too large"),
        ("10.0**400", "too large"),
        ("1e400", "not finite"),
        ("x = 5", "write == to compare"),
        ("", "no arithmetic expression"),
        ("1 +", "no arithmetic expression"),
        ("8849m / 3", "no arithmetic expression"),
        ("import os", "no arithmetic expression"),
        ("1; 2", "no arithmetic expression"),
        ("1\0", "no arithmetic expression"),
        ("height / 2", "'height' is not known"),
        ("What is 2 + 2?", "not available|no arithmetic expression"),
        ("(" * 400 + "1" + ")" * 400, "no arithmetic expression|nested more than 150 deep"),
        ("-" * 900 + "1", "nested more than 150 deep"),
        ("not " * 200 + "1", "nested more than 150 deep"),
        ("abs(" * 160 + "1" + ")" * 160, "nested more than 150 deep"),
    ],
)
def test_everything_else_is_a_quick_and_readable_error(problem: str, message: str) -> None:
    before = time.thread_time()
    with pytest.raises(MathError, match=message) as caught:
        evaluate(problem)
    assert time.thread_time() - before < 1.0
    assert len(str(caught.value)) < 400


def test_definitions_may_be_used_and_other_texts_are_left_out() -> None:
    context = ["a = 10", "b = a / 5", "Everest is 8,849 m high", "x" * 5000 + " = 1", "c == 3"]
    assert evaluate("a / b", context) == 5
    with pytest.raises(MathError, match="'c' is not known"):
        evaluate("c", context)


async def test_the_tool_answers_json() -> None:
    assert await math.call(json.dumps({"problem": "7/2"})) == "3.5"
    assert await math.call(json.dumps({"problem": "2 > h", "context": ["h = 1"]})) == "true"
    with pytest.raises(MathError):
        await math.call(json.dumps({"problem": "import os"}))


_numbers = st.integers(-(10**6), 10**6).map(str)
_expressions = st.recursive(
    _numbers,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({' '.join(parts)})"),
    max_leaves=8,
)


@given(_expressions)
def test_whole_number_arithmetic_is_exact(expression: str) -> None:
    expected = eval(expression, {"__builtins__": {}})
    if abs(expected) < 10**40:
        assert evaluate(expression) == expected


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_a_division_is_whole_exactly_where_it_comes_out_even(left: int, right: int) -> None:
    value = evaluate(f"{left} / {right}")
    assert isinstance(value, int) == (Fraction(left, right).denominator == 1)
    assert value == pytest.approx(left / right)


@given(st.integers(0, 10**15))
def test_a_number_may_be_written_with_separators(number: int) -> None:
    assert evaluate(f"{number:,}") == number
    assert evaluate(f"{number:,} + 1") == number + 1


@given(st.text(alphabet="0123456789+-*/^%(),.<>=! '\"[]eof_ max", max_size=40))
def test_any_text_gives_a_json_value_or_a_math_error(text: str) -> None:
    try:
        value = evaluate(text)
    except MathError:
        return
    assert isinstance(value, int | float | str)
    assert not isinstance(value, float) or mathematics.isfinite(value)
    assert len(json.dumps(value)) < sys.get_int_max_str_digits()

"""Policies: what can be said, how wrong ones are refused, and the way over the wire and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools.definition import tool
from dovetail.tools.large_output import cut_output
from dovetail.tools.policy import PLAIN, Policy, Rate
from dovetail.tools.policy_wire import policy_from_wire, policy_to_wire
from dovetail.tools.tool_wire import tool_from_wire, tool_to_wire


@pytest.mark.parametrize(
    ("text", "calls", "period"),
    [("10/s", 10, 1), ("100/min", 100, 60), ("5/2s", 5, 2), (" 3 / 1.5 h ", 3, 5400), ("1/second", 1, 1)],
)
def test_rates_are_read_as_people_write_them(text: str, calls: int, period: float) -> None:
    assert Rate.parse(text) == Rate(calls, period)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", "fast"),
        ("rate", "0/s"),
        ("retries", -1),
        ("retries", 101),
        ("backoff", 0),
        ("idle_timeout", float("nan")),
        ("task_timeout", -1),
        ("max_parallel", 0),
        ("breaker_failures", 0),
        ("exclusive", ("a", "")),
        ("exclusive", tuple("abcdefghijklmnopq")),
        ("large_output", "shrink"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{field}: "):
        Policy(**{field: value})  # type: ignore[arg-type]


def test_the_decorator_takes_the_fields_of_a_policy() -> None:
    @tool(read_only=True, retries=2, rate="10/s", exclusive="db", cache=5)
    async def ask() -> str:
        """Asks."""
        return ""

    assert ask.policy == Policy(retries=2, rate=Rate(10), exclusive=("db",), cache=5)
    with pytest.raises(ToolDefinitionError, match="retries"):
        tool(retries=-1)(lambda: None)
    with pytest.raises(ToolDefinitionError, match="cache: only outputs of a read_only tool"):
        tool(name="x", cache=5)(lambda: None)


def test_a_tool_without_a_policy_has_the_plain_one_also_from_the_wire() -> None:
    @tool
    async def ask() -> str:
        """Asks."""
        return ""

    assert ask.policy is PLAIN
    assert not tool_to_wire(ask).HasField("policy")
    assert tool_from_wire(tool_to_wire(ask)).policy is PLAIN


policies = st.builds(
    Policy,
    task_timeout=st.none() | st.integers(1, 1000),
    idle_timeout=st.none() | st.integers(1, 1000),
    retries=st.integers(0, 100),
    backoff=st.integers(1, 60),
    max_parallel=st.none() | st.integers(1, 1000),
    rate=st.none() | st.builds(Rate, st.integers(1, 1000), st.integers(1, 3600)),
    breaker_failures=st.none() | st.integers(1, 100),
    breaker_pause=st.integers(1, 100),
    cache=st.none() | st.integers(1, 100),
    exclusive=st.lists(st.text("abc", min_size=1, max_size=3), max_size=4).map(tuple),
    large_output=st.sampled_from(["fail", "cut"]),
    approval_timeout=st.none() | st.integers(1, 100),
)


@given(policies)
def test_every_policy_comes_back_from_the_wire_as_it_was(policy: Policy) -> None:
    assert policy_from_wire(policy_to_wire(policy)) == policy


@given(st.text() | st.lists(st.text(), max_size=5), st.integers(100, 400))
def test_a_cut_output_is_a_json_string_within_its_bound(value: object, most: int) -> None:
    from pydantic_core import to_json

    text = to_json(value).decode()
    cut = cut_output(text, most)
    assert len(cut.encode()) <= most
    assert isinstance(from_json(cut), str)


def test_a_cut_output_keeps_its_beginning_and_its_end_and_says_what_is_missing() -> None:
    cut = from_json(cut_output('"' + "a" * 5_000 + "z" * 5_000 + '"', 1_000))
    assert cut.startswith("aaaa")
    assert cut.endswith("zzzz")
    assert "[9,080 characters left out]" in cut

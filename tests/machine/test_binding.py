"""What crosses between Python and the machine: types, errors, and the state that can be asked."""

import json
from typing import Any

import pytest

from dovetail._core import Closed, Diagnostic, Machine, Planned, Ready, Thought, ToolSet, Unreachable

TOOLS = json.dumps(
    [{"name": "search", "inputSchema": {"type": "object", "properties": {"query": {}}, "required": ["query"]}}]
)


def machine() -> Machine:
    return Machine(ToolSet(TOOLS))


def test_text_and_bytes_are_read_alike() -> None:
    text = 'Thought: é\n1. search("東京")\n2. join($1)'
    from_text, from_bytes = machine(), machine()
    steps = from_text.feed(text)
    assert [type(step) for step in steps] == [Thought, Planned, Ready, Closed]
    pieces = [step for byte in text.encode() for step in from_bytes.feed(bytes([byte]))]
    assert [repr_of(step) for step in pieces] == [repr_of(step) for step in steps]


def repr_of(step: object) -> dict[str, Any]:
    return {name: getattr(step, name) for name in dir(step) if not name.startswith("_")}


def test_what_is_neither_text_nor_bytes_is_a_type_error() -> None:
    for wrong in (None, 1, ["a"], memoryview(b"a")):
        with pytest.raises(TypeError):
            machine().feed(wrong)  # type: ignore[arg-type]


def test_steps_are_frozen() -> None:
    (step, *_) = machine().feed('1. search("a")')
    with pytest.raises(AttributeError):
        step.task_id = 2  # type: ignore[union-attr, misc]


def test_arguments_and_answers_are_json_text() -> None:
    plan = machine()
    ready = plan.feed("1. search({'n': 12345678901234567890, 'none': None})\n2. join($1)")[1]
    assert isinstance(ready, Ready)
    assert json.loads(ready.arguments) == {"query": {"n": 12345678901234567890, "none": None}}
    assert plan.answer() is None
    assert plan.succeed(1, b'"\xc3\xa9"') == []
    assert plan.answer() == '"é"'


def test_a_failure_and_a_wrong_fact_are_steps_and_no_exceptions() -> None:
    plan = machine()
    plan.feed('1. search("a")\n2. search($1)\n')
    (unreachable,) = plan.fail(1)
    assert isinstance(unreachable, Unreachable)
    assert (unreachable.task_id, unreachable.because) == (2, 1)
    for steps in (plan.fail(1), plan.succeed(1, "1"), plan.succeed(9, "1"), plan.fail(9)):
        (refused,) = steps
        assert isinstance(refused, Diagnostic)
        assert (refused.severity, refused.code, refused.line) == ("error", "unexpected_fact", 0)


def test_an_id_that_is_none_is_an_overflow_error() -> None:
    for wrong in (-1, 2**40):
        with pytest.raises(OverflowError):
            machine().fail(wrong)


def test_the_state_of_the_plan_can_be_asked() -> None:
    plan = machine()
    assert (plan.closed, plan.unsettled, plan.next_id) == (False, 0, 1)
    plan.feed('3. search("a")')
    assert (plan.closed, plan.unsettled, plan.next_id) == (False, 1, 4)
    steps = plan.finish(cut_off=True)
    assert [type(step) for step in steps] == [Diagnostic, Closed]
    assert plan.closed


def test_a_tool_set_knows_its_names_and_refuses_what_is_none() -> None:
    assert ToolSet(TOOLS).names == ["search"]
    assert ToolSet(f'{{"tools": {TOOLS}}}'.encode()).names == ["search"]
    for wrong, said in (("[{}]", "name"), ("no", "JSON"), ('[{"name": "a"}]', "inputSchema")):
        with pytest.raises(ValueError, match=said):
            ToolSet(wrong)


def test_tasks_beyond_the_limit_are_not_planned() -> None:
    plan = Machine(ToolSet(TOOLS), max_tasks=1)
    steps = plan.feed('1. search("a")\n2. search("b")')
    assert [type(step) for step in steps] == [Planned, Ready, Diagnostic]


def test_a_large_plan_and_a_large_string_are_read_in_small_pieces() -> None:
    plan = machine()
    text = "".join(f'{number}. search("{number}")\n' for number in range(1, 10_001))
    ready = sum(isinstance(step, Ready) for at in range(0, len(text), 4) for step in plan.feed(text[at : at + 4]))
    assert (ready, plan.unsettled) == (10_000, 10_000)
    (planned, bound) = plan.feed('10001. search("' + "x" * 1_000_000 + '")')
    assert isinstance(planned, Planned)
    assert isinstance(bound, Ready)
    assert len(bound.arguments) > 1_000_000

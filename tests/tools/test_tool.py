"""A function becomes a tool, and a tool is called with JSON."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.tools.definition import Tool, tool
from dovetail.tools.outputs import OutputError
from dovetail.v1 import FailureReason

pytestmark = pytest.mark.anyio

INVALID = FailureReason.FAILURE_REASON_OUTPUT_INVALID
TOO_LARGE = FailureReason.FAILURE_REASON_OUTPUT_TOO_LARGE


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Trip(BaseModel):
    title: str
    nights: int = 1

    @field_validator("title")
    @classmethod
    def _no_moon(cls, value: str) -> str:
        if value == "moon":
            raise ValueError("nobody goes there")
        return value


@dataclass
class Point:
    x: float
    y: float


@tool
async def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    More about it.

    Args:
        a: the first number,
            on two lines.
        b (int): the second: with a colon

    Returns:
        int: the sum
    """
    return a + b


@tool
def book(trip: Trip, colour: Colour, start: datetime, notes: list[str] | None = None) -> dict[str, Any]:
    assert isinstance(trip, Trip)
    assert isinstance(colour, Colour)
    return {"trip": trip, "colour": colour, "end": start + timedelta(days=trip.nights), "notes": notes}


# --- the spec ---------------------------------------------------------------------------------------


def test_a_spec_is_derived_from_name_signature_and_docstring() -> None:
    assert add.to_mcp() == {
        "name": "add",
        "description": "Add two numbers.\n\nMore about it.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "the first number, on two lines."},
                "b": {"type": "integer", "default": 2, "description": "the second: with a colon"},
            },
            "additionalProperties": False,
            "required": ["a"],
        },
        "outputSchema": {"type": "integer", "description": "the sum"},
    }


def test_properties_keep_the_order_of_the_parameters() -> None:
    @tool
    def ordered(z: str, a: str, m: str = "", b: int = 0) -> None: ...

    assert list(ordered.input_schema["properties"]) == ["z", "a", "m", "b"]


def test_titles_of_pydantic_are_dropped_but_a_property_called_title_stays() -> None:
    schema = book.input_schema["properties"]["trip"]
    assert schema["properties"] == {
        "title": {"type": "string"},
        "nights": {"type": "integer", "default": 1},
    }
    assert "title" not in schema


def test_a_description_in_the_type_wins_over_the_docstring() -> None:
    @tool
    def look(q: Annotated[str, Field(description="from the type", max_length=9)]) -> str:
        """Look.

        Args:
            q: from the docstring
        """
        return q

    assert look.input_schema["properties"]["q"] == {
        "type": "string",
        "description": "from the type",
        "maxLength": 9,
    }


def test_parameters_may_have_any_name() -> None:
    @tool
    def named(schema: str, model_config: int, _private: str, json: str = "") -> None: ...

    assert list(named.input_schema["properties"]) == ["schema", "model_config", "_private", "json"]


def test_two_types_of_one_name_are_told_apart() -> None:
    def make(kind: type) -> type:
        return type("Same", (BaseModel,), {"__annotations__": {"value": kind}, "__module__": kind.__name__})

    def both(a, b): ...  # type: ignore[no-untyped-def]

    both.__annotations__ = {"a": list[make(int)], "b": list[make(str)]}  # type: ignore[misc]
    definitions = tool(both).input_schema["$defs"]
    assert sorted(d["properties"]["value"]["type"] for d in definitions.values()) == ["integer", "string"]


def test_arguments_of_the_decorator_override_and_add() -> None:
    @tool(
        name="other.name",
        description="Other.",
        timeout=None,
        max_output_bytes=7,
        read_only=True,
        sequential=True,
    )
    def one() -> None:
        """Not this."""

    assert (one.name, one.description, one.timeout, one.max_output_bytes) == ("other.name", "Other.", None, 7)
    shape = one.to_mcp()
    assert shape["annotations"] == {"readOnlyHint": True}
    assert shape["_meta"] == {"dovetail/sequential": True}
    assert shape["outputSchema"] == {"type": "null"}


def test_hints_that_are_not_claimed_are_left_out() -> None:
    assert "annotations" not in add.to_mcp()


def test_a_default_that_is_no_json_is_not_shown() -> None:
    @tool
    def waits(event: Any = threading.Event) -> None: ...

    assert waits.input_schema["properties"]["event"] == {}


async def test_what_is_decorated_stays_the_function_it_was() -> None:
    assert await add(1) == 3
    assert add.__name__ == "add"
    assert (add.__doc__ or "").startswith("Add two")
    assert add.__module__ == __name__


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tool(_untyped), r"tool '_untyped': parameter 'x' has no type annotation"),
        (lambda: tool(_many), r"tool '_many': parameter '\*args' takes any number"),
        (lambda: tool(_any), r"tool '_any': parameter '\*\*options' takes any argument"),
        (lambda: tool(_positional), r"parameter 'x' is positional-only"),
        (lambda: tool(_callback), r"tool '_callback': parameter 'f' has type .*Callable.*cannot describe"),
        (lambda: tool(_gives_threads), r"tool '_gives_threads': the return type has type .*Thread"),
        (lambda: tool(_unknown), r"tool '_unknown': its type hints cannot be resolved .*Nowhere"),
        (lambda: tool(_field_default), r"parameter 'x' has Field\(...\) as its default; write Annotated"),
        (lambda: tool(_yields), r"tool '_yields' is a generator; return a list"),
        (lambda: tool(_Holder.method), r"parameter 'self' has no type annotation; of a method, .*instance"),
        (lambda: tool(_Holder), r"cannot be a tool: a function is needed"),
        (lambda: tool(add), r"'add' is a tool already"),
        (lambda: tool(name="join")(_fine), r"tool 'join': the name"),
        (lambda: tool(name="two words")(_fine), r"tool 'two words': the name"),
        (lambda: tool(_fine_lambda), r"'<lambda>': the name"),
        (lambda: tool(timeout=0)(_fine), r"tool '_fine': timeout is 0"),
        (lambda: tool(max_output_bytes=0)(_fine), r"tool '_fine': max_output_bytes is 0"),
        (lambda: Tool("t", "", {"type": "string"}), r"tool 't': input_schema: must have type 'object'"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ToolDefinitionError, match=message):
        make()


def _fine() -> None: ...
def _untyped(x): ...  # type: ignore[no-untyped-def]
def _many(*args: int) -> None: ...
def _any(**options: int) -> None: ...
def _positional(x: int, /) -> None: ...
def _callback(f: Callable[[], int]) -> None: ...
def _gives_threads() -> threading.Thread: ...  # type: ignore[empty-body]
def _unknown(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _field_default(x: int = Field(3)) -> None: ...
def _yields() -> Any:
    yield 1


_fine_lambda = lambda: None  # noqa: E731


class _Holder:
    def method(self, x: int) -> int:
        return x

    async def double(self, x: int) -> int:
        return 2 * x

    def __call__(self, x: int) -> int:
        return x


# --- calls ------------------------------------------------------------------------------------------


async def test_an_async_function_is_called_with_the_arguments() -> None:
    assert await add.call('{"a": 40}') == "42"
    assert await add.call(b'{"b": 1, "a": 1}') == "2"


async def test_types_are_converted_where_json_has_no_such_thing() -> None:
    arguments = {"trip": {"title": "sea", "nights": 2}, "colour": "blue", "start": "2026-01-30T12:00:00"}
    assert json.loads(await book.call(json.dumps(arguments))) == {
        "trip": {"title": "sea", "nights": 2},
        "colour": "blue",
        "end": "2026-02-01T12:00:00",
        "notes": None,
    }


async def test_a_demand_that_the_schema_does_not_show_is_a_readable_error() -> None:
    arguments = {"trip": {"title": "moon"}, "colour": "blue", "start": "2026-01-30T12:00:00"}
    with pytest.raises(ValueError, match=r"^argument 'trip': title: Value error, nobody goes there$"):
        await book.call(json.dumps(arguments))


async def test_an_integer_written_as_a_float_arrives_as_an_integer() -> None:
    @tool
    async def kinds(a: int, b: int | None, c: list[int], d: Annotated[int, Field(ge=1)]) -> list[str]:
        return [type(value).__name__ for value in (a, b, *c, d)]

    assert await kinds.call('{"a": 2.0, "b": 3.0, "c": [4.0], "d": 5.0}') == '["int","int","int","int"]'


async def test_plain_types_need_no_converter() -> None:
    @tool
    async def plain(
        a: str,
        b: float,
        c: bool,
        d: list[str],
        e: dict[str, Any],
        f: Literal["x", 1],
        g: list[Any] | str | None,
    ) -> None: ...

    assert plain.converters == ()


async def test_a_sync_function_runs_in_a_thread_with_the_context_of_the_caller() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    threads: list[threading.Thread] = []

    @tool
    def look() -> str:
        threads.append(threading.current_thread())
        return variable.get()

    variable.set("mine")
    assert await look.call("{}") == '"mine"'
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


async def test_bound_methods_partials_and_callable_objects_are_tools_too() -> None:
    assert await tool(_Holder().double).call('{"x": 4}') == "8"
    assert await tool(functools.partial(_Holder().double)).call('{"x": 4}') == "8"
    assert await tool(_Holder()).call('{"x": 4}') == "4"


async def test_a_decorator_that_hides_an_async_function_is_seen_through() -> None:
    async def inner(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @functools.wraps(inner)
    def hidden(x: int) -> Any:
        return inner(x)

    assert await tool(hidden).call('{"x": 3}') == "3"


async def test_what_a_tool_raises_propagates() -> None:
    @tool
    def sync_boom() -> None:
        raise KeyError("sync")

    @tool
    async def async_boom() -> None:
        raise KeyError("async")

    for boom in (sync_boom, async_boom):
        with pytest.raises(KeyError, match="sync"):
            await boom.call("{}")


async def test_a_tool_that_exits_does_not_end_the_loop() -> None:
    @tool
    def sync_exit() -> None:
        sys.exit(3)

    @tool
    async def async_exit() -> None:
        sys.exit(3)

    @tool
    def stops() -> None:
        raise StopIteration

    for leaves in (sync_exit, async_exit):
        with pytest.raises(RuntimeError, match="raised SystemExit: 3"):
            await leaves.call("{}")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await stops.call("{}")


async def test_a_spec_without_a_function_cannot_be_called() -> None:
    with pytest.raises(UsageError, match="'far' is a spec without a function"):
        await Tool("far", "", {"type": "object"}).call("{}")


# --- outputs ----------------------------------------------------------------------------------------


async def _output(value: Any, *, max_output_bytes: int = 1000) -> str:
    @tool(max_output_bytes=max_output_bytes)
    async def give() -> Any:
        return value

    return await give.call("{}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("NaN and Infinity", '"NaN and Infinity"'),
        ({"é": [1, 2.5, True]}, '{"é":[1,2.5,true]}'),
        (Point(1, 2.5), '{"x":1,"y":2.5}'),
        (Colour.RED, '"red"'),
        ((1, 2), "[1,2]"),
        (10**30, "1" + "0" * 30),
    ],
)
async def test_outputs_become_json(value: Any, text: str) -> None:
    assert await _output(value) == text


_circle: list[Any] = []
_circle.append(_circle)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "returned a float with NaN or Infinity"),
        ({"deep": [float("-inf")]}, "returned a dict with NaN or Infinity"),
        (object(), "returned an object that is not JSON"),
        ([b"\xff"], "returned a list that is not JSON"),
        ("\ud800", "returned a str that is not JSON"),
        (_circle, "Circular reference"),
    ],
)
async def test_what_is_no_json_is_an_error_and_never_null(value: Any, message: str) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        await _output(value)
    assert caught.value.reason == INVALID


async def test_an_output_that_is_too_large_is_an_error_that_names_both_sizes() -> None:
    assert await _output("é" * 4, max_output_bytes=10)
    with pytest.raises(OutputError, match=r"returned 12 bytes of JSON; max_output_bytes is 11") as caught:
        await _output("é" * 5, max_output_bytes=11)
    assert caught.value.reason == TOO_LARGE


async def test_outputs_of_sync_functions_are_checked_too() -> None:
    @tool(max_output_bytes=5)
    def large() -> str:
        return "x" * 100

    with pytest.raises(OutputError, match="102 bytes"):
        await large.call("{}")


# --- exit -------------------------------------------------------------------------------------------

_HANGS = """
import asyncio, threading
from dovetail.tools.definition import tool

@tool
def hang() -> None:
    threading.Event().wait()

async def main() -> None:
    for _ in range(3):
        try:
            await asyncio.wait_for(hang.call("{}"), 0.01)
        except TimeoutError:
            print("timed out")

asyncio.run(main())
"""


def test_a_hung_sync_tool_does_not_keep_the_interpreter_from_exiting() -> None:
    done = subprocess.run([sys.executable, "-c", _HANGS], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n") == ["timed out"] * 3 + [""]


def test_no_module_hides_the_decorator() -> None:
    # A module `dovetail.tool` would take the name `tool` from the package as soon as anything imports it.
    code = "import dovetail.tools.tool_set, dovetail.builtin; from dovetail import tool; assert callable(tool)"
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)

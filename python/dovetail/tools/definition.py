"""A tool: what a plan may call. Its spec (name, schemas, hints, limits) and the function behind it."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args, overload

from dovetail.errors import ToolDefinitionError, UsageError
from dovetail.processes.address import FunctionAddress
from dovetail.tools.call_context import CallContext
from dovetail.tools.function_call import call_function
from dovetail.tools.outputs import encode_output
from dovetail.tools.policy import PLAIN, Policy, Rate
from dovetail.tools.tool_check import check_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dovetail.tools.call import Backend
    from dovetail.tools.secret import SecretParameter
    from dovetail.tools.signature import Converter

__all__ = ["FunctionTool", "Tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT: Final = 60.0
DEFAULT_MAX_OUTPUT_BYTES: Final = 1024 * 1024

# The hints of MCP's Tool shape and our names for them.
_HINTS: Final = {
    "readOnlyHint": "read_only",
    "idempotentHint": "idempotent",
    "destructiveHint": "destructive",
}
# MCP has no such hints; `_meta` is its place for what others do not know.
SEQUENTIAL: Final = "dovetail/sequential"
APPROVAL: Final = "dovetail/approval"
_META: Final = {SEQUENTIAL: "sequential", APPROVAL: "approval"}

Isolation: TypeAlias = Literal["none", "process"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]{0,127}")


@dataclass(frozen=True, eq=False)
class Tool:
    """What a plan may call. Made by `tool` from a function, or read from a spec, and then without a function.

    Attributes:
        name: letters, digits and ``_ - . / :``; not ``join``, which closes a plan.
        description: what the planner is told the tool does.
        input_schema: the JSON Schema of its arguments, an object.
        output_schema: the JSON Schema of its output, if it is known.
        read_only: it changes nothing: a call may be made again, or left out if the same was made before.
        idempotent: making the same call twice has the effect of making it once.
        destructive: it may destroy what cannot be brought back.
        sequential: its calls must not overlap in a run.
        approval: a person must approve each call.
        isolation: ``process``: its calls are made in child processes, which can be killed; ``none``: in this one.
        timeout: how many seconds a call may take; None for no limit.
        max_output_bytes: how large its output may be, as JSON text.
        policy: how else its calls are made.
        backend: who carries out its calls; None for this process, which calls `function`.
        function: what is called; None for a spec without a function.
        converters: what turns JSON arguments into what the function takes, where they differ.
        context_parameter: the parameter of the function that takes the `CallContext`, if there is one.
        secrets: the parameters of the function that take a `dovetail.Secret` from the environment.
        is_async: whether the function runs on the event loop; it runs in a thread if not.
        address: where another process finds the function, if that is where it runs.

    Raises:
        ToolDefinitionError: a field cannot be used; the message names the tool and the field.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    sequential: bool = False
    approval: bool = False
    isolation: Isolation = "none"
    timeout: float | None = DEFAULT_TIMEOUT
    max_output_bytes: int = DEFAULT_MAX_OUTPUT_BYTES
    policy: Policy = PLAIN
    backend: Backend | None = field(default=None, repr=False)
    function: Callable[..., Any] | None = field(default=None, repr=False)
    converters: tuple[Converter, ...] = field(default=(), repr=False)
    context_parameter: str | None = field(default=None, repr=False)
    secrets: tuple[SecretParameter, ...] = field(default=(), repr=False)
    is_async: bool = field(init=False, repr=False)
    address: FunctionAddress | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.lower() == "join":
            raise ToolDefinitionError(
                f"tool {self.name!r}: the name must be letters, digits and _ - . / : beginning with a letter "
                "or _, at most 128 in all, and not 'join'",
                field="name",
            )
        check_spec(self.name, self.description, self.input_schema, self.output_schema)
        if self.timeout is not None and not self.timeout > 0:
            raise ToolDefinitionError(f"tool {self.name!r}: timeout is {self.timeout}; it must be above 0, or None")
        if self.max_output_bytes < 1:
            raise ToolDefinitionError(f"tool {self.name!r}: max_output_bytes is {self.max_output_bytes}; at least 1")
        if self.policy.cache is not None and not self.read_only:
            raise ToolDefinitionError(
                f"tool {self.name!r}: cache: only outputs of a read_only tool can be used again", field="policy"
            )
        object.__setattr__(self, "address", self._find_address())
        # Found out once here and not at every call. A callable object is async if its `__call__` is.
        called = getattr(self.function, "__call__", None)  # noqa: B004
        is_async = inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(called)
        object.__setattr__(self, "is_async", is_async)

    @property
    def repeatable(self) -> bool:
        """Whether a call of which nobody knows how far it came may be made again."""
        return self.read_only or self.idempotent

    async def call(self, arguments_json: str | bytes, context: CallContext | None = None) -> str:
        """Call the function: on the event loop if it is async, in a thread if not.

        Cancelling this cancels an async function; a sync one runs on in its thread, its output dropped.
        The timeout is the caller's to keep.

        Args:
            arguments_json: a JSON object that satisfies the input schema.
            context: the call that this is, for a function that asks for it.

        Returns:
            The output, as JSON text.

        Raises:
            OutputError: the output is no JSON value, or too large.
            CallFailedError: the tool is isolated, and its function raised or its process died.
            UsageError: there is no function behind this tool, or the variable of a secret is not set.
            ValueError: the arguments are no JSON object, or a type has demands that its schema does not show.
            Exception: whatever else the function raised.
        """
        if self.isolation == "process":
            # Imported here because most do without.
            from dovetail.processes.pool import shared_processes

            context = context or CallContext()
            seconds = context.seconds_left()
            return await shared_processes.call(
                self,
                arguments_json,
                context,
                seconds=seconds,
                progressed=context.report,
                model_called=context.count,
            )
        return await call_function(self, arguments_json, context)

    def _find_address(self) -> FunctionAddress | None:
        if self.isolation not in get_args(Isolation):
            raise ToolDefinitionError(
                f"tool {self.name!r}: isolation is {self.isolation!r}; it must be 'none' or 'process'",
                field="isolation",
            )
        if self.isolation == "none":
            return None
        if self.function is None or self.backend is not None:
            raise ToolDefinitionError(
                f"tool {self.name!r}: isolation='process' needs a function behind the tool, and nothing else",
                field="isolation",
            )
        return FunctionAddress.of(self.function, self.name)

    def encode(self, output: Any) -> str:
        """Turn what the function returned into JSON text.

        Raises:
            OutputError: it is no JSON value, or too large.
        """
        return encode_output(output, self.name, self.max_output_bytes, cut=self.policy.large_output == "cut")

    def to_mcp(self) -> dict[str, Any]:
        """The spec in MCP's Tool shape. Hints that are not claimed are left out."""
        shape: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input_schema,
        }
        if self.output_schema is not None:
            shape["outputSchema"] = self.output_schema
        if hints := {hint: True for hint, ours in _HINTS.items() if getattr(self, ours)}:
            shape["annotations"] = hints
        if meta := {key: True for key, ours in _META.items() if getattr(self, ours)}:
            shape["_meta"] = meta
        return shape


class FunctionTool(Tool, Generic[P, R]):
    """A tool that is still the function that it was made from: calling it calls the function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as it is, past schemas and limits."""
        function: Callable[P, R] = self.function  # type: ignore[assignment]  # `tool` always gives one
        return function(*args, **kwargs)


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool = False,
    idempotent: bool = False,
    destructive: bool = False,
    sequential: bool = False,
    approval: bool = False,
    isolation: Isolation = "none",
    timeout: float | None = DEFAULT_TIMEOUT,
    max_output_bytes: int = DEFAULT_MAX_OUTPUT_BYTES,
    policy: Policy = PLAIN,
    task_timeout: float | None = None,
    idle_timeout: float | None = None,
    retries: int = 0,
    backoff: float = 0.5,
    max_parallel: int | None = None,
    rate: Rate | str | None = None,
    breaker_failures: int | None = None,
    breaker_pause: float = 30.0,
    cache: float | None = None,
    exclusive: tuple[str, ...] | str = (),
    large_output: Literal["fail", "cut"] = "fail",
    approval_timeout: float | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    **spec: Any,
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a tool of a function, as ``@tool`` or ``@tool(read_only=True, …)``.

    Its name is the function's, its description the docstring up to the first section, its schemas come from
    the type hints, and the ``Args:`` section describes the arguments. An async function runs on the event
    loop, so it must not block; any other runs in a thread. With ``isolation="process"`` either runs in a process.

    Args:
        function: the function; what is decorated stays callable as it was.
        name: the tool's name, if it is not the function's.
        description: what the planner is told, if it is not the docstring.
        **spec: the other fields of `Tool`: ``read_only``, ``idempotent``, ``destructive``, ``sequential``,
            ``approval``, ``isolation``, ``timeout``, ``max_output_bytes``; and those of `dovetail.tools.policy.Policy`:
            ``retries``, ``rate``, ``cache``, ``breaker_failures``, …

    Raises:
        ToolDefinitionError: no schema can be made of the signature, or a field cannot be used; the message
            names the tool and the parameter.
    """
    if changes := {field: spec.pop(field) for field in list(spec) if field in Policy.names()}:
        try:
            spec["policy"] = spec.get("policy", PLAIN).but(changes)
        except UsageError as error:
            raise ToolDefinitionError(f"a tool's {error}") from error
    if function is None:
        return lambda function: _make(function, name, description, spec)
    return _make(function, name, description, spec)


def _make(
    function: Callable[P, R], name: str | None, description: str | None, spec: Mapping[str, Any]
) -> FunctionTool[P, R]:
    if isinstance(function, Tool):
        raise ToolDefinitionError(f"tool {function.name!r} is a tool already; decorate the function once")
    if not callable(function) or inspect.isclass(function):
        raise ToolDefinitionError(f"{function!r} cannot be a tool: a function is needed")
    if name is None:
        named = function.func if isinstance(function, functools.partial) else function
        name = str(getattr(named, "__name__", None) or type(named).__name__)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ToolDefinitionError(f"tool {name!r} is a generator; return a list of what it yields")
    # Imported here because it takes pydantic, which tools read from a spec can do without.
    from dovetail.tools.signature import Signature

    signature = Signature.of(function, name)
    made = FunctionTool[P, R](
        name=name,
        description=signature.description if description is None else description,
        input_schema=signature.input_schema,
        output_schema=signature.output_schema,
        function=function,
        converters=signature.converters,
        context_parameter=signature.context_parameter,
        secrets=signature.secrets,
        **spec,
    )
    functools.update_wrapper(made, function, updated=())
    return made

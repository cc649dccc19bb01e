"""From a function's signature to a tool's schemas, and from JSON arguments to what the function takes."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import SchemaError

from dovetail.errors import ToolDefinitionError
from dovetail.tools.call_context import CallContext
from dovetail.tools.docstring import Docstring
from dovetail.tools.secret import SecretParameter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Converter", "Signature"]

_PLAIN = {str, bool, float, type(None), None, Any, list, dict}
_UNUSABLE = (
    PydanticUserError,
    PydanticInvalidForJsonSchema,
    SchemaError,
    TypeError,
    NameError,
    AttributeError,
)


@dataclass(frozen=True, slots=True)
class Converter:
    """Turns one JSON argument into the type that its parameter is declared with.

    Attributes:
        name: the parameter.
        adapter: what converts it, or None for a parameter that is only ever an integer: JSON Schema takes
            ``2.0`` for one, and Python does not.
    """

    name: str
    adapter: TypeAdapter[Any] | None

    def convert(self, value: Any) -> Any:
        """Convert a value that the schema has let through.

        Raises:
            ValueError: the type has demands that its schema does not show; the message names the parameter.
        """
        if self.adapter is None:
            return int(value) if type(value) is float and value.is_integer() else value
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(f"argument {self.name!r}: {'; '.join(_explain(error))}") from error


@dataclass(frozen=True, slots=True)
class Signature:
    """What a tool's function takes and gives, as JSON Schema.

    Attributes:
        description: the docstring's text before its sections.
        input_schema: an object schema with the parameters, in their order, as properties.
        output_schema: the schema of the return type, or None where the function does not declare one.
        converters: the parameters whose JSON values are not yet what the function takes.
        context_parameter: the parameter that takes the `CallContext`, if there is one.
        secrets: the parameters that take a `dovetail.Secret`.
    """

    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    converters: tuple[Converter, ...]
    context_parameter: str | None
    secrets: tuple[SecretParameter, ...]

    @classmethod
    def of(cls, function: Callable[..., Any], tool: str) -> Signature:
        """Read a function's signature, type hints and docstring.

        Args:
            function: the function.
            tool: the tool's name, for error messages.

        Raises:
            ToolDefinitionError: a parameter has no type, cannot be given by name, takes any number of
                arguments, or has a type that JSON Schema cannot describe; or a type hint names something
                unknown.
        """
        parameters = _parameters(function, tool)
        try:
            hints = get_type_hints(_hinted(function), include_extras=True)
        except (NameError, TypeError, SyntaxError, AttributeError) as error:
            raise ToolDefinitionError(
                f"tool {tool!r}: its type hints cannot be resolved ({error}); import the type or define it "
                "at the top level of the module"
            ) from error
        context = [parameter for parameter in parameters if hints.get(parameter.name) is CallContext]
        if len(context) > 1:
            raise ToolDefinitionError(f"tool {tool!r}: {len(context)} parameters take the CallContext; one is enough")
        secrets = _secrets(parameters, hints, tool)
        hidden = {parameter.name for parameter in context} | {secret.name for secret in secrets}
        parameters = [parameter for parameter in parameters if parameter.name not in hidden]
        docstring = Docstring.parse(inspect.getdoc(function))
        adapters: dict[str, TypeAdapter[Any]] = {}
        schemas: dict[str, dict[str, Any]] = {}
        for name in (parameter.name for parameter in parameters):
            if name not in hints:
                remedy = "; of a method, decorate the bound one: tool(instance.method)" if name == "self" else ""
                raise ToolDefinitionError(f"tool {tool!r}: parameter {name!r} has no type annotation{remedy}")
            schemas[name], adapters[name] = _describe(hints[name], tool, f"parameter {name!r}")
        input_schema = _input(parameters, *_definitions(schemas, adapters), adapters, docstring)
        converters = tuple(
            Converter(name, None if _is_integer(hints[name]) else adapter)
            for name, adapter in adapters.items()
            if not _is_plain(hints[name])
        )
        context_parameter = context[0].name if context else None
        output_schema = _output(hints, docstring, tool)
        return cls(docstring.description, input_schema, output_schema, converters, context_parameter, secrets)


def _hinted(function: Callable[..., Any]) -> Any:
    """What carries the annotations: a callable object has them on its ``__call__``."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if inspect.isroutine(function):
        return function
    return getattr(function, "func", None) or type(function).__call__


def _parameters(function: Callable[..., Any], tool: str) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ToolDefinitionError(f"tool {tool!r}: its signature cannot be read ({error})") from error
    for parameter in parameters:
        at = f"tool {tool!r}: parameter"
        if isinstance(parameter.default, FieldInfo):
            raise ToolDefinitionError(
                f"{at} {parameter.name!r} has Field(...) as its default; write Annotated[type, Field(...)] = default"
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ToolDefinitionError(f"{at} {parameter.name!r} is positional-only, and arguments are given by name")
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ToolDefinitionError(f"{at} '*{parameter.name}' takes any number of arguments; take one list instead")
        if parameter.kind is parameter.VAR_KEYWORD:
            raise ToolDefinitionError(f"{at} '**{parameter.name}' takes any argument; take one dict instead")
    return parameters


def _secrets(parameters: list[inspect.Parameter], hints: Mapping[str, Any], tool: str) -> tuple[SecretParameter, ...]:
    found = (
        SecretParameter.of(one.name, hints.get(one.name), required=one.default is one.empty, tool=tool)
        for one in parameters
    )
    return tuple(secret for secret in found if secret is not None)


def _definitions(
    schemas: dict[str, dict[str, Any]], adapters: Mapping[str, TypeAdapter[Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Move the definitions that parameters bring with them to one place."""
    definitions: dict[str, Any] = {}
    properties: dict[str, dict[str, Any]] = {}
    for name, schema in schemas.items():
        own = schema.get("$defs", {})
        if any(definitions.get(key, value) != value for key, value in own.items()):
            # Two types of one name: pydantic tells them apart if it sees all parameters together, but then it
            # writes every type as a reference, which is harder to read for a model.
            together, shared = TypeAdapter.json_schemas(
                [(name, "validation", adapter) for name, adapter in adapters.items()]
            )
            plain = _without_titles(shared).get("$defs", {})
            return {name: _without_titles(together[name, "validation"]) for name in adapters}, plain
        definitions.update(own)
        properties[name] = {key: value for key, value in schema.items() if key != "$defs"}
    return properties, definitions


def _input(
    parameters: list[inspect.Parameter],
    properties: dict[str, dict[str, Any]],
    definitions: dict[str, Any],
    adapters: Mapping[str, TypeAdapter[Any]],
    docstring: Docstring,
) -> dict[str, Any]:
    for parameter in parameters:
        schema = properties[parameter.name]
        if parameter.name in docstring.arguments:
            schema.setdefault("description", docstring.arguments[parameter.name])
        if parameter.default is not parameter.empty:
            # A default that is no JSON (a sentinel) is still a default: the schema just does not show it.
            with suppress(Exception):
                adapter = adapters[parameter.name]
                schema["default"] = adapter.dump_python(parameter.default, mode="json", warnings="error")
    input_schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if required:
        input_schema["required"] = required
    if definitions:
        input_schema["$defs"] = definitions
    return input_schema


def _output(hints: Mapping[str, Any], docstring: Docstring, tool: str) -> dict[str, Any] | None:
    hint = hints.get("return", Any)
    if get_origin(hint) in (
        Awaitable,
        Coroutine,
    ):  # a function that returns a coroutine without being `async def`
        hint = get_args(hint)[-1]
    if hint is Any:
        return None
    schema, _ = _describe(hint, tool, "the return type", mode="serialization")
    if docstring.returns and "description" not in schema and "$ref" not in schema:
        schema["description"] = docstring.returns
    return schema


def _describe(
    hint: Any, tool: str, where: str, *, mode: Literal["validation", "serialization"] = "validation"
) -> tuple[dict[str, Any], TypeAdapter[Any]]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        schema = adapter.json_schema(mode=mode)
    except _UNUSABLE as error:
        shown = inspect.formatannotation(hint)
        reason = str(error).splitlines()[0]
        raise ToolDefinitionError(
            f"tool {tool!r}: {where} has type {shown}, which JSON Schema cannot describe: {reason}"
        ) from error
    return _without_titles(schema), adapter


def _without_titles(schema: Any) -> Any:
    """Drop pydantic's titles, which repeat the names; a property that is called ``title`` stays."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in {"properties", "$defs", "patternProperties"}:
            kept[key] = {name: _without_titles(inner) for name, inner in value.items()}
        elif key in {"anyOf", "oneOf", "allOf", "prefixItems"}:
            kept[key] = [_without_titles(inner) for inner in value]
        elif key in {"items", "additionalProperties", "not", "contains", "propertyNames"}:
            kept[key] = _without_titles(value)
        else:
            kept[key] = value
    return kept


def _is_plain(hint: Any) -> bool:
    """Whether a JSON value that fits the schema is already what the function takes."""
    try:
        if hint in _PLAIN:
            return True
    except TypeError:  # not hashable
        return False
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        # A field only adds to the schema; validators and the like may change the value.
        return _is_plain(arguments[0]) and all(isinstance(extra, FieldInfo) for extra in arguments[1:])
    if origin is Literal:
        return all(type(value) in (str, int, bool, type(None)) for value in arguments)
    if origin in (Union, types.UnionType, list):
        return all(map(_is_plain, arguments))
    return origin is dict and arguments[0] is str and _is_plain(arguments[1])


def _is_integer(hint: Any) -> bool:
    """Whether a parameter takes an integer and nothing else, but for None."""
    return hint is int or (get_origin(hint) in (Union, types.UnionType) and set(get_args(hint)) == {int, type(None)})


def _explain(error: ValidationError) -> Iterator[str]:
    for entry in error.errors(include_url=False, include_context=False):
        path = ".".join(map(str, entry["loc"]))
        yield f"{path}: {entry['msg']}" if path else entry["msg"]

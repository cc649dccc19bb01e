"""Secrets: what a tool needs and nobody else may see. Taken from the environment, never from a plan.

A secret is kept out of what leaves a tool by its text: outputs, errors and progress that contain it, as it is or as
Python, JSON or a URL would write it, name its variable instead. Whoever returns it in base64 or cut in two returns it.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin
from urllib.parse import quote

from pydantic_core import SchemaSerializer, core_schema, from_json, to_json

from dovetail.errors import ToolDefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dovetail.tools.call_context import CallContext
    from dovetail.tools.definition import Tool

__all__ = ["SHORTEST_HIDDEN", "Secret", "SecretParameter", "SecretsInUse", "check_secrets"]

SHORTEST_HIDDEN: Final = 6
"""A shorter value is not looked for in texts: it would be found in half of them."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|[-0-9][-+.eE0-9]*')


class _Late:
    """What `Secret.LATE` is."""

    def __repr__(self) -> str:
        return "Secret.LATE"


class Secret:
    """A text that shows itself only to whoever asks for it by `reveal`.

    A tool takes one in a parameter ``token: Annotated[Secret, "GITHUB_TOKEN"]``; its value is that of the environment
    variable at the time of the call. Models, schemas and prompts see nothing of the parameter. The variable must be set
    when the tool is taken up by an engine, an executor, a server or a client: nobody is to find out at the first call.
    With ``Annotated[Secret, "GITHUB_TOKEN", Secret.LATE]`` it may be set later, up to the call.

    Args:
        value: the text.
        name: what it is called where it is not shown: the variable that it comes from.
    """

    __slots__ = ("_name", "_value")

    LATE: Final = _Late()

    # What pydantic does with a value of a type that it does not know: the same in an output, a model and a dataclass.
    __pydantic_serializer__ = SchemaSerializer(
        core_schema.any_schema(serialization=core_schema.to_string_ser_schema(when_used="always"))
    )

    def __init__(self, value: str, name: str = "") -> None:
        self._value = value
        self._name = name

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def __str__(self) -> str:
        return f"[secret {self._name}]" if self._name else "[secret]"

    def __repr__(self) -> str:
        return str(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls, serialization=core_schema.to_string_ser_schema(when_used="always"))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class SecretParameter:
    """A parameter of a tool's function that takes a `Secret`.

    Attributes:
        name: the parameter.
        variable: the environment variable that it comes from.
        required: whether there is no default to go without.
        late: whether the variable need not be set before the first call.
    """

    name: str
    variable: str
    required: bool
    late: bool = False

    @classmethod
    def of(cls, name: str, hint: Any, *, required: bool, tool: str) -> SecretParameter | None:
        """Read a parameter's type hint; None if it takes no secret.

        Raises:
            ToolDefinitionError: it takes a secret, and does not say which.
        """
        kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if kind is not Secret and Secret not in get_args(kind):
            return None
        variables = [extra for extra in extras if isinstance(extra, str) and _VARIABLE.fullmatch(extra)]
        if len(variables) != 1 or not set(get_args(kind)) <= {Secret, type(None)}:
            raise ToolDefinitionError(
                f"tool {tool!r}: parameter {name!r} takes a Secret, and must name the environment variable that it "
                f'comes from: {name}: Annotated[Secret, "NAME"]'
            )
        return cls(name, variables[0], required, late=any(extra is Secret.LATE for extra in extras))

    @property
    def missing(self) -> bool:
        """Whether the tool cannot be called for want of it."""
        return self.required and not os.environ.get(self.variable)


def check_secrets(tools: Iterable[Tool]) -> None:
    """See that the variables of tools' secrets are set, before anything is called.

    Raises:
        UsageError: some are not, or are empty; the message names the tools, their parameters and the variables.
    """
    lacking = [
        f"{parameter.variable} (parameter {parameter.name!r} of tool {tool.name!r})"
        for tool in tools
        for parameter in tool.secrets
        if parameter.missing and not parameter.late
    ]
    if lacking:
        raise UsageError(
            f"environment variables that tools take secrets from are not set: {', '.join(lacking)}; set them where the "
            'tools run, or declare Annotated[Secret, "NAME", Secret.LATE] for one that is set later'
        )


class SecretsInUse:
    """The secrets of one call: given to the function, and kept out of what comes of it.

    Args:
        parameters: those of the tool that take secrets.
        tool: the tool's name.

    Attributes:
        arguments: the secrets, by parameter.

    Raises:
        UsageError: a variable is not set, or is empty; the message names it.
    """

    __slots__ = ("_hidden", "arguments")

    def __init__(self, parameters: Iterable[SecretParameter], tool: str) -> None:
        self.arguments: dict[str, Secret] = {}
        hidden: dict[str, str] = {}
        for parameter in parameters:
            value = os.environ.get(parameter.variable, "")
            if value:
                self.arguments[parameter.name] = secret = Secret(value, parameter.variable)
                if len(value) >= SHORTEST_HIDDEN:
                    hidden |= dict.fromkeys(_spellings(value), str(secret))
            elif parameter.missing:
                raise UsageError(
                    f"tool {tool!r}: the environment variable {parameter.variable} is not set, and its parameter "
                    f"{parameter.name!r} is taken from it; set it where the tool runs"
                )
        # The longest first: one secret may be a part of another.
        self._hidden = sorted(hidden.items(), key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        """A text without the secrets."""
        for value, shown in self._hidden:
            text = text.replace(value, shown)
        return text

    def output(self, output_json: str) -> str:
        """A JSON text of `Tool.encode` without the secrets; still JSON, also where a number contained one."""
        if not any(to_json(value)[1:-1].decode() in output_json for value, _ in self._hidden):
            return output_json
        return _STRING_OR_NUMBER.sub(self._token, output_json)

    def _token(self, found: re.Match[str]) -> str:
        token = found[0]
        shown = from_json(token) if token[0] == '"' else token
        hidden = self.text(shown)
        return token if hidden == shown else to_json(hidden).decode()

    def context(self, context: CallContext) -> CallContext:
        """The call's context, its progress reported without the secrets."""
        report = context._report  # noqa: SLF001 - what is given to the tool is made of what the call was given
        return replace(context, _report=lambda fraction, message: report(fraction, self.text(str(message))))

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Let errors out without the secrets: where one or what is behind it has any, another of its type is raised."""
        try:
            yield
        except BaseException as error:
            if (other := self._without_secrets(error)) is error:
                raise
            raise other from None

    def _without_secrets(self, error: BaseException) -> BaseException:
        whole = "".join(traceback.format_exception(error))
        try:
            text = str(error)
        except Exception:  # an error may fail to say what it is; then it says nothing
            text = ""
        if all(value not in whole and value not in text for value, _ in self._hidden):
            return error
        return _without_text(error, self.text(text))


def _spellings(value: str) -> set[str]:
    """A value as errors and outputs write it: as it is, and quoted by Python, JSON or a URL."""
    return {value, repr(value)[1:-1], to_json(value)[1:-1].decode(), json.dumps(value)[1:-1], quote(value, safe="")}


def _without_text(error: BaseException, text: str) -> BaseException:
    """An error of the same type and another text: without causes, notes and whatever else it carried but numbers."""
    kind = type(error)
    numbers = {key: value for key, value in vars(error).items() if isinstance(value, int | float)}
    try:
        named: type[BaseException] = type(kind.__name__, (kind,), {"__str__": lambda _: text, "__module__": __name__})
        made = named.__new__(named, text)
        made.args = (text,)
        vars(made).update(numbers)
    except Exception:  # a type that does not let itself be made like this
        return RuntimeError(f"{kind.__name__}: {text}")
    return made

"""Secrets: given to tools from the environment, and kept out of what comes of them."""

from __future__ import annotations

import dataclasses
import json
import traceback
from typing import Annotated, Any

import pydantic
import pytest

from dovetail import CallContext, Client, Engine, Executor, Secret, ToolDefinitionError, tool
from dovetail.errors import UsageError
from scripted import ScriptedModel

pytestmark = pytest.mark.anyio

VALUE = 'gh-"\\é-0123456'
Token = Annotated[Secret, "GITHUB_TOKEN"]


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", VALUE)


def test_a_secret_is_no_part_of_the_schema() -> None:
    @tool
    def issues(repository: str, token: Token) -> int:
        return len(token.reveal())

    assert list(issues.input_schema["properties"]) == ["repository"]
    assert "GITHUB_TOKEN" not in json.dumps(issues.to_mcp())
    assert "token" not in json.dumps(issues.to_mcp())
    assert issues("a/b", Secret("four")) == 4


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_tool_is_given_the_value_of_the_variable_at_each_call(
    monkeypatch: pytest.MonkeyPatch, blocking: bool
) -> None:
    def length(token: Token) -> int:
        return len(token.reveal())

    async def length_async(token: Token) -> int:
        return len(token.reveal())

    made: Any = tool(length) if blocking else tool(length_async)
    assert await made.call("{}") == str(len(VALUE))
    monkeypatch.setenv("GITHUB_TOKEN", "four")
    assert await made.call("{}") == "4"


@pytest.mark.parametrize("value", [None, ""])
async def test_a_variable_that_is_not_set_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    if value is not None:
        monkeypatch.setenv("GITHUB_TOKEN", value)

    @tool
    def issues(token: Token) -> None: ...

    with pytest.raises(UsageError, match=r"tool 'issues': the environment variable GITHUB_TOKEN is not set"):
        await issues.call("{}")


def takes(taken: str, tools: list[Any]) -> None:
    """Have tools taken up: by an engine, an executor."""
    if taken == "engine":
        Engine(tools, ScriptedModel())
    else:
        Executor(tools, "localhost:1")


@pytest.mark.parametrize("taken", ["engine", "executor"])
def test_a_variable_that_is_not_set_is_found_before_the_first_call(monkeypatch: pytest.MonkeyPatch, taken: str) -> None:
    @tool
    def issues(token: Token) -> None: ...

    @tool
    def pull(a: Token, b: Annotated[Secret, "OTHER_TOKEN"]) -> None: ...

    monkeypatch.setenv("OTHER_TOKEN", "")
    with pytest.raises(UsageError) as wrong:
        takes(taken, [issues, pull])
    assert "not set: OTHER_TOKEN (parameter 'b' of tool 'pull'); set them where" in str(wrong.value)
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(UsageError) as wrong:
        takes(taken, [issues])
    assert "not set: GITHUB_TOKEN (parameter 'token' of tool 'issues');" in str(wrong.value)
    monkeypatch.setenv("GITHUB_TOKEN", VALUE)
    takes(taken, [issues])


@pytest.mark.parametrize("taken", ["engine", "executor"])
async def test_a_secret_that_may_be_late_or_can_be_gone_without_keeps_nobody_from_starting(
    monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    @tool
    def late(token: Annotated[Secret, "GITHUB_TOKEN", Secret.LATE]) -> int:
        return len(token.reveal())

    @tool
    def without(token: Annotated[Secret | None, "GITHUB_TOKEN"] = None) -> None: ...

    monkeypatch.delenv("GITHUB_TOKEN")
    takes(taken, [late, without])
    with pytest.raises(UsageError, match="GITHUB_TOKEN is not set"):
        await late.call("{}")
    monkeypatch.setenv("GITHUB_TOKEN", "four")
    assert await late.call("{}") == "4"


async def test_a_client_that_brings_a_tool_along_is_told_before_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    @tool
    def issues(token: Token) -> None: ...

    monkeypatch.delenv("GITHUB_TOKEN")
    async with Client("localhost:1") as client:
        with pytest.raises(UsageError, match="not set: GITHUB_TOKEN"):
            await client.stream("why?", client_tools=[issues])


async def test_a_parameter_with_a_default_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    @tool
    def issues(token: Annotated[Secret | None, "GITHUB_TOKEN"] = None) -> bool:
        return token is None

    assert await issues.call("{}") == "false"
    monkeypatch.delenv("GITHUB_TOKEN")
    assert await issues.call("{}") == "true"


@pytest.mark.parametrize("hint", [Secret, Secret | None, Annotated[Secret, "no name"], Annotated[Secret | str, "A"]])
def test_a_secret_without_the_name_of_a_variable_is_no_tool(hint: Any) -> None:
    def issues(token: Any) -> None: ...

    issues.__annotations__["token"] = hint
    with pytest.raises(ToolDefinitionError, match=r"parameter 'token' takes a Secret, and must name the environment"):
        tool(issues)


def test_a_secret_does_not_show_itself() -> None:
    class Model(pydantic.BaseModel):
        token: Secret

    @dataclasses.dataclass
    class Plain:
        token: Secret

    secret = Secret(VALUE, "GITHUB_TOKEN")
    shown = "[secret GITHUB_TOKEN]"
    assert [str(secret), repr(secret), f"{secret}"] == [shown] * 3
    assert str([secret]) == f"[{shown}]"
    assert Model(token=secret).model_dump_json() == f'{{"token":"{shown}"}}'
    assert Model(token=secret).model_dump() == {"token": shown}
    assert VALUE not in repr(Model(token=secret)) + repr(Plain(secret))
    assert str(Secret("x")) == "[secret]"

    @tool
    def leak() -> list[Any]:
        return [secret, Model(token=secret), Plain(secret), {"a": secret}]

    assert json.loads(leak.encode(leak())) == [shown, {"token": shown}, {"token": shown}, {"a": shown}]


async def test_an_output_that_contains_a_secret_names_it_instead() -> None:
    @tool
    def leak(token: Token) -> Any:
        return {"header": f"Bearer {token.reveal()}!", token.reveal(): ["\\n", 5, token.reveal()[1:]]}

    output = json.loads(await leak.call("{}"))
    shown = "[secret GITHUB_TOKEN]"
    assert output == {"header": f"Bearer {shown}!", shown: ["\\n", 5, VALUE[1:]]}


async def test_an_output_in_which_a_number_contains_a_secret_is_still_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "123456")

    @tool
    def leak(token: Token) -> Any:
        return [123456, -1234567.5, 12345, "n123456", "\n123456", True]

    shown = "[secret GITHUB_TOKEN]"
    assert json.loads(await leak.call("{}")) == [shown, f"-{shown}7.5", 12345, f"n{shown}", f"\n{shown}", True]


async def test_a_short_secret_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "true")

    @tool
    def say(token: Token) -> Any:
        return [True, "true"]

    assert await say.call("{}") == '[true,"true"]'


async def test_the_longer_of_two_secrets_is_hidden_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "abcdef")
    monkeypatch.setenv("LONG", "abcdefghi")

    @tool
    def leak(a: Annotated[Secret, "SHORT"], b: Annotated[Secret, "LONG"]) -> str:
        return f"{a.reveal()} {b.reveal()}"

    assert await leak.call("{}") == '"[secret SHORT] [secret LONG]"'


class _QuotaError(Exception):
    def __init__(self, token: str, seconds: float) -> None:
        super().__init__(token, seconds)
        self.token = token
        self.seconds = seconds

    def __str__(self) -> str:
        return f"quota of {self.token} is used up"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"bad credentials {VALUE}"),
        OSError(5, f"no {VALUE}"),
        KeyError(VALUE),
        _QuotaError(VALUE, 1.5),
        ExceptionGroup("several", [ValueError(VALUE)]),
    ],
)
async def test_an_error_that_contains_a_secret_keeps_its_type_and_not_the_secret(error: Exception) -> None:
    @tool
    async def fail(token: Token) -> None:
        raise error

    with pytest.raises(Exception) as caught:  # noqa: PT011 - its type is what is looked at
        await fail.call("{}")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(vars(caught.value))
    assert VALUE not in shown
    assert repr(VALUE) not in shown
    assert type(error).__name__ in shown
    if isinstance(error, _QuotaError):
        assert isinstance(caught.value, _QuotaError)
        assert caught.value.seconds == 1.5
        assert str(caught.value) == "quota of [secret GITHUB_TOKEN] is used up"


async def test_an_error_behind_an_error_does_not_show_a_secret_either() -> None:
    @tool
    def fail(token: Token) -> None:
        try:
            raise ValueError(token.reveal())
        except ValueError as error:
            raise RuntimeError("it failed") from error

    with pytest.raises(RuntimeError, match="it failed") as caught:
        await fail.call("{}")
    assert VALUE not in "".join(traceback.format_exception(caught.value))


class _MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


async def test_an_error_that_fails_to_say_what_it_is_hides_what_is_behind_it_too() -> None:
    @tool
    async def fail(token: Token) -> None:
        raise _MuteError from ValueError(token.reveal())

    with pytest.raises(_MuteError) as caught:
        await fail.call("{}")
    assert "0123456" not in "".join(traceback.format_exception(caught.value))


async def test_an_error_without_a_secret_is_as_it_was_raised() -> None:
    error = ValueError("no such repository")

    @tool
    async def fail(token: Token) -> None:
        raise error

    with pytest.raises(ValueError, match="no such repository") as caught:
        await fail.call("{}")
    assert caught.value is error


async def test_progress_is_reported_without_secrets() -> None:
    reported: list[str] = []

    @tool
    async def go(token: Token, call: CallContext) -> None:
        call.report(0.5, f"sent {token.reveal()}")

    await go.call("{}", CallContext(_report=lambda _, message: reported.append(message)))
    assert reported == ["sent [secret GITHUB_TOKEN]"]

from __future__ import annotations

import socket
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from dovetail import Engine, tool
from dovetail.errors import ModelError, UsageError
from dovetail.models import Completion, FallbackModel, Grammar, Recording, Replacement, ReplayModel, Usage, open_model
from dovetail.models.fallback import REST_SECONDS, tool_calling_model
from dovetail.v1 import FailureReason
from fault_server import Fault, Script, chunk, serve, sse, usage_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.models import GrammarDialect, Message, Model, ModelStream

pytestmark = pytest.mark.anyio

QUESTION: list[Message] = [{"role": "user", "content": "how high?"}]
DONE = [chunk(finish_reason="stop"), usage_chunk(), sse(b"[DONE]")]
UNAVAILABLE = FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE


def failing(reason: FailureReason = UNAVAILABLE, *, after: str = "", times: int = 1, name: str = "bad") -> ReplayModel:
    pieces = [(0.0, after)]
    return ReplayModel([Recording(pieces, error=ModelError(reason, "it broke"))] * times, name=name)


def saying(*texts: str, name: str = "good") -> ReplayModel:
    return ReplayModel([Recording.cut(text) for text in texts], name=name)


async def ask(model: Model, **options: object) -> tuple[str, Completion]:
    items = [item async for item in model.stream(QUESTION, **options)]  # type: ignore[arg-type]
    completion = items.pop()
    assert isinstance(completion, Completion)
    return "".join(map(str, items)), completion


class Taking(ReplayModel):
    """Keeps the grammars that it is given."""

    def __init__(self, model: ReplayModel, *dialects: GrammarDialect) -> None:
        self.inner = model
        self.dialects = dialects
        self.grammars: list[Grammar | None] = []

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        return self.dialects

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        self.grammars.append(grammar)
        async with aclosing(self.inner.stream(messages, stop=stop, max_tokens=max_tokens)) as pieces:
            async for piece in pieces:
                yield piece


async def test_the_first_model_answers_while_it_can() -> None:
    chain = FallbackModel([saying("one", name="a"), saying("two", name="b")])
    assert chain.name == "replay:a, then replay:b"
    assert await ask(chain) == ("one", Completion("stop", None, "replay:a"))


@pytest.mark.parametrize("reason", ["UNREACHABLE", "UNAVAILABLE", "RATE_LIMITED", "TIMEOUT", "STREAM_CUT"])
async def test_where_one_fails_before_its_first_piece_the_next_is_asked_and_it_is_told(reason: str) -> None:
    failure = FailureReason.Value(f"FAILURE_REASON_MODEL_{reason}")
    told: list[Replacement] = []
    chain = FallbackModel([failing(failure), saying("two")]).telling(told.append)
    assert await ask(chain) == ("two", Completion("stop", None, "replay:good"))
    [replacement] = told
    assert (replacement.from_model, replacement.to_model) == ("replay:bad", "replay:good")
    assert replacement.error.reason == failure


@pytest.mark.parametrize("reason", ["UNAUTHENTICATED", "REJECTED", "PROTOCOL", "GRAMMAR_REFUSED"])
async def test_a_mistake_is_not_worked_around(reason: str) -> None:
    failure = FailureReason.Value(f"FAILURE_REASON_MODEL_{reason}")
    told: list[Replacement] = []
    chain = FallbackModel([failing(failure), saying("two")]).telling(told.append)
    with pytest.raises(ModelError) as raised:
        await ask(chain)
    assert raised.value.reason == failure
    assert told == []


async def test_once_text_has_come_no_other_model_goes_on_with_it() -> None:
    chain = FallbackModel([failing(after="half"), saying("two")])
    async with aclosing(chain.stream(QUESTION)) as pieces:
        assert await anext(pieces) == "half"
        with pytest.raises(ModelError, match="it broke"):
            await anext(pieces)


async def test_where_all_fail_the_failure_is_that_of_the_last() -> None:
    chain = FallbackModel([failing(), failing(FailureReason.FAILURE_REASON_MODEL_TIMEOUT)])
    with pytest.raises(ModelError) as raised:
        await ask(chain)
    assert raised.value.reason == FailureReason.FAILURE_REASON_MODEL_TIMEOUT


async def test_a_model_that_failed_is_asked_last_for_a_while() -> None:
    now = 100.0
    first = ReplayModel([Recording([], error=ModelError(UNAVAILABLE, "down")), Recording.cut("back")], name="a")
    told: list[Replacement] = []
    chain = FallbackModel([first, saying("two", "three", name="b")], clock=lambda: now).telling(told.append)
    assert (await ask(chain))[0] == "two"
    now += REST_SECONDS - 1
    assert (await ask(chain))[1].model == "replay:b"
    assert [(each.from_model, each.to_model) for each in told] == [("replay:a", "replay:b")] * 2
    now += 2
    assert await ask(chain) == ("back", Completion("stop", None, "replay:a"))


async def test_a_model_that_rests_is_asked_where_the_others_fail() -> None:
    first = ReplayModel([Recording([], error=ModelError(UNAVAILABLE, "down")), Recording.cut("back")], name="a")
    second = ReplayModel([Recording.cut("two"), Recording([], error=ModelError(UNAVAILABLE, "down"))], name="b")
    chain = FallbackModel([first, second])
    assert (await ask(chain))[0] == "two"
    assert await ask(chain) == ("back", Completion("stop", None, "replay:a"))


async def test_a_model_is_not_sent_a_grammar_in_a_notation_that_only_the_one_before_takes() -> None:
    lark = Taking(failing(), "lark", "json_schema")
    gbnf = Taking(saying("two", "three"), "gbnf")
    chain = FallbackModel([lark, gbnf])
    assert chain.grammar_dialects == ("lark", "json_schema")
    await ask(chain, grammar=Grammar("lark", "start: x"))
    assert (lark.grammars, gbnf.grammars) == ([Grammar("lark", "start: x")], [None])
    assert chain.grammar_dialects == ("gbnf",)
    await ask(chain, grammar=Grammar("gbnf", "root ::= x"))
    assert gbnf.grammars == [None, Grammar("gbnf", "root ::= x")]


async def test_a_run_records_the_replacement_and_who_answered() -> None:
    @tool
    def look_up(name: str) -> str:
        """Look a name up."""
        return f"{name}: 8849 m"

    chain = FallbackModel([failing(times=9), saying('1. look_up("Everest")\n2. join($1)<END_OF_PLAN>')])
    async with Engine([look_up], chain) as engine:
        run = engine.start("how high?")
        events = [event async for event in run.events()]
    facts = {event.WhichOneof("fact"): event for event in events}
    replaced = facts["model_replaced"].model_replaced
    assert (replaced.from_model, replaced.to_model, replaced.plan) == ("replay:bad", "replay:good", 1)
    assert replaced.failure.reason == UNAVAILABLE
    assert facts["model_call_ended"].model_call_ended.model == "replay:good"
    assert facts["run_answered"].run_answered.answer == "Everest: 8849 m"


async def test_a_server_that_is_down_is_replaced_by_one_that_is_up() -> None:
    async with serve(Script([chunk("x"), *DONE])) as server:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            down = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
            chain = FallbackModel(
                [
                    open_model("openai:a", base_url=down, max_retries=0),
                    open_model("vllm:b", base_url=server.base_url),
                ]
            )
            assert await ask(chain) == ("x", Completion("stop", Usage(11, 7), "vllm:b"))
            await chain.aclose()


async def test_a_silent_server_is_replaced_after_its_timeout() -> None:
    async with serve(Script([Fault.HANG])) as silent, serve(Script([chunk("x"), *DONE])) as server:
        chain = FallbackModel(
            [
                open_model("openai:a", base_url=silent.base_url, api_key="k", timeout=1),
                open_model("openai:b", base_url=server.base_url, api_key="k"),
            ]
        )
        assert (await ask(chain))[1].model == "openai:b"
        await chain.aclose()


def test_a_chain_is_opened_by_its_name() -> None:
    chain = open_model("openai:a, then vllm:b ,then openai:c", base_url="http://gpu/v1", api_key="k", timeout=3)
    assert isinstance(chain, FallbackModel)
    assert chain.name == "openai:a, then vllm:b, then openai:c"
    asked = [vars(model)["_endpoint"].address.url for model in chain.models]
    assert asked == ["http://gpu/v1", "http://localhost:8000/v1", "http://gpu/v1"]


@pytest.mark.parametrize("spec", ["openai:a, then ", "openai:a, then b", "openai:a, then openai:"])
def test_a_chain_with_a_gap_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError):
        open_model(spec, base_url="http://gpu/v1")


def test_a_chain_without_models_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="needs a model"):
        FallbackModel([])


def test_a_chain_calls_tools_if_all_its_models_do() -> None:
    class Mute(ReplayModel):
        """A model without tool calls."""

        stream_turn = None  # type: ignore[assignment]

    tool_calling_model(FallbackModel([saying("x")]))
    with pytest.raises(UsageError, match="replay:mute has no tool calls of its own"):
        tool_calling_model(FallbackModel([saying("x"), Mute([], name="mute")]))

"""What vLLM alone does, at a server that answers as it does and, in `make test-vllm`, at vLLM itself."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from served import ALIKE, HELLO, MAX_QUEUED, VLLM, Served, answer, serving

from dovetail import Engine
from dovetail.demo import TOOLS
from dovetail.errors import ModelError
from dovetail.models import Grammar
from dovetail.v1 import FailureReason, RunState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dovetail.models import ModelStream

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

COUNT: Final = Grammar("ebnf", 'root ::= "1, 2, 3, " ("4" | "four")')
LONG: Final = Grammar("ebnf", "root ::= [a-z ]{2000,4000}")
TOKEN_SECONDS: Final = 0.05
ABORT_SECONDS: Final = {"vllm": 0.2, "alike": 5.0}
"""Within which an answer that nobody reads any more is to end.

A server of this process is late when the process is: there it is half of what such an answer takes otherwise.
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # A server outlives a test, and so must the loop that watches it.
    return "asyncio"


@pytest.fixture(scope="module", params=[ALIKE, *VLLM])
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    log = tmp_path_factory.mktemp("served") / "log"
    async with serving(request.param, log, token_seconds=TOKEN_SECONDS) as server:
        yield server


async def test_closing_a_stream_ends_its_generation_at_once(served: Served) -> None:
    await _idle(served)
    stream = served.open().stream(HELLO, grammar=LONG)
    assert await anext(stream)
    read = await _time_to_read_metrics(served)
    assert await _running(served) == 1
    began = time.monotonic()
    await stream.aclose()
    assert await _idle(served, began) < ABORT_SECONDS[served.kind] + read
    await _check_that_nothing_is_written(served)


async def test_cancelling_a_run_ends_its_generation_and_not_that_of_others(served: Served) -> None:
    await _idle(served)
    # An answer that is longer than the test: a plan would be written before anybody has cancelled it.
    endless = served.open(extra_body={"structured_outputs": {"grammar": LONG.text}})
    async with AsyncExitStack() as held, Engine(TOOLS, endless) as engine:
        for others in (0, MAX_QUEUED - 2):
            writing = [await held.enter_async_context(_writing(served)) for _ in range(others)]
            run = engine.start("How many people live in Japan?", strategy="tool-calls")
            async for event in run.events():
                if event.WhichOneof("fact") == "answer_text":
                    break
            read = await _time_to_read_metrics(served)
            assert await _running(served) == others + 1
            began = time.monotonic()
            run.cancel()
            assert await run.wait() == RunState.RUN_STATE_CANCELLED
            assert await _idle(served, began, others=others) < ABORT_SECONDS[served.kind] + read
            for pieces in writing:
                assert await anext(pieces)
            if not writing:
                await _check_that_nothing_is_written(served)


async def test_the_field_for_grammars_of_another_server_is_ignored_without_a_word(served: Served) -> None:
    for field in ("grammar", "guided_grammar"):
        model = served.open(extra_body={field: COUNT.text})
        text, _ = await answer(model, max_tokens=12)
        assert not text.startswith("1, 2")


async def test_a_server_whose_queue_is_full_is_unavailable_until_a_place_is_free(served: Served) -> None:
    await _idle(served)
    async with AsyncExitStack() as held:
        for _ in range(MAX_QUEUED):
            await held.enter_async_context(_writing(served))
        with pytest.raises(ModelError, match="busy") as caught:
            await answer(served.open())
        assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
    await _idle(served)
    assert (await answer(served.open(), max_tokens=4))[0]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [("nobody", {}, "nobody"), (None, {"max_tokens": 200_000}, "max_tokens=200000")],
)
async def test_a_request_that_cannot_be_answered_is_rejected_with_the_servers_words(
    served: Served, name: str | None, options: dict[str, Any], words: str
) -> None:
    model = served.open(extra_body={} if name is None else {"model": name})
    with pytest.raises(ModelError, match=words) as caught:
        await answer(model, grammar=COUNT, **options)
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_REJECTED


async def test_a_wrong_key_is_told(served: Served) -> None:
    model = served.open()
    model._api_key = "wrong"  # type: ignore[attr-defined]
    with pytest.raises(ModelError) as caught:
        await answer(model)
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAUTHENTICATED


@pytest.fixture
async def doomed(served: Served, tmp_path: Path) -> AsyncIterator[Served]:
    """A server of which nothing needs to be left. vLLM takes minutes to start another, and is asked for it last."""
    if served.kind == "vllm":
        yield served
        return
    async with serving(served.kind, tmp_path / "log", token_seconds=TOKEN_SECONDS) as another:
        yield another


async def test_an_engine_that_is_killed_fails_the_streams_in_flight_and_the_next(doomed: Served) -> None:
    async with aclosing(doomed.open().stream(HELLO, grammar=LONG)) as pieces:
        assert await anext(pieces)
        assert doomed.kill_engine is not None
        doomed.kill_engine()
        with pytest.raises(ModelError) as caught:
            [piece async for piece in pieces]
    assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE
    with pytest.raises(ModelError) as later:
        await answer(doomed.open())
    assert later.value.reason in {
        FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
        FailureReason.FAILURE_REASON_MODEL_UNREACHABLE,
    }


@asynccontextmanager
async def _writing(served: Served) -> AsyncIterator[ModelStream]:
    """A stream that has begun, and would go on for long."""
    async with aclosing(served.open().stream(HELLO, grammar=LONG)) as pieces:
        assert await anext(pieces)
        yield pieces


async def _running(served: Served) -> float:
    assert served.running is not None
    return await served.running()


async def _time_to_read_metrics(served: Served) -> float:
    """How long it takes to learn what a server does: that it stopped is seen in the second reading at the latest."""
    began = time.monotonic()
    for _ in range(2):
        await _running(served)
    return time.monotonic() - began


async def _idle(served: Served, began: float | None = None, *, others: int = 0) -> float:
    """Wait until no more than the others are generated any more; how many seconds that took since it began."""
    began = time.monotonic() if began is None else began
    async with asyncio.timeout(60):
        while await _running(served) > others:  # noqa: ASYNC110  # vLLM tells nobody by itself
            await asyncio.sleep(0)
    return time.monotonic() - began


async def _check_that_nothing_is_written(served: Served) -> None:
    """Between two readings of all tokens that it ever wrote, there are those of one request, and no others."""
    assert served.generated is not None
    before = await served.generated()
    _, completion = await answer(served.open(), max_tokens=4)
    assert completion.usage is not None
    assert await served.generated() - before == completion.usage.completion_tokens == 4

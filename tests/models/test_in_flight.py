from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING

import pytest

from asking import DONE, KEY, QUESTION, ask, closing
from dovetail.errors import UsageError
from dovetail.models import OpenAIModel
from dovetail.models.in_flight import InFlight
from fault_server import Script, chunk, serve

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.anyio

PATIENCE = 60.0


async def turns(count: int = 20) -> None:
    """Let everything happen that can happen now."""
    for _ in range(count):
        await asyncio.sleep(0)


class Line:
    """Requests that take a place, are noted, and leave when they are told to."""

    def __init__(self, places: InFlight) -> None:
        self.places = places
        self.entered: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, most: int | None) -> None:
        self.leave[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._take(name, most))

    async def _take(self, name: str, most: int | None) -> None:
        async with self.places.place(most):
            self.entered.append(name)
            await self.leave[name].wait()

    async def end(self, name: str) -> None:
        self.leave[name].set()
        await asyncio.wait_for(self.tasks[name], PATIENCE)
        await turns()


async def test_requests_wait_in_order_for_a_place() -> None:
    line = Line(InFlight())
    for name in "abcd":
        line.start(name, 2)
    await turns()
    assert (line.entered, line.places.count, line.places.waiting) == (["a", "b"], 2, 2)
    await line.end("b")
    assert line.entered == ["a", "b", "c"]
    for name in "acd":
        await line.end(name)
    assert (line.entered, line.places.count) == (["a", "b", "c", "d"], 0)


async def test_a_request_without_a_bound_is_counted_and_never_waits() -> None:
    line = Line(InFlight())
    line.start("a", None)
    line.start("b", 1)
    line.start("c", None)
    await turns()
    assert line.entered == ["a", "c"]
    await line.end("a")
    await line.end("c")
    assert line.entered == ["a", "c", "b"]
    await line.end("b")


async def test_a_request_that_is_cancelled_leaves_the_line() -> None:
    line = Line(InFlight())
    for name in "abc":
        line.start(name, 1)
    await turns()
    line.tasks["b"].cancel()
    await asyncio.wait({line.tasks["b"]}, timeout=PATIENCE)
    assert line.places.waiting == 1
    await line.end("a")
    assert line.entered == ["a", "c"]
    await line.end("c")
    assert line.places.count == 0


async def test_a_request_that_is_cancelled_as_it_gets_its_place_gives_it_on() -> None:
    line = Line(InFlight())
    for name in "abc":
        line.start(name, 1)
    await turns()
    line.leave["a"].set()
    await line.tasks["a"]  # its place is b's now, and b has not heard of it
    line.tasks["b"].cancel()
    await asyncio.wait({line.tasks["b"]}, timeout=PATIENCE)
    await turns()
    assert line.entered == ["a", "c"]
    await line.end("c")
    assert line.places.count == 0


def test_loops_of_several_threads_share_places() -> None:
    places = InFlight()
    most, seen = 3, []
    lock = threading.Lock()

    async def request() -> None:
        async with places.place(most):
            with lock:
                seen.append(places.count)
            await turns(3)

    async def many() -> None:
        await asyncio.gather(*(request() for _ in range(50)))

    def run(main: Coroutine[None, None, None]) -> None:
        asyncio.run(main)

    threads = [threading.Thread(target=run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(seen) == 200
    assert max(seen) <= most
    assert (places.count, places.waiting) == (0, 0)


def test_a_provider_at_one_url_has_one_line() -> None:
    here = InFlight.at("vllm", "http://gpu/v1")
    assert InFlight.at("vllm", "http://gpu/v1") is here
    assert InFlight.at("openai", "http://gpu/v1") is not here
    assert InFlight.at("vllm", "http://other/v1") is not here


async def test_models_of_one_server_share_the_bound() -> None:
    go_on = asyncio.Event()
    async with serve(Script([chunk("x"), go_on, *DONE])) as server, AsyncExitStack() as stack:
        models = [
            await stack.enter_async_context(
                closing(OpenAIModel(name, base_url=server.base_url, api_key=KEY, max_in_flight=1))
            )
            for name in ("a", "b")
        ]
        async with aclosing(models[0].stream(QUESTION)) as first:
            assert await anext(first) == "x"
            second = asyncio.create_task(ask(models[1]))
            await turns()
            assert InFlight.at("openai", server.base_url).waiting == 1
            assert len(server.requests) == 1
        go_on.set()
        assert (await asyncio.wait_for(second, PATIENCE))[0] == "x"
        assert [request.body["model"] for request in server.requests] == ["a", "b"]


def test_a_bound_below_one_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="max_in_flight is 0"):
        OpenAIModel("m", api_key=KEY, max_in_flight=0)

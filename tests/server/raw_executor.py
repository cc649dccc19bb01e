"""An executor of bare gRPC, message by message: it does what a test tells it, and nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc

from doorway import refusal_of
from dovetail import v1
from dovetail.v1 import FailureReason
from live import PATIENCE, Live


class End(NamedTuple):
    """How an RPC ended: code, reason, the path of the field, metadata."""

    code: str
    reason: str = ""
    field: str = ""
    metadata: dict[str, str] = {}  # noqa: RUF012 - never changed


OK = End("OK")


async def end_of(call: Any) -> End:
    """Read an RPC to its end."""
    try:
        async with asyncio.timeout(PATIENCE):
            if hasattr(call, "read"):
                while await call.read() is not grpc.aio.EOF:
                    pass
                await call.code()
            else:
                await call
    except grpc.aio.AioRpcError as error:
        if error.trailing_metadata().get("grpc-status-details-bin") is None:  # said by gRPC itself
            return End(error.code().name)
        code, info, fields = refusal_of(error)
        path = fields.field_violations[0].field if fields.field_violations else ""
        return End(code, info.reason, path, dict(info.metadata))
    return OK


def spec(name: str = "t", **fields: Any) -> v1.ToolSpec:
    """A tool of one argument, which may be anything."""
    given = {"input_schema_json": '{"type": "object", "properties": {"a": {}}}', **fields}
    return v1.ToolSpec(name=name, **given)


def hello(executor_id: str = "e", *tools: v1.ToolSpec, places: int = 1, **fields: Any) -> v1.AttachRequest:
    """A hello, of an executor of the tool `t` if nothing else is said."""
    given = v1.Hello(executor_id=executor_id, tools=tools or [spec()], max_parallel_calls=places, **fields)
    return v1.AttachRequest(hello=given)


def output(call: v1.ExecutorCall, output_json: str = "1", number: int | None = None) -> v1.CallResult:
    """The result of a call."""
    fencing_number = call.fencing_number if number is None else number
    outcome = v1.CallOutcome(output_json=output_json)
    return v1.CallResult(call_id=call.call_id, fencing_number=fencing_number, outcome=outcome)


class RawExecutor:
    """A stream of an executor."""

    def __init__(self, live: Live, metadata: Any = None) -> None:
        self.call = live.executors.Attach(metadata=metadata)
        self.welcome = v1.Welcome()
        self.number = 0
        self._writing = asyncio.Lock()
        self._beating: asyncio.Task[None] | None = None

    async def send(self, message: v1.AttachRequest | None = None, **fields: Any) -> None:
        async with asyncio.timeout(PATIENCE), self._writing:
            await self.call.write(message or v1.AttachRequest(**fields))

    async def receive(self) -> v1.AttachResponse:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            message = await self.call.read()
        assert isinstance(message, v1.AttachResponse), "the stream has ended"
        return message

    async def until(self, wanted: Callable[[v1.AttachResponse], object]) -> v1.AttachResponse:
        """The first message of which this is true; those before it are dropped."""
        while not wanted(message := await self.receive()):
            pass
        return message

    async def calls(self, count: int = 1) -> list[v1.ExecutorCall]:
        """The next calls, so many in one or more messages."""
        calls: list[v1.ExecutorCall] = []
        while len(calls) < count:
            calls += (await self.receive()).calls
        assert len(calls) == count
        return calls

    async def one_call(self) -> v1.ExecutorCall:
        return (await self.calls())[0]

    async def give(self, *results: v1.CallResult) -> v1.AttachResponse:
        """Send results; returns what the server says of them."""
        await self.send(results=results)
        return await self.until(lambda message: message.recorded_call_ids or message.refused_results)

    async def everything(self) -> list[v1.AttachResponse]:
        """What the server had to say until now: all that comes before the answer to a heartbeat."""
        await self.send(heartbeat=v1.Heartbeat(number=424242))
        messages = [await self.receive()]
        while messages[-1].heartbeat.number != 424242:
            messages.append(await self.receive())
        return messages

    async def leave(self, reason: str = "") -> End:
        await self.send(goodbye=v1.Goodbye(reason=reason))
        return await end_of(self.call)

    async def vanish(self) -> None:
        """End the stream without a goodbye."""
        async with asyncio.timeout(PATIENCE):
            await self.call.done_writing()
            while await self.call.read() is not grpc.aio.EOF:
                pass

    async def beat(self) -> None:
        """Live on: a sign of life whenever one is due, until the end of the test."""
        interval = self.welcome.heartbeat_interval.ToNanoseconds() / 1e9

        async def heartbeats() -> None:
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                while True:
                    await self.send(heartbeat=v1.Heartbeat())
                    await asyncio.sleep(interval)

        self._beating = asyncio.create_task(heartbeats())

    async def close(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        self.call.cancel()
        async with asyncio.timeout(PATIENCE):
            await self.call.code()


@asynccontextmanager
async def attached(
    live: Live, executor_id: str = "e", *tools: v1.ToolSpec, metadata: Any = None, **fields: Any
) -> AsyncIterator[RawExecutor]:
    """An executor that was welcomed. At the end its stream is dropped without a goodbye."""
    executor = RawExecutor(live, metadata)
    try:
        await executor.send(hello(executor_id, *tools, **fields))
        first = await executor.receive()
        assert [field.name for field, _ in first.ListFields()] == ["welcome"]
        executor.welcome = first.welcome
        executor.number = first.welcome.fencing_number
        yield executor
    finally:
        await executor.close()


def failures(events: list[v1.Event]) -> dict[int, str]:
    """Why tasks failed."""
    prefix = len("FAILURE_REASON_")
    facts = [event.task_failed for event in events if event.HasField("task_failed")]
    return {fact.task_id: FailureReason.Name(fact.failure.reason)[prefix:] for fact in facts}


def outputs(events: list[v1.Event]) -> dict[int, str]:
    """What tasks gave; each once."""
    facts = [event.task_succeeded for event in events if event.HasField("task_succeeded")]
    assert len({fact.task_id for fact in facts}) == len(facts)
    return {fact.task_id: fact.output_json for fact in facts}


def names(events: list[v1.Event]) -> list[str]:
    """The facts of events."""
    return [str(event.WhichOneof("fact")) for event in events]


def in_order(events: Sequence[v1.Event], first: int = 1) -> bool:
    """Whether events are numbered from here on without gaps."""
    return [event.sequence for event in events] == list(range(first, first + len(events)))

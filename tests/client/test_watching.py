"""A run that is watched: each event once and in order, whatever becomes of the stream."""

from __future__ import annotations

import asyncio
import gc

import grpc
import pytest
from scripted_server import (
    UNAVAILABLE,
    answered,
    ended,
    hang,
    refuse,
    reply,
    running,
    scripted,
    texts,
    watch,
    within,
)

from dovetail import (
    NotFoundError,
    RunCancelledError,
    RunFailedError,
    ServerError,
    ServerUnavailableError,
    UsageError,
    v1,
)
from dovetail.v1 import FailureReason, RunState

pytestmark = pytest.mark.anyio


async def sequences(events: object) -> list[int]:
    return [event.sequence async for event in events]  # type: ignore[attr-defined]


async def test_a_broken_watch_is_resumed_behind_the_last_event_seen() -> None:
    async with scripted() as (server, client):
        server.on(
            "WatchRun",
            watch(texts(1, 2), texts(3, 4, 5), then=UNAVAILABLE),
            UNAVAILABLE,
            watch(texts(6), ended(7)),
        )
        run = client.run("r")
        assert await within(sequences(run.events())) == [1, 2, 3, 4, 5, 6, 7]
        assert [request.after_sequence for request in server.requests["WatchRun"]] == [0, 5, 5]
        assert run.state == RunState.RUN_STATE_ANSWERED


@pytest.mark.parametrize("code", ["CANCELLED", "INTERNAL", "UNKNOWN"])
async def test_a_watch_that_was_cut_on_the_way_is_resumed_too(code: str) -> None:
    async with scripted() as (server, client):
        cut = refuse(grpc.StatusCode[code], "RST_STREAM")
        server.on("WatchRun", watch(texts(1), then=cut), watch(ended(2)))
        assert await within(sequences(client.run("r").events())) == [1, 2]


async def test_a_watch_that_ends_well_but_too_early_is_resumed() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(1, 2)), watch(ended(3)))
        server.on("GetRun", reply(v1.GetRunResponse(run=running(3))))
        assert await within(sequences(client.run("r").events())) == [1, 2, 3]


async def test_behind_the_last_event_of_a_run_there_is_nothing() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch())
        over = v1.Run(run_id="r", state=RunState.RUN_STATE_FAILED, last_sequence=9)
        server.on("GetRun", reply(v1.GetRunResponse(run=over)))
        assert await within(sequences(client.run("r").events(9))) == []


async def test_events_that_were_seen_are_not_given_again() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(1, 2, 3), then=UNAVAILABLE), watch(texts(1, 2), texts(3, 4), ended(5)))
        assert await within(sequences(client.run("r").events())) == [1, 2, 3, 4, 5]


async def test_a_number_above_the_latest_event_means_those_to_come() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(11), ended(12)))
        assert await within(sequences(client.run("r").events(1000))) == [11, 12]


@pytest.mark.parametrize("batches", [(texts(1, 3),), (texts(1), texts(3)), (texts(2),), (texts(1, 2, 2),)])
async def test_a_gap_between_events_is_an_error(batches: tuple[list[v1.Event], ...]) -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(*batches, then=hang))
        with pytest.raises(ServerError, match=r"run r: event \d came where \d was due") as caught:
            await within(sequences(client.run("r").events()))
    assert caught.value.code == "DATA_LOSS"


async def test_a_server_that_stays_away_ends_the_patience() -> None:
    async with scripted(patience=0.3) as (server, client):
        server.on("WatchRun", watch(texts(1), then=UNAVAILABLE), UNAVAILABLE)
        events = client.run("r").events()
        assert (await within(anext(events))).sequence == 1
        with pytest.raises(ServerUnavailableError, match="shutting down"):
            await within(anext(events))
        assert len(server.requests["WatchRun"]) >= 2


async def test_a_run_that_is_not_there_is_no_break() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", refuse(grpc.StatusCode.NOT_FOUND, "no run r", "RUN_NOT_FOUND"))
        with pytest.raises(NotFoundError, match="no run r"):
            await within(sequences(client.run("r").events()))
        assert len(server.requests["WatchRun"]) == 1


async def test_closing_the_events_ends_the_stream_at_once() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(1), then=hang))
        events = client.run("r").events()
        assert (await within(anext(events))).sequence == 1
        await within(events.aclose())
        await server.until_cancelled("WatchRun")


async def test_events_that_are_left_lying_end_the_stream_too() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(1, 2), then=hang))
        async for _ in client.run("r").events():
            break
        gc.collect()
        await server.until_cancelled("WatchRun")


async def test_cancelling_whoever_reads_ends_the_stream() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", hang)
        task = asyncio.create_task(sequences(client.run("r").events()))
        await server.until_arrived("WatchRun")
        task.cancel()
        await server.until_cancelled("WatchRun")
        with pytest.raises(asyncio.CancelledError):
            await within(task)


async def test_a_client_that_is_closed_under_its_events_says_so() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(1), then=hang))
        events = client.run("r").events()
        await within(anext(events))
        await client.aclose()
        with pytest.raises(UsageError, match="it was closed"):
            await within(anext(events))


async def test_a_stream_that_stays_open_behind_the_last_event_is_left() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(ended(1), then=hang))
        assert await within(sequences(client.run("r").events())) == [1]
        await server.until_cancelled("WatchRun")


async def test_batches_come_as_the_server_made_them() -> None:
    async with scripted() as (server, client):
        server.on("WatchRun", watch(texts(1, 2), texts(3), ended(4)))
        batches = [[event.sequence for event in batch] async for batch in client.run("r").batches()]
        assert batches == [[1, 2], [3], [4]]


async def test_an_answer_is_taken_from_a_run_that_has_one_or_from_the_events_to_come() -> None:
    async with scripted() as (server, client):
        there = v1.Run(run_id="r", state=RunState.RUN_STATE_ANSWERED, answer="")
        server.on("GetRun", reply(v1.GetRunResponse(run=there)), reply(v1.GetRunResponse(run=running(4))))
        server.on("WatchRun", watch(texts(5), answered(6, "8849 m")))
        assert await within(client.run("r").answer()) == ""
        assert await within(client.run("r").answer()) == "8849 m"
        assert server.requests["WatchRun"][0].after_sequence == 4


@pytest.mark.parametrize("is_over", [True, False])
async def test_a_run_without_an_answer_raises_why(is_over: bool) -> None:
    failed = v1.Failure(reason=FailureReason.FAILURE_REASON_EMPTY_PLAN, message="the model wrote nothing")
    for state, error in (
        (RunState.RUN_STATE_FAILED, RunFailedError),
        (RunState.RUN_STATE_CANCELLED, RunCancelledError),
    ):
        async with scripted() as (server, client):
            over = v1.Run(run_id="r", state=state, failure=failed)
            last = v1.Event(sequence=1, run_ended=v1.RunEnded(state=state, failure=failed))
            server.on("GetRun", reply(v1.GetRunResponse(run=over if is_over else running())))
            server.on("WatchRun", watch([last]))
            with pytest.raises(error, match="the model wrote nothing") as caught:
                await within(client.run("r").answer())
            if isinstance(caught.value, RunFailedError):
                assert caught.value.reason == FailureReason.FAILURE_REASON_EMPTY_PLAN


async def test_waiting_returns_how_the_run_ended() -> None:
    async with scripted() as (server, client):
        server.on("GetRun", reply(v1.GetRunResponse(run=running(1))))
        server.on("WatchRun", watch(texts(2), ended(3, RunState.RUN_STATE_FAILED)))
        assert await within(client.run("r").wait()) == RunState.RUN_STATE_FAILED

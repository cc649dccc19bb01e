"""Requests: what is sent, what is repeated and what is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import grpc
import pytest
from scripted_server import UNAVAILABLE, hang, refuse, reply, running, scripted, within

from dovetail import Example, Limits, NotPossibleError, ServerUnavailableError, UsageError, v1
from dovetail.v1 import RunState

pytestmark = pytest.mark.anyio

CREATED = reply(v1.CreateRunResponse(run=running()))


async def test_a_run_is_created_again_under_the_same_name_while_the_server_is_unavailable() -> None:
    async with scripted() as (server, client):
        server.on("CreateRun", UNAVAILABLE, UNAVAILABLE, CREATED)
        run = await within(client.create("how high?"))
        first, second, third = server.requests["CreateRun"]
        assert first == second == third
        assert len(first.run_id) == 36
        assert (run.run_id, run.state) == ("r", RunState.RUN_STATE_RUNNING)


async def test_a_request_says_all_that_was_asked_for() -> None:
    async with scripted(token="secret") as (server, client):
        server.on("CreateRun", CREATED)
        await within(
            client.create(
                "how high?",
                run_id="mine",
                tools=["height"],
                model="openai:x",
                examples=[Example("q", "p"), Example("q", "p", "1. f()\n-> 3", "the rest")],
                limits=Limits(deadline=2.5, max_replans=0, max_tasks=None),
                metadata={"team": "alps"},
            )
        )
        request = server.requests["CreateRun"][0]
        assert server.metadata["authorization"] == "Bearer secret"
    assert (request.run_id, request.question, list(request.tools), request.model) == (
        "mine",
        "how high?",
        ["height"],
        "openai:x",
    )
    assert list(request.examples) == [
        v1.PlanExample(question="q", plan="p"),
        v1.PlanExample(question="q", plan="p", earlier="1. f()\n-> 3", missing="the rest"),
    ]
    assert (request.limits.deadline.ToMilliseconds(), request.limits.max_replans) == (2500, 0)
    assert not request.limits.HasField("max_tasks")
    assert dict(request.metadata) == {"team": "alps"}


async def test_a_name_in_place_of_a_list_of_tools_is_refused() -> None:
    async with scripted() as (_, client):
        with pytest.raises(UsageError, match="give a list of the names"):
            await client.create("?", tools="height")


async def test_a_field_that_runs_do_not_have_is_refused_before_anything_is_sent() -> None:
    async with scripted() as (server, client):
        for ask in (client.create, client.stream):
            with pytest.raises(TypeError, match="no field 'tool' of a run; there are answer_schema, cite, examples, "):
                await ask("?", tool=["height"])  # type: ignore[call-arg]
        assert server.requests == {}


async def test_only_an_unavailable_server_is_asked_again() -> None:
    async with scripted() as (server, client):
        server.on("CreateRun", refuse(grpc.StatusCode.ABORTED))
        with pytest.raises(NotPossibleError):
            await within(client.create("?"))
        assert len(server.requests["CreateRun"]) == 1


async def test_an_approval_is_not_repeated_since_it_may_have_arrived() -> None:
    async with scripted() as (server, client):
        server.on("ResolveApproval", UNAVAILABLE)
        with pytest.raises(ServerUnavailableError, match="shutting down") as caught:
            await within(client.approve("r", 3, {"name": "K2"}, "fine"))
        assert caught.value.reason == "SHUTTING_DOWN"
        (request,) = server.requests["ResolveApproval"]
    decision = v1.ApprovalDecision(task_id=3, approve=True, arguments_json='{"name":"K2"}', reason="fine")
    assert request == v1.ResolveApprovalRequest(run_id="r", decision=decision)


async def test_requests_end_with_the_unavailability_that_they_met_until_their_timeout() -> None:
    async with scripted(timeout=2) as (server, client):
        server.on("GetRun", UNAVAILABLE, UNAVAILABLE, hang)
        with pytest.raises(ServerUnavailableError, match="shutting down"):
            await within(client.get("r"))


async def test_cancelling_a_request_reaches_the_server() -> None:
    async with scripted() as (server, client):
        server.on("GetRun", hang)
        task = asyncio.create_task(client.get("r"))
        await server.until_arrived("GetRun")
        task.cancel()
        await server.until_cancelled("GetRun")
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_client_that_is_closed_under_a_request_says_so() -> None:
    async with scripted() as (server, client):
        server.on("GetRun", hang)
        task = asyncio.create_task(client.get("r"))
        await server.until_arrived("GetRun")
        await client.aclose()
        with pytest.raises(UsageError, match="it was closed"):
            await within(task)


async def test_listings_ask_for_pages_as_they_are_needed() -> None:
    async with scripted() as (server, client):
        pages = [
            v1.ListRunsResponse(runs=[v1.Run(run_id="a"), v1.Run(run_id="b")], next_page_token="more"),
            v1.ListRunsResponse(runs=[v1.Run(run_id="c")]),
        ]
        server.on("ListRuns", *map(reply, pages))
        runs = client.list([RunState.RUN_STATE_FAILED], created_from=datetime(2026, 1, 2, tzinfo=UTC), page_size=2)
        assert [(await anext(runs)).run_id, (await anext(runs)).run_id] == ["a", "b"]
        assert len(server.requests["ListRuns"]) == 1
        assert [run.run_id async for run in runs] == ["c"]
        first, second = server.requests["ListRuns"]
    assert (first.page_size, list(first.states)) == (2, [RunState.RUN_STATE_FAILED])
    assert first.created_from.ToJsonString() == "2026-01-02T00:00:00Z"
    assert not first.HasField("created_before")
    assert second.page_token == "more"

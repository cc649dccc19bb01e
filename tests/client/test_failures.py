"""Errors of a server: each is the exception of its kind, with what the server said."""

from __future__ import annotations

import socket

import grpc
import pytest
from scripted_server import hang, refuse, scripted, within

from dovetail import (
    AccessDeniedError,
    AlreadyExistsError,
    Client,
    InvalidRequestError,
    LimitReachedError,
    NotFoundError,
    NotPossibleError,
    ServerError,
    ServerUnavailableError,
    UsageError,
)
from dovetail.client import Connection

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("INVALID_ARGUMENT", "INVALID_FIELD", InvalidRequestError),
        ("FAILED_PRECONDITION", "WRONG_MESSAGE", InvalidRequestError),
        ("FAILED_PRECONDITION", "NO_TOOLS", NotPossibleError),
        ("ABORTED", "LEASE_OVER", NotPossibleError),
        ("NOT_FOUND", "RUN_NOT_FOUND", NotFoundError),
        ("ALREADY_EXISTS", "RUN_ALREADY_EXISTS", AlreadyExistsError),
        ("UNAUTHENTICATED", "TOKEN_INVALID", AccessDeniedError),
        ("PERMISSION_DENIED", "ROLE_MISSING", AccessDeniedError),
        ("RESOURCE_EXHAUSTED", "LIMIT_REACHED", LimitReachedError),
        ("INTERNAL", "INTERNAL", ServerError),
        ("UNKNOWN", "", ServerError),
    ],
)
async def test_a_status_is_an_exception_of_its_kind(code: str, reason: str, kind: type[ServerError]) -> None:
    async with scripted() as (server, client):
        server.on("CreateRun", refuse(grpc.StatusCode[code], "so it is", reason, {"run_id": "r"} if reason else None))
        with pytest.raises(ServerError) as caught:
            await within(client.create("?"))
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.reason, str(caught.value)) == (code, reason, "so it is")
    assert caught.value.metadata == ({"run_id": "r"} if reason else {})


async def test_fields_that_cannot_be_used_stand_in_the_message() -> None:
    fields = [("question", "is empty"), ("limits.deadline", "is negative")]
    async with scripted() as (server, client):
        server.on(
            "CreateRun",
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "question: is empty", "INVALID_FIELD", violations=fields),
        )
        with pytest.raises(InvalidRequestError) as caught:
            await within(client.create(""))
    assert caught.value.violations == fields
    assert str(caught.value) == "question: is empty; limits.deadline: is negative"


async def test_details_that_cannot_be_read_leave_the_code_and_the_message() -> None:
    async def garbage(_: object, context: grpc.aio.ServicerContext) -> None:
        context.set_trailing_metadata([("grpc-status-details-bin", b"\xff\xff\xff")])
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such run")

    async with scripted() as (server, client):
        server.on("GetRun", garbage)
        with pytest.raises(NotFoundError, match="no such run") as caught:
            await within(client.get("r"))
    assert caught.value.reason == ""


async def test_a_server_that_is_not_there_is_unavailable_and_the_address_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with Client(address, timeout=2) as client:
            with pytest.raises(ServerUnavailableError, match="the server cannot be reached: ") as caught:
                await within(client.get("r"))
    assert address in str(caught.value)


async def test_a_server_that_does_not_answer_ends_the_request_after_its_timeout() -> None:
    # Long enough for the request to be at the server before.
    async with scripted(timeout=2) as (server, client):
        server.on("GetRun", hang)
        with pytest.raises(ServerError, match="did not answer in time") as caught:
            await within(client.get("r"))
        assert caught.value.code == "DEADLINE_EXCEEDED"
        await server.until_cancelled("GetRun")


async def test_a_client_that_is_not_open_says_so() -> None:
    client = Client("127.0.0.1:1")
    with pytest.raises(UsageError, match="enter it first"):
        await client.get("r")
    async with client:
        pass
    with pytest.raises(UsageError, match="it was closed"):
        await client.get("r")
    with pytest.raises(UsageError, match="entered once"):
        await client.__aenter__()


def test_options_that_cannot_be_used_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="is no address"):
        Client("nowhere")
    with pytest.raises(UsageError, match="a Connection says everything itself"):
        Client(Connection("127.0.0.1:1"), token="t")
    with pytest.raises(UsageError, match="timeout is 0"):
        Client("127.0.0.1:1", timeout=0)

"""The client for synchronous code: the same answers and errors, from any thread, and a thread that ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from commandline import BOUND
from server_process import server_process

from dovetail import NotFoundError, RunCancelledError, SyncClient, UsageError, v1
from dovetail.client import Approval
from dovetail.v1 import RunState


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server_process() as one:
        yield one


def test_a_run_is_created_followed_and_answered(address: str) -> None:
    with SyncClient(address) as client:
        run = client.create("1. double(21)\n2. join($1)", run_id="sync-1", metadata={"a": "b"})
        assert run.answer() == "42"
        assert run.wait() == run.state == RunState.RUN_STATE_ANSWERED
        events = list(run.events())
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert [event for batch in run.batches(3) for event in batch] == events[3:]
        assert client.get("sync-1").metadata == {"a": "b"}
        assert client.run("sync-1").get().answer == "42"
        assert "sync-1" in [one.run_id for one in client.list([RunState.RUN_STATE_ANSWERED], page_size=1)]
        assert repr(run) == "SyncRun('sync-1', answered)"


def test_tools_and_plans_are_looked_at(address: str) -> None:
    with SyncClient(address) as client:
        assert [one.spec.name for one in client.tools()] == ["broken", "delete", "double", "endless"]
        assert client.tool("double").source == v1.Tool.SOURCE_SERVER
        steps = list(client.compile_plan(iter(["1. double(2", "1)\n2. double($1)"]), outputs={1: 42}))
        ready = [step.task_ready.arguments_json for step in steps if step.HasField("task_ready")]
        assert ready == ['{"number":21}', '{"number":42}']


def test_errors_are_those_of_the_client(address: str) -> None:
    with SyncClient(address) as client:
        with pytest.raises(NotFoundError) as caught:
            client.get("none")
        assert (caught.value.reason, dict(caught.value.metadata)) == ("RUN_NOT_FOUND", {"run_id": "none"})
        with pytest.raises(NotFoundError):
            list(client.run("none").events())


def test_tools_of_this_process_are_called_and_approvals_asked_for_in_threads(address: str) -> None:
    asked: list[Approval] = []

    def decide(approval: Approval) -> v1.ApprovalDecision:
        asked.append(approval)
        return approval.approve({"path": "/tmp/b"})

    def shout(text: str) -> str:
        """Says it loudly."""
        return text.upper()

    with SyncClient(address) as client:
        plan = '1. delete("/tmp/a")\n2. shout("$1!")\n3. join($2)'
        run = client.stream(plan, client_tools=[shout], tools=["delete"], on_approval=decide)
        assert run.answer() == "DELETED /TMP/B!"
        run.close()
    assert (asked[0].tool, asked[0].arguments_json) == ("delete", '{"path":"/tmp/a"}')


def test_approvals_and_cancellation_are_said_to_the_run(address: str) -> None:
    with SyncClient(address) as client:
        run = client.create('1. delete("/")\n2. delete("/tmp")\n3. endless()\n4. join()')
        waiting = {event.approval_requested.task_id for event in _until(run, "approval_requested", 2)}
        assert waiting == {1, 2}
        assert list(client.reject(run.run_id, 1, "not this one").awaiting_approval) == [2]
        run.approve(2, reason="fine")
        client.cancel(run.run_id, "enough")
        with pytest.raises(RunCancelledError):
            run.answer()
        run.cancel()
        facts = [event.WhichOneof("fact") for event in run.events()]
        assert facts.count("approval_resolved") == 2


def _until(run: Any, fact: str, count: int) -> list[v1.Event]:
    found = []
    for event in run.events():
        if event.WhichOneof("fact") == fact:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"no {fact}")


def test_many_threads_share_a_client(address: str) -> None:
    with SyncClient(address) as client, ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda n: client.create(f"1. double({n})\n2. join($1)").answer(), range(32), timeout=BOUND)
        )
    assert answers == [f"{n * 2}" for n in range(32)]


def test_closing_ends_the_thread_and_what_waits(address: str) -> None:
    client = SyncClient(address)
    thread = client._side._thread
    run = client.create("1. endless()\n2. join()")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(run.answer)
        _until(run, "call_started", 1)
        client.close()
        with pytest.raises(UsageError, match="closed"):
            waiting.result(BOUND)
    client.close()
    assert not thread.is_alive()
    with pytest.raises(UsageError, match="closed"):
        run.get()
    with SyncClient(address) as other:
        other.cancel(run.run_id)


def test_a_client_that_is_forgotten_ends_its_thread(address: str) -> None:
    before = set(threading.enumerate())
    SyncClient(address)
    client = SyncClient(address)
    with pytest.raises(UsageError, match="entered once"):
        client._side.wait_for(client._client.__aenter__())
    del client
    # Of other tests in this process there may be others.
    begun = [thread for thread in threading.enumerate() if thread not in before]
    assert "dovetail-client" not in [thread.name for thread in begun]

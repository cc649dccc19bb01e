"""Which tools runs may use: by the server's settings, by the caller's token, and only with a person's approval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from doorway import bearer
from dovetail import Secret, UsageError, v1
from dovetail.tools.definition import tool
from dovetail_server.callers import Caller, hash_of, read_tokens
from live import PATIENCE, Live, code_of, serving

pytestmark = pytest.mark.anyio


@tool(name="db.query")
async def query(sql: str) -> str:
    """Asks."""
    return sql


@tool(name="db.drop", destructive=True)
async def drop(table: str) -> str:
    """Drops."""
    return table


DROP = '1. db.drop("t")\n2. join($1)'
QUERY = '1. db.query("q")\n2. join($1)'


async def listed(live: Live, token: str = "") -> list[str]:
    metadata = bearer(token) if token else None
    response = await live.tools.ListTools(v1.ListToolsRequest(), timeout=PATIENCE, metadata=metadata)
    return [one.spec.name for one in response.tools]


async def reason_of_failure(live: Live, question: str) -> str:
    events = await live.events(await live.create(question))
    failed = next(event.task_failed.failure for event in events if event.HasField("task_failed"))
    return v1.FailureReason.Name(failed.reason)


async def test_what_the_server_denies_is_neither_shown_nor_used_nor_planned() -> None:
    async with serving([query, drop], allow=("db.*",), deny=("*.drop",)) as live:
        assert await listed(live) == ["db.query"]
        assert await live.answer(QUERY) == "q"
        assert await reason_of_failure(live, DROP) == "FAILURE_REASON_INVALID"
        asked = live.runs.CreateRun(v1.CreateRunRequest(question=DROP, tools=["db.drop"]), timeout=PATIENCE)
        assert await code_of(asked) == ("PERMISSION_DENIED", "TOOL_NOT_ALLOWED")
        found = live.tools.GetTool(v1.GetToolRequest(name="db.drop"), timeout=PATIENCE)
        assert await code_of(found) == ("NOT_FOUND", "TOOL_NOT_FOUND")


async def test_a_token_may_use_what_it_is_allowed_but_for_what_it_is_denied(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    entries = {"all": "", "careful": 'tools = ["db.*"]\ndeny = ["db.drop"]\n'}
    file.write_text(
        "".join(
            f'[[token]]\nname = "{name}"\nroles = ["run"]\nsha256 = "{hash_of(name)}"\n{more}'
            for name, more in entries.items()
        )
    )
    async with serving([query, drop], tokens=file) as live:
        assert await listed(live, "all") == ["db.drop", "db.query"]
        assert await listed(live, "careful") == ["db.query"]
        for token, expected in (("all", "FAILURE_REASON_UNSPECIFIED"), ("careful", "FAILURE_REASON_INVALID")):
            created = await live.runs.CreateRun(
                v1.CreateRunRequest(question=DROP), timeout=PATIENCE, metadata=bearer(token)
            )
            watch = live.runs.WatchRun(
                v1.WatchRunRequest(run_id=created.run.run_id), timeout=PATIENCE, metadata=bearer(token)
            )
            events = [event async for batch in watch for event in batch.events]
            failed = [event.task_failed.failure.reason for event in events if event.HasField("task_failed")]
            assert [v1.FailureReason.Name(reason) for reason in failed or [0]] == [expected]


def test_a_denial_is_part_of_a_token_and_has_to_be_a_list(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    head = f'[[token]]\nname = "a"\nroles = ["run"]\nsha256 = "{"0" * 64}"\n'
    file.write_text(head + 'deny = ["db.drop"]\n')
    (token,) = read_tokens(file).values()
    assert token.caller == Caller("a", frozenset({"run"}), None, frozenset({"db.drop"}))
    file.write_text(head + 'deny = "db.drop"\n')
    with pytest.raises(UsageError, match="token 'a': deny is no list of names"):
        read_tokens(file)


async def test_a_rule_of_the_server_makes_calls_wait_for_approval() -> None:
    async with serving([query, drop], require_approval=("destructive", "db.query(sql=*password*)")) as live:
        assert await live.answer(QUERY) == "q"
        condition = "the rule db.query(sql=*password*)"
        for question, why in ((DROP, "the rule destructive"), ('1. db.query("the PASSWORD")\n2. join($1)', condition)):
            run_id = await live.create(question)
            event = await live.until(run_id, "approval_requested")
            assert event.approval_requested.reason == why
            decision = v1.ApprovalDecision(task_id=event.approval_requested.task_id, reason="no")
            await live.runs.ResolveApproval(
                v1.ResolveApprovalRequest(run_id=run_id, decision=decision), timeout=PATIENCE
            )
            await live.until(run_id, "task_failed")


async def test_a_wrong_rule_is_an_error_at_the_start() -> None:
    with pytest.raises(UsageError, match=r"require_approval: 'send\(' is no rule"):
        async with serving([query], require_approval=("send(",)):
            pass


async def test_a_secret_whose_variable_is_not_set_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    @tool
    def issues(token: Annotated[Secret, "GITHUB_TOKEN"]) -> None: ...

    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(UsageError, match=r"not set: GITHUB_TOKEN \(parameter 'token' of tool 'issues'\)"):
        async with serving([issues]):
            pass


async def test_nobody_approving_in_time_is_a_failure_of_the_task() -> None:
    @tool(approval=True, approval_timeout=0.01)
    async def hasty() -> str:
        return "called"

    async with serving([hasty]) as live:
        assert await reason_of_failure(live, "1. hasty()\n2. join($1)") == "FAILURE_REASON_APPROVAL_TIMED_OUT"

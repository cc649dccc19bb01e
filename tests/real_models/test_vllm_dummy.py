"""A model without weights under a grammar, at a real vLLM: what it writes is wild, and every word of it a plan.

Under both engines that vLLM constrains text with, in both notations that it takes.
"""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from outputs import output_of
from tool_sets import NASTY
from vllm_place import DUMMY
from vllm_process import VllmProcess

from dovetail import _core
from dovetail.errors import ModelError, UsageError
from dovetail.grammar import plan_grammar
from dovetail.models import Completion
from dovetail.models.vllm import VllmModel
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dovetail.models import GrammarDialect

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.timeout(900)]

_PLANS = 6
_MAX_TOKENS = 250
_BACKENDS = ("guidance", "xgrammar")


def _cases() -> list[Any]:
    # The llguidance of vLLM 0.32 takes no DEL in a constant, nor, in a JSON schema, every number among constants.
    # Compiled here first, the grammar is not even sent.
    reason = "llguidance 1.7 reads no \\x7F in a literal, and not every number among constants"
    refused = pytest.mark.xfail(reason=reason, raises=UsageError)
    return [
        pytest.param(name, dialect, id=f"{name}-{dialect}", marks=[refused] if name == "constants" else [])
        for name in NASTY
        for dialect in ("ebnf", "json_schema")
    ]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    # The server outlives a test, and so must the loop that watches it.
    return "asyncio"


@pytest.fixture(scope="module", params=_BACKENDS)
async def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VllmModel]:
    log = tmp_path_factory.mktemp("dummy") / "log"
    server = VllmProcess(DUMMY, log, "--load-format", "dummy", backend=request.param)
    async with server.serving():
        model = VllmModel(server.model, base_url=server.base_url, api_key=server.api_key, temperature=1.0, timeout=300)
        yield model
        await model.aclose()


@pytest.mark.parametrize(("name", "dialect"), _cases())
async def test_whatever_it_writes_is_read_without_an_error_and_carried_out(
    model: VllmModel, name: str, dialect: GrammarDialect
) -> None:
    grammar = plan_grammar(NASTY[name], dialect=dialect, max_tasks=5)
    core = _core.ToolSet(json.dumps(NASTY[name]))

    async def one(seed: int) -> int:
        machine = _core.Machine(core)
        steps: list[_core.Step] = []
        text, cut_off = "", False
        pieces = model.stream([{"role": "user", "content": f"{seed}"}], grammar=grammar, max_tokens=_MAX_TOKENS)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Completion):
                    cut_off = piece.finish_reason == "length"
                else:
                    text += piece
                    steps += machine.feed(piece)
        steps += machine.finish(cut_off=cut_off)
        errors = [step for step in steps if isinstance(step, _core.Diagnostic) and step.severity == "error"]
        # Of a plan that was cut off, the call in the middle of which that happened is lost, and nothing else.
        assert {step.code for step in errors} <= _mistakes(dialect) | ({"cut_off"} if cut_off else set()), text
        return _carry_out(machine, steps, name, random.Random(seed))

    if (name, dialect) == ("recursion", "json_schema"):
        # A schema that contains itself is unrolled further than vLLM reads; a planner goes on without.
        with pytest.raises(ModelError, match="nested too deeply") as caught:
            await one(0)
        assert caught.value.reason == FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED
    else:
        carried_out = await asyncio.gather(*(one(seed) for seed in range(_PLANS)))
        assert dialect == "json_schema" or sum(carried_out) > 0


def _mistakes(dialect: GrammarDialect) -> set[str]:
    """What a grammar in a notation cannot keep a model from."""
    if dialect != "json_schema":
        return set()
    # A schema does not say which ids there are; what refers to a task that there is not yet is text, of the wrong type.
    return {"bad_id", "duplicate_id", "unknown_reference", "empty_plan", "wrong_type", "invalid_argument"}


def _carry_out(machine: _core.Machine, steps: list[_core.Step], name: str, source: random.Random) -> int:
    """Give each task an output as its tool promises it, until none is left; how many there were."""
    schemas = {tool["name"]: tool.get("outputSchema") for tool in NASTY[name]}
    ready = [step for step in steps if isinstance(step, _core.Ready)]
    done = 0
    while ready:
        task = ready.pop()
        done += 1
        more = machine.succeed(task.task_id, json.dumps(output_of(schemas[task.tool], source)))
        ready += [step for step in more if isinstance(step, _core.Ready)]
    assert machine.unsettled == 0
    return done

"""Drives agents of other frameworks, in an interpreter that has them. Imports nothing of ours.

One JSON request a line on standard input, one JSON answer a line on standard output. See `benchmarks.peers`. Each
framework gets the same model, which says what it is told to say after the time that it is told to take, and the same
tool. Frameworks that are not installed are left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


_ids = count(1)


async def wait(milliseconds: int, inputs: list[str]) -> str:  # noqa: ARG001 - inputs only order the calls
    """Take so many milliseconds."""
    ends = time.perf_counter() + milliseconds / 1000
    await asyncio.sleep(max(0.0, milliseconds / 1000 - 0.002))
    while time.perf_counter() < ends:  # noqa: ASYNC110 - a clock is what is waited for
        await asyncio.sleep(0)
    return "done"


class Script:
    """What the model says, turn by turn, and how long it takes for each.

    Args:
        turns: the calls of each turn, and of the last one none.
        seconds: how long each turn takes.
    """

    def __init__(self, turns: list[list[dict[str, Any]]], seconds: list[float]) -> None:
        self._turns = list(zip(turns, seconds, strict=True))

    async def next(self) -> list[dict[str, Any]]:
        """The calls of the next turn; none if the model answers."""
        calls, seconds = self._turns.pop(0)
        if seconds:
            await asyncio.sleep(seconds)
        return calls


def _langgraph(script: Callable[[], Script]) -> Callable[[], Awaitable[str]]:
    messages = import_module("langchain_core.messages")
    outputs = import_module("langchain_core.outputs")
    base = import_module("langchain_core.language_models.chat_models").BaseChatModel

    class Scripted(base):  # type: ignore[misc, valid-type]
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, *_: Any, **__: Any) -> Any:
            return self

        def _generate(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def _agenerate(self, *_: Any, **__: Any) -> Any:
            calls = await script().next()
            requested = [{"name": "wait", "args": one, "id": f"call-{next(_ids)}"} for one in calls]
            said = messages.AIMessage("" if calls else "done", tool_calls=requested)
            return outputs.ChatResult(generations=[outputs.ChatGeneration(message=said)])

    tool = import_module("langchain_core.tools").tool
    agent = import_module("langchain.agents").create_agent(Scripted(), [tool(wait)])

    async def run() -> str:
        ended = await agent.ainvoke({"messages": [("user", "How long?")]})
        return str(ended["messages"][-1].content)

    return run


def _pydantic_ai(script: Callable[[], Script]) -> Callable[[], Awaitable[str]]:
    ai = import_module("pydantic_ai")
    messages = import_module("pydantic_ai.messages")

    async def scripted(_messages: Any, _info: Any) -> Any:
        calls = await script().next()
        parts = [messages.ToolCallPart("wait", one) for one in calls] or [messages.TextPart("done")]
        return messages.ModelResponse(parts=parts)

    agent = ai.Agent(import_module("pydantic_ai.models.function").FunctionModel(scripted), tools=[wait])

    async def run() -> str:
        return str((await agent.run("How long?")).output)

    return run


def _openai_agents(script: Callable[[], Script]) -> Callable[[], Awaitable[str]]:
    agents = import_module("agents")
    responses = import_module("openai.types.responses")
    agents.set_tracing_disabled(True)

    def call(arguments: dict[str, Any]) -> Any:
        return responses.ResponseFunctionToolCall(
            arguments=json.dumps(arguments), call_id=f"call-{next(_ids)}", name="wait", type="function_call"
        )

    def answer() -> Any:
        text = responses.ResponseOutputText(annotations=[], text="done", type="output_text")
        return responses.ResponseOutputMessage(
            id="message", role="assistant", status="completed", type="message", content=[text]
        )

    class Scripted(agents.Model):  # type: ignore[misc, name-defined]
        async def get_response(self, *_: Any, **__: Any) -> Any:
            calls = await script().next()
            said = [call(one) for one in calls] or [answer()]
            return agents.ModelResponse(output=said, usage=agents.Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    agent = agents.Agent(name="peer", model=Scripted(), tools=[agents.function_tool(wait)])

    async def run() -> str:
        return str((await agents.Runner.run(agent, "How long?", max_turns=50)).final_output)

    return run


_PEERS = {
    "LangGraph": ("langgraph", ("langchain",), _langgraph),
    "pydantic-ai": ("pydantic-ai-slim", (), _pydantic_ai),
    "OpenAI Agents": ("openai-agents", (), _openai_agents),
}


def _installed() -> dict[str, str]:
    found = {}
    for name, (package, needed, _) in _PEERS.items():
        try:
            found[name] = version(package)
            for one in needed:
                version(one)
        except PackageNotFoundError:
            found.pop(name, None)
    return found


_scripts: list[Script] = []


@cache
def _agent(name: str) -> Callable[[], Awaitable[str]]:
    return _PEERS[name][2](lambda: _scripts[-1])


async def _runs(request: dict[str, Any]) -> dict[str, Any]:
    """So many runs of one agent, each with the same script: seconds by the clock and of the processor."""
    run = _agent(request["peer"])
    wall, cpu = [], []
    for _ in range(request["runs"]):
        _scripts[:] = [Script(request["turns"], request["seconds"])]
        began, used = time.perf_counter(), time.process_time()
        answer = await run()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
        if answer != "done":
            raise RuntimeError(f"{request['peer']} answered {answer!r}")
    return {"wall": wall, "cpu": cpu}


def main() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _installed() if request["do"] == "hello" else asyncio.run(_runs(request))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

"""Drives a checkout of the original LLMCompiler, in an interpreter that can import it. Imports nothing of ours.

One JSON request a line on standard input, one JSON answer a line on standard output. See `benchmarks.original`.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import time
from importlib import import_module
from types import SimpleNamespace
from typing import Any


async def _wait(milliseconds: int, inputs: list[str] | None = None) -> str:  # noqa: ARG001 - inputs only order the calls
    ends = time.perf_counter() + milliseconds / 1000
    await asyncio.sleep(max(0.0, milliseconds / 1000 - 0.002))
    while time.perf_counter() < ends:  # noqa: ASYNC110 - a clock is what is waited for
        await asyncio.sleep(0)
    return "done"


def _parse(pieces: list[str]) -> dict[str, Any]:
    planner = import_module("src.llm_compiler.planner")
    search = SimpleNamespace(name="search", func=_wait, stringify_rule=None)
    parser = planner.StreamingGraphParser(tools=[search])
    tasks = 0
    began = time.perf_counter()
    for piece in pieces:
        tasks += parser.ingest_token(piece) is not None
    tasks += parser.finalize() is not None
    return {"seconds": time.perf_counter() - began, "tasks": tasks}


async def _rest(milliseconds: int, inputs: list[str] | None = None) -> str:  # noqa: ARG001
    await asyncio.sleep(milliseconds / 1000)
    return "done"


async def _fail(inputs: list[str] | None = None) -> str:  # noqa: ARG001
    raise ValueError("in vain")


async def _run(pieces: list[tuple[float, str, list[int]]], patience: float | None) -> dict[str, Any]:
    planner = import_module("src.llm_compiler.planner")
    fetching = import_module("src.llm_compiler.task_fetching_unit").TaskFetchingUnit()
    fed: dict[int, float] = {}
    entered: list[float] = []

    async def wait(milliseconds: int, inputs: list[str]) -> str:
        entered.append(time.perf_counter())
        return await _wait(milliseconds, inputs)

    queue: asyncio.Queue[Any] = asyncio.Queue()
    functions = {"wait": wait, "rest": _rest, "fail": _fail}
    tools = [SimpleNamespace(name=name, func=function, stringify_rule=None) for name, function in functions.items()]
    callback = planner.LLMCompilerCallback(queue, tools)

    async def write() -> None:
        due = time.perf_counter()
        for pause, text, closed in pieces:
            due += pause
            if (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            now = time.perf_counter()
            fed.update((task_id, now) for task_id in closed)
            await callback.on_llm_new_token(text, run_id=None)
        await callback.on_llm_end(None, run_id=None)

    began, used = time.perf_counter(), time.process_time()
    writing = asyncio.create_task(write())
    finished = True
    try:
        await asyncio.wait_for(fetching.aschedule(task_queue=queue, func=lambda task: task), patience)
    except asyncio.TimeoutError:  # noqa: UP041 - for any interpreter
        finished = False
    ended, cpu = time.perf_counter(), time.process_time() - used
    await writing
    return {"began": began, "ended": ended, "fed": fed, "entered": entered, "cpu": cpu, "finished": finished}


async def _chat(module: str, which: list[Any], examples: str, question: str) -> dict[str, Any]:
    """The chat that its planner asks a model with."""
    models = import_module("langchain.chat_models.base")
    messages = import_module("langchain.schema.messages")
    asked: list[Any] = []

    class Listening(models.BaseChatModel):  # type: ignore[misc, name-defined]
        """Keeps what it is asked, and answers that there is nothing to do."""

        _llm_type = "listening"

        def _generate(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def _call_async(self, chat: list[Any], **_: Any) -> Any:
            asked.extend(chat)
            return messages.AIMessage(content="1. join()")

    structured = import_module("src.tools.base").StructuredTool
    tools = [structured.from_function(function) for function in runpy.run_path(module)["functions"](*which)]
    planner = import_module("src.llm_compiler.planner").Planner(
        llm=Listening(), example_prompt=examples, example_prompt_replan=examples, tools=tools, stop=None
    )
    await planner.run_llm({"input": question})
    roles = {"system": "system", "human": "user"}
    return {"messages": [{"role": roles[message.type], "content": message.content} for message in asked]}


def main() -> None:
    """Answer requests until there are none."""
    # The original prints; its answers must not be mixed with ours.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - for any interpreter
    import_module("src.utils.logger_utils").enable_logging(False)
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if request["do"] == "parse":
            answer = _parse(request["pieces"])
        elif request["do"] == "chat":
            answer = asyncio.run(_chat(request["module"], request["which"], request["examples"], request["question"]))
        elif request["do"] == "run":
            answer = asyncio.run(_run(request["pieces"], request.get("patience")))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

"""Compiles plan text into steps and writes them. Imports no more than the plan machine, to start at once."""

from __future__ import annotations

import json
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from dovetail import _core
from dovetail.cli.exits import BROKEN_PIPE, FAILED, abandon_output, complain, is_closed_pipe
from dovetail.cli.printable import printable
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["compile_plan", "step_json", "write_json", "write_text"]


def compile_plan(
    file: str,
    specs: Sequence[str],
    outputs_file: Path | None,
    chunk: int | None,
    write: Callable[[_core.Step], None],
) -> int:
    """Compile a plan, write its steps, and return the exit status.

    Args:
        file: the plan text; ``-`` is standard input.
        specs: the tools, as SPECs.
        outputs_file: outputs by task id, as JSON.
        chunk: how many bytes to feed at a time; all at once if None.
        write: what writes a step.

    Raises:
        UsageError: a file cannot be read or holds something else.
        UsageError: a SPEC leads nowhere.
    """
    tools = _tool_set(specs)
    outputs = {} if outputs_file is None else _read_outputs(outputs_file)
    text = _plan_text(file)
    # A task is ready at its closing bracket, and its output is to be fed before anything behind that is read.
    size = 1 if outputs else chunk or max(1, len(text))
    failed = False
    planned: set[int] = set()
    try:
        for step in _compiled(tools, text, size, outputs):
            if isinstance(step, _core.Planned):
                planned.add(step.task_id)
            elif isinstance(step, _core.Diagnostic) and step.severity == "error":
                failed = True
            write(step)
        sys.stdout.flush()
    except OSError as error:
        if not is_closed_pipe(error):
            raise
        abandon_output(sys.stdout)
        return BROKEN_PIPE
    for task_id in outputs:
        why = "that task was never ready" if task_id in planned else "the plan has no such task"
        complain(f"note: the output of task {task_id} was not used: {why}")
    return FAILED if failed else 0


def _compiled(tools: _core.ToolSet, text: bytes, size: int, outputs: dict[int, str]) -> Iterator[_core.Step]:
    """The steps, in the order in which the machine says them. What is used of ``outputs`` is taken out of it."""
    machine = _core.Machine(tools)

    def follow(steps: Sequence[_core.Step]) -> Iterable[_core.Step]:
        todo = deque(steps)
        while todo:
            step = todo.popleft()
            yield step
            if isinstance(step, _core.Ready) and step.task_id in outputs:
                todo.extend(machine.succeed(step.task_id, outputs.pop(step.task_id)))

    for start in range(0, len(text), size):
        if steps := machine.feed(text[start : start + size]):
            yield from follow(steps)
    yield from follow(machine.finish())


def _tool_set(specs: Sequence[str]) -> _core.ToolSet:
    if len(specs) == 1 and specs[0].endswith(".json"):
        try:
            return _core.ToolSet(Path(specs[0]).read_bytes())
        except (OSError, ValueError) as error:
            raise UsageError(f"{specs[0]}: {_reason(error)}") from error
    from dovetail.tools.tool_set import ToolSet

    return ToolSet.of(specs).core


def _plan_text(file: str) -> bytes:
    if file == "-" and sys.stdin.isatty():
        complain("note: reading the plan from the terminal, up to Ctrl-D")
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {_reason(error)}") from error


def _read_outputs(file: Path) -> dict[int, str]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: {_reason(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f'{file}: an object is needed, outputs by task id: {{"1": …}}')
    outputs = {}
    for key, value in content.items():
        if not (key.isascii() and key.isdecimal() and len(key) < 20 and str(int(key)) == key):
            raise UsageError(f'{file}: {key!r} is no task id; the keys are numbers, such as "1"')
        outputs[int(key)] = json.dumps(value)
    return outputs


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return f"the file is no JSON: {error}"
    return str(error)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

_KEYS = {
    _core.Thought: ("thought", ("text",)),
    _core.Planned: ("planned", ("task_id", "tool", "depends_on", "line", "column")),
    _core.Ready: ("ready", ("task_id", "tool")),
    _core.Unreachable: ("unreachable", ("task_id", "because")),
    _core.Diagnostic: ("diagnostic", ("severity", "code", "message", "line", "column")),
    _core.Closed: ("closed", ("answer_task",)),
}


def write_json(step: _core.Step) -> None:
    """Write a step as a line of JSON."""
    sys.stdout.buffer.write(step_json(step).encode() + b"\n")


def step_json(step: _core.Step) -> str:
    """A step as JSON, its keys always in the same order."""
    name, keys = _KEYS[type(step)]
    fields = {"step": name, **{key: getattr(step, key) for key in keys}}
    line = _ENCODER.encode(fields)
    if isinstance(step, _core.Ready):
        # The machine's own JSON, as it is: to read and write it again could change its numbers.
        line = f'{line[:-1]},"arguments":{step.arguments}}}'
    return line


def write_text(step: _core.Step) -> None:
    """Write a step as a line for people."""
    name, task_id, text = _described(step)
    text = printable(text).replace("\n", " ")
    line = f"{name:<11} {task_id or '':>3}  {text}\n"
    sys.stdout.buffer.write(line.encode(sys.stdout.encoding or "utf-8", "replace"))


def _described(step: _core.Step) -> tuple[str, int | None, str]:
    match step:
        case _core.Planned():
            after = f", after {', '.join(map(str, step.depends_on))}" if step.depends_on else ""
            return "planned", step.task_id, f"{step.tool}{after}  ({step.line}:{step.column})"
        case _core.Ready():
            return "ready", step.task_id, f"{step.tool} {step.arguments}"
        case _core.Unreachable():
            return "unreachable", step.task_id, f"because task {step.because} failed"
        case _core.Diagnostic():
            place = f"  ({step.line}:{step.column})" if step.line else ""
            return step.severity, step.task_id, f"{step.code}: {step.message}{place}"
        case _core.Closed():
            named = "no answer named" if step.answer_task is None else f"the answer is task {step.answer_task}'s"
            return "closed", None, named
        case _core.Thought():
            return "thought", None, step.text

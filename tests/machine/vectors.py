"""Reads the vectors that Rust and Python share, and plays them to a machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail._core import Closed, Diagnostic, Machine, Planned, Ready, Thought, ToolSet, Unreachable

if TYPE_CHECKING:
    from dovetail._core import Step

FOLDER = Path(__file__).parent.parent / "vectors"


@dataclass(frozen=True)
class Case:
    """One case of a vector file: a plan, what its tools return, and the steps that follow."""

    topic: str
    name: str
    tools: str
    text: bytes
    replan: bytes | None
    outputs: dict[int, str]
    failures: frozenset[int]
    cut_off: bool
    max_tasks: int | None
    steps: list[dict[str, Any]]

    @property
    def is_answered(self) -> bool:
        """Whether tasks are answered while the plan is read, so that the order of steps depends on the cut."""
        return bool(self.outputs or self.failures)

    def play(self, size: int | None) -> list[dict[str, Any]]:
        """The steps of the case, its text fed in pieces of ``size`` bytes; None for one piece."""
        machine = Machine(ToolSet(self.tools), max_tasks=self.max_tasks)
        played: list[dict[str, Any]] = []

        def take(steps: list[Step]) -> None:
            for step in steps:
                played.append(to_json(step))
                if isinstance(step, Ready) and step.task_id in self.outputs:
                    take(machine.succeed(step.task_id, self.outputs[step.task_id]))
                elif isinstance(step, Ready) and step.task_id in self.failures:
                    take(machine.fail(step.task_id))

        for text in (self.text, self.replan):
            if text is not None:
                pieces = size or len(text) or 1
                for at in range(0, len(text), pieces):
                    take(machine.feed(text[at : at + pieces]))
                take(machine.finish(cut_off=self.cut_off))
        return played


def cases() -> Iterator[Case]:
    """All cases of all vector files."""
    for file in sorted(FOLDER.glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        for case in document["cases"]:
            tools = case.get("tools", document["tools"])
            is_file = isinstance(tools, str)
            yield Case(
                topic=file.stem,
                name=case["name"],
                tools=(FOLDER / "tools" / tools).read_text(encoding="utf-8") if is_file else json.dumps(tools),
                text=_text(case["text"]),
                replan=_text(case["replan"]) if "replan" in case else None,
                outputs={int(key): json.dumps(output) for key, output in case.get("outputs", {}).items()},
                failures=frozenset(case.get("failures", [])),
                cut_off=case.get("cut_off", False),
                max_tasks=case.get("max_tasks"),
                steps=case["steps"],
            )


def _text(text: Any) -> bytes:
    """A text, or its parts: text, a repeated text, bytes that are no text."""
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, list):
        return b"".join(map(_text, text))
    if "hex" in text:
        return bytes.fromhex(text["hex"])
    repeated: bytes = text["repeat"].encode() * text["times"]
    return repeated


def to_json(step: Step) -> dict[str, Any]:
    """A step as ``dovetail plan`` prints it."""
    match step:
        case Thought():
            return {"step": "thought", "text": step.text}
        case Planned():
            depends_on = {"tool": step.tool, "depends_on": step.depends_on}
            return {"step": "planned", "task_id": step.task_id, **depends_on, "line": step.line, "column": step.column}
        case Ready():
            arguments = json.loads(step.arguments)
            return {"step": "ready", "task_id": step.task_id, "tool": step.tool, "arguments": arguments}
        case Unreachable():
            return {"step": "unreachable", "task_id": step.task_id, "because": step.because}
        case Diagnostic():
            found = {"severity": step.severity, "code": step.code, "message": step.message}
            return {"step": "diagnostic", **found, "line": step.line, "column": step.column}
        case Closed():
            return {"step": "closed", "answer_task": step.answer_task}


def expected(case: Case, played: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps of the case, with the messages that were played where the vector leaves them out."""
    said = []
    for index, step in enumerate(case.steps):
        message = played[index].get("message") if index < len(played) else None
        left_out = step["step"] == "diagnostic" and "message" not in step
        said.append({**step, "message": message} if left_out else step)
    return said

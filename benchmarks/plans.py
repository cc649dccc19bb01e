"""Plans to measure with: their text in pieces, and the graph that they stand for."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

__all__ = ["Plan", "chain", "diamond", "fan_out", "flat", "flat_json", "pieces", "random_graph", "silent", "skewed"]

PIECE = 4
"""Characters a piece: about a token."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Calls of ``wait(milliseconds, [inputs])``, and the pauses of the model that writes them."""

    name: str
    calls: list[tuple[int, list[int]]]
    """Of the tasks 1, 2, 3, …: how long each takes, and whose outputs it needs."""
    pauses: dict[int, float] = field(default_factory=dict)
    """How many seconds the model is silent after the line of a task."""
    pace: float = 0.005
    """Seconds between pieces."""

    def schedule(self) -> list[tuple[float, str, list[int]]]:
        """The pieces: the pause before each, its text, and the tasks whose closing parenthesis it holds."""
        cut: list[tuple[float, str, list[int]]] = []
        text, held = "", 0.0
        closed: list[int] = []
        for task_id, (milliseconds, inputs) in enumerate(self.calls, 1):
            names = ", ".join(f'"${one}"' for one in inputs)
            line = f"{task_id}. wait({milliseconds}, [{names}])\n"
            for character in line:
                text += character
                if character == ")":
                    closed.append(task_id)
                if len(text) == PIECE:
                    cut.append((self.pace + held, text, closed))
                    text, held, closed = "", 0.0, []
            if pause := self.pauses.get(task_id, 0.0):
                # A silent model has said all it had: the line is out before the pause.
                if text:
                    cut.append((self.pace + held, text, closed))
                    text, closed = "", []
                held = pause
        last = f"{text}{len(self.calls) + 1}. join()<END_OF_PLAN>"
        return [*cut, (self.pace + held, last, [*closed, len(self.calls) + 1])]

    def ideal(self, fed: dict[int, float]) -> float:
        """When the run ends if every task starts as soon as its parenthesis is fed and its inputs exist."""
        done: dict[int, float] = {}
        for task_id, (milliseconds, inputs) in enumerate(self.calls, 1):
            done[task_id] = max([fed[task_id], *(done[one] for one in inputs)]) + milliseconds / 1000
        return max([fed[len(self.calls) + 1], *done.values()])


def fan_out(width: int) -> Plan:
    """Tasks that need nothing."""
    return Plan(f"fan-out {width}", [(50, [])] * width)


def chain(length: int) -> Plan:
    """Tasks of which each needs the one before."""
    return Plan(f"chain {length}", [(50, [one] if one else []) for one in range(length)])


def diamond() -> Plan:
    """One, then two, then one."""
    return Plan("diamond", [(50, []), (50, [1]), (50, [1]), (50, [2, 3])])


def skewed() -> Plan:
    """Two chains that a barrier between levels would hold up: 50 to 250 ms and 250 to 50 ms."""
    return Plan("two skewed chains", [(50, []), (250, []), (250, [1]), (50, [2])])


def silent() -> Plan:
    """The planner says nothing for a second after line 2; task 2 needs the output of task 1."""
    return Plan("planner silent for 1 s", [(50, []), (50, [1]), (50, [2])], pauses={2: 1.0})


def random_graph(tasks: int, seed: int) -> Plan:
    """Each task needs up to three earlier ones."""
    rng = random.Random(seed)
    calls = [
        (50, sorted(rng.sample(range(1, task_id), min(task_id - 1, rng.choice((0, 1, 1, 2, 3))))))
        for task_id in range(1, tasks + 1)
    ]
    return Plan(f"random graph {seed}", calls, pace=0.0005)


def flat(tasks: int) -> str:
    """The text of a plan of short tasks."""
    return "".join(f'{one}. search("mountain {one}")\n' for one in range(1, tasks + 1)) + f"{tasks + 1}. join()"


def flat_json(tasks: int) -> str:
    """The same plan in JSON."""
    listed = ({"tool": "search", "id": one, "arguments": {"query": f"mountain {one}"}} for one in range(1, tasks + 1))
    return json.dumps({"thought": None, "tasks": list(listed), "join": None})


def pieces(text: str, size: int = PIECE) -> list[str]:
    """A text in pieces."""
    return [text[start : start + size] for start in range(0, len(text), size)]

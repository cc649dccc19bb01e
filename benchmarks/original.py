"""The original LLMCompiler as a peer: a checkout and an interpreter of the user's, in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.driven import Driven

if TYPE_CHECKING:
    from benchmarks.plans import Plan
    from dovetail.models.protocol import Message

__all__ = ["Original", "OriginalRun"]

_DRIVER = Path(__file__).with_name("original_driver.py")


@dataclass(frozen=True, slots=True)
class OriginalRun:
    """A plan that the original ran. Times are of its process's clock."""

    began: float
    ended: float
    fed: dict[int, float]
    entered: list[float]
    """When ``wait`` was entered, in that order."""
    cpu: float
    """Seconds of its processor."""
    finished: bool
    """Whether it came to its end by itself."""


class Original:
    """The original's parser and scheduler.

    Args:
        checkout: where its sources are.
        python: an interpreter that can import them.

    Raises:
        RuntimeError: its modules could not be imported; the message is the interpreter's last line.
    """

    def __init__(self, checkout: Path, python: Path) -> None:
        self._driven = Driven("the original", _DRIVER, python, checkout)

    def parse(self, pieces: list[str]) -> float:
        """Seconds that its streaming parser takes for a piece."""
        seconds: float = self._driven.ask({"do": "parse", "pieces": pieces})["seconds"]
        return seconds / len(pieces)

    def run(self, plan: Plan) -> OriginalRun:
        """Run a plan, paced as the plan says.

        Raises:
            RuntimeError: it did not run all tasks.
        """
        run = self.run_text(plan.schedule())
        if len(run.entered) != len(plan.calls):
            raise RuntimeError(f"the original ran {len(run.entered)} of {len(plan.calls)} tasks of {plan.name}")
        return run

    def run_text(self, schedule: list[tuple[float, str, list[int]]], patience: float | None = None) -> OriginalRun:
        """Run any plan, of calls of ``wait``, ``rest`` and ``fail``.

        Args:
            schedule: its text, as `Plan.schedule` gives it.
            patience: after how many seconds it is stopped; never if None.
        """
        told = self._driven.ask({"do": "run", "pieces": schedule, "patience": patience})
        fed = {int(task_id): at for task_id, at in told["fed"].items()}
        return OriginalRun(told["began"], told["ended"], fed, told["entered"], told["cpu"], told["finished"])

    def chat(self, tools: Path, which: tuple[Any, ...], examples: str, question: str) -> list[Message]:
        """The chat that its planner asks a model with, its tools made of functions as it makes them.

        Args:
            tools: a file with a function ``functions``, which gives the functions.
            which: the arguments of that function.
            examples: questions and plans, as it shows them.
            question: the question.
        """
        request = {"do": "chat", "module": str(tools.resolve()), "which": which}
        messages: list[Message] = self._driven.ask({**request, "examples": examples, "question": question})["messages"]
        return messages

    def close(self) -> None:
        """End its process."""
        self._driven.close()

"""A question of the demo, and how its answer is judged."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Question"]

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its right answer: a number, or a name."""

    text: str
    answer: float | str

    def accepts(self, answer: str) -> bool:
        """Whether an answer, the tool's value or a sentence around it, is right.

        A number must be the first one in the answer, a name must be in it; what else a model writes is not judged.
        """
        if isinstance(self.answer, str):
            return self.answer.casefold() in answer.casefold()
        number = _NUMBER.search(answer.replace(",", ""))
        return number is not None and abs(float(number[0]) - self.answer) <= abs(self.answer) * 0.001

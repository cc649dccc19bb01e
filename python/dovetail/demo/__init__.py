"""The demo: a few tools over a table of countries, examples of plans, and ten questions with their answers.

Small enough for a model of 135 million parameters to plan with. The tools work with every other model too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from dovetail.demo.facts import area, difference, larger, population, ratio, smaller, total
from dovetail.demo.question import Question
from dovetail.prompts.examples import Example, read_examples

if TYPE_CHECKING:
    from dovetail.tools.definition import Tool

__all__ = ["EXAMPLES", "QUESTIONS", "TOOLS", "Question"]

TOOLS: Final[tuple[Tool, ...]] = (population, area, total, difference, ratio, larger, smaller)

# The countries of the examples are not in the table: which example is near a question is for its other words to say.
EXAMPLES: Final[tuple[Example, ...]] = tuple(read_examples(Path(__file__).with_name("examples.txt")))

QUESTIONS: Final = (
    Question("How many people live in Japan?", 123_800_000),
    Question("How large is Brazil?", 8_510_000),
    Question("Which country has more people, China or India?", "India"),
    Question("Is Canada or Australia the larger country?", "Canada"),
    Question("How many times as many people live in Nigeria as in Kenya?", 4.126),
    Question("How many more people live in Germany than in France?", 18_100_000),
    Question("What is the total population of Spain and Portugal?", 58_300_000),
    Question("How many people per square kilometre live in Egypt?", 116.3),
    Question("How much larger is Argentina than Chile?", 2_024_000),
    Question("Which is more densely populated, Norway or Sweden?", "Sweden"),
)

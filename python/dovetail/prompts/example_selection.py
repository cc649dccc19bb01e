"""Which examples a planner is shown: all of them, or those nearest to the question by their words or their meaning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dovetail.prompts.examples import Example

__all__ = ["SHOWN_EXAMPLES", "AllExamples", "EmbeddedExamples", "ExampleSelector", "NearestExamples", "nearest"]

SHOWN_EXAMPLES: Final = 2
"""How many examples are shown if nothing is said of it: small models are carried by two that are near."""


class ExampleSelector(Protocol):
    """Chooses the examples that a planner is shown. Awaited in the event loop: it must not block."""

    async def choose(self, question: str, examples: Sequence[Example]) -> Sequence[Example]:
        """Choose examples for a plan.

        Args:
            question: what the run is to answer.
            examples: those whose tools the run may use; for another plan, those of other plans, if there are any.

        Returns:
            Some of them, the most telling last: a model leans most on what stands next to the question.
        """


class AllExamples:
    """Chooses all examples, in their order: the prompt then changes from question to question only at its end."""

    async def choose(self, question: str, examples: Sequence[Example]) -> Sequence[Example]:
        """All of them."""
        del question
        return examples


class NearestExamples:
    """Chooses the examples whose questions share the most telling words with the question (BM25).

    Args:
        k: how many.

    Raises:
        UsageError: ``k`` is below 1.
    """

    def __init__(self, k: int = SHOWN_EXAMPLES) -> None:
        self._k = _counted(k)

    async def choose(self, question: str, examples: Sequence[Example]) -> Sequence[Example]:
        """The nearest ones, the most similar last."""
        return nearest(question, examples, self._k)


class EmbeddedExamples:
    """Chooses the examples whose questions have the embeddings most similar to that of the question (by cosine).

    Args:
        embed: gives a vector for each of some texts, all of one length. The questions of examples are embedded once.
        k: how many are chosen.

    Raises:
        UsageError: ``k`` is below 1.
    """

    def __init__(
        self, embed: Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]], k: int = SHOWN_EXAMPLES
    ) -> None:
        self._embed = embed
        self._k = _counted(k)
        self._known: dict[str, Sequence[float]] = {}

    async def choose(self, question: str, examples: Sequence[Example]) -> Sequence[Example]:
        """The nearest ones, the most similar last.

        Raises:
            ValueError: the vectors are not as many as the texts, or not of one length.
        """
        if len(examples) <= 1:
            return examples
        missing = list(dict.fromkeys(one.question for one in examples if one.question not in self._known))
        vectors = await self._embed([*missing, question])
        if len(vectors) != len(missing) + 1:
            raise ValueError(f"{len(missing) + 1} texts were embedded into {len(vectors)} vectors")
        # Only those of now are kept: runs may bring examples of their own, without an end.
        known = self._known | dict(zip(missing, vectors, strict=False))
        self._known = {one.question: known[one.question] for one in examples}
        scores = [_cosine(self._known[one.question], vectors[-1]) for one in examples]
        return _best(examples, scores, self._k)


def nearest(question: str, examples: Sequence[Example], k: int = SHOWN_EXAMPLES) -> list[Example]:
    """The ``k`` examples whose questions share the most telling words with this one, the most similar last.

    Of equally similar examples the earlier ones are chosen.
    """
    if k < 1:
        return []
    if len(examples) <= 1:
        return list(examples)
    return _best(examples, _scores(question, [example.question for example in examples]), k)


def _best(examples: Sequence[Example], scores: Sequence[float], k: int) -> list[Example]:
    ranked = sorted(range(len(examples)), key=lambda index: (-scores[index], index))
    return [examples[index] for index in reversed(ranked[:k])]


def _scores(question: str, corpus: list[str]) -> list[float]:
    # bm25s brings numpy: a tenth of a second that only a question with examples should cost.
    import bm25s

    # Stop words stay: "how many", "than" and "of" tell one kind of question from another.
    texts = bm25s.tokenize([*corpus, question], stopwords=[], return_ids=False, show_progress=False)
    tokens: list[list[str]] = list(texts)
    words = {token for text in tokens[:-1] for token in text}
    known = [token for token in tokens[-1] if token in words]
    if not known:
        return [0.0] * len(corpus)
    retriever = bm25s.BM25()
    retriever.index(tokens[:-1], show_progress=False)
    return [float(score) for score in retriever.get_scores(known)]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    length = math.hypot(*one) * math.hypot(*other)
    return product / length if length else 0.0


def _counted(k: int) -> int:
    if k < 1:
        raise UsageError(f"k is {k}; to show no examples, give none")
    return k

"""Large tool sets narrowed to what a question is about, so that prompts and grammars stay small."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

from dovetail.errors import UsageError
from dovetail.tool_arguments import arguments_of
from dovetail.tools.tool_set import ToolSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dovetail.tools.definition import Tool

__all__ = ["LexicalRetriever", "Retriever"]

_WORD = re.compile(r"[^\W_]+")
# A name is written in one piece: `getWeather` is about the weather.
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]*")
_SHORTEST_PLURAL: Final = 4


class Retriever(Protocol):
    """Chooses the tools that a planner is shown. Called in the event loop: it must not block."""

    def choose(self, question: str, tools: ToolSet) -> ToolSet:
        """Choose tools for a plan.

        Args:
            question: what the run is to answer, and behind it what the plans so far lacked, if there were any.
            tools: the tools that the run may use.

        Returns:
            Some of them.
        """


class LexicalRetriever:
    """Chooses the tools whose names, descriptions and arguments share the most telling words with the question (BM25).

    Tools that the question names are always among them. The order is that of the set, so that prompts stay alike.

    Args:
        k: how many tools are chosen. Those that are pinned or named come first, and are chosen even if they are more.
        pinned: names of tools that are always chosen.

    Raises:
        UsageError: ``k`` is below 1.
    """

    def __init__(self, k: int = 20, *, pinned: Iterable[str] = ()) -> None:
        if k < 1:
            raise UsageError(f"k is {k}; a planner needs at least one tool")
        self._k = k
        self._pinned = frozenset([pinned] if isinstance(pinned, str) else pinned)
        self._indexes: WeakKeyDictionary[ToolSet, Any] = WeakKeyDictionary()

    def choose(self, question: str, tools: ToolSet) -> ToolSet:
        """Choose tools for a plan."""
        if len(tools) <= self._k:
            return tools
        named = (found.rstrip("./:-") for found in _NAME.findall(question))
        chosen = {name for name in (*named, *self._pinned) if name in tools}
        names = tools.names
        scores = self._scores(question, tools)
        for index in sorted(range(len(names)), key=lambda index: -scores[index]):
            if len(chosen) >= self._k:
                break
            chosen.add(names[index])
        return ToolSet(tool for tool in tools if tool.name in chosen)

    def _scores(self, question: str, tools: ToolSet) -> list[float]:
        index = self._indexes.get(tools)
        if index is None:
            index = self._indexes[tools] = _index_of(tools)
        known = [word for word in _words(question) if word in index.vocab_dict]
        return index.get_scores(known).tolist() if known else [0.0] * len(tools)


def _index_of(tools: ToolSet) -> Any:
    # bm25s brings numpy: a tenth of a second that only large sets should cost.
    import bm25s

    index = bm25s.BM25()
    # A word of its own lets a set without any words be indexed too.
    index.index([[*_words(_text_of(tool)), "\0"] for tool in tools], show_progress=False)
    return index


def _text_of(tool: Tool) -> str:
    arguments = arguments_of(tool.input_schema).properties
    texts = [tool.name, tool.description, *arguments]
    texts += [
        str(shape["description"]) for shape in arguments.values() if isinstance(shape, dict) and "description" in shape
    ]
    return " ".join(texts)


def _words(text: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(_HUMP.sub(" ", text))]
    # "flights" is to find "flight": enough of a stem for names and descriptions.
    return [word[:-1] if len(word) >= _SHORTEST_PLURAL and word.endswith("s") else word for word in words]

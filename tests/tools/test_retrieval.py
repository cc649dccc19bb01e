"""Large tool sets are narrowed before they are shown, and the choice is a good and a quick one."""

from __future__ import annotations

import time

import pytest

from dovetail.errors import UsageError
from dovetail.tools.definition import Tool
from dovetail.tools.retrieval import LexicalRetriever
from dovetail.tools.tool_set import ToolSet

_TOPICS = ["invoices", "flights", "hotels", "weather", "mountains", "recipes", "stocks", "letters", "tickets", "maps"]
_VERBS = ["list", "find", "create", "delete", "update", "archive", "compare", "export", "count", "rate"]


def shape(*arguments: str) -> dict[str, object]:
    return {"type": "object", "properties": {name: {"type": "string"} for name in arguments}}


def thousand() -> ToolSet:
    return ToolSet(
        Tool(f"{topic}.{verb}_{number}", f"To {verb} {topic} of the kind {number}.", shape("name", "day"))
        for number in range(10)
        for topic in _TOPICS
        for verb in _VERBS
    )


def test_the_tools_that_share_words_with_the_question_are_chosen_in_the_order_of_the_set() -> None:
    tools = thousand()
    chosen = LexicalRetriever(10).choose("Compare the weather of Oslo and Rome", tools)
    assert chosen.names == [f"weather.compare_{number}" for number in range(10)]
    assert chosen["weather.compare_0"] is tools["weather.compare_0"]


def test_names_in_one_piece_plurals_and_arguments_are_read_as_words() -> None:
    tools = ToolSet(
        [
            Tool("getExchangeRate", "", shape("pair")),
            Tool("book_flight", "", shape()),
            Tool("other", "", shape("postcode")),
            Tool("more", "", shape()),
        ]
    )
    for question, name in [
        ("what rate has the dollar", "getExchangeRate"),
        ("two flights to Rome", "book_flight"),
        ("which postcode is 1010", "other"),
    ]:
        assert LexicalRetriever(1).choose(question, tools).names == [name]


def test_tools_that_are_named_or_pinned_are_always_chosen() -> None:
    tools = thousand()
    retriever = LexicalRetriever(3, pinned=["maps.rate_9", "unknown"])
    chosen = retriever.choose("hotels? use stocks.list_3, and recipes.find_2.", tools)
    assert chosen.names == ["recipes.find_2", "stocks.list_3", "maps.rate_9"]


def test_a_small_set_is_left_as_it_is_and_a_question_without_known_words_gets_the_first() -> None:
    tools = thousand()
    assert LexicalRetriever(1000).choose("x", tools) is tools
    assert LexicalRetriever(2).choose("???", tools).names == tools.names[:2]
    nameless = ToolSet([Tool("_", "", shape()), Tool("__", "", shape())])
    assert LexicalRetriever(1).choose("a", nameless).names == ["_"]


def test_a_retriever_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="k is 0"):
        LexicalRetriever(0)


def test_a_thousand_tools_are_narrowed_within_five_milliseconds_once_they_are_indexed() -> None:
    tools, retriever = thousand(), LexicalRetriever()
    retriever.choose("warm", tools)
    times = []
    for number in range(20):
        began = time.thread_time()
        retriever.choose(f"find the hotels and flights of the kind {number} that are near the mountains", tools)
        times.append(time.thread_time() - began)
    assert sorted(times)[10] < 0.005

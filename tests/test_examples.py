from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dovetail.errors import UsageError
from dovetail.prompts.example_selection import nearest
from dovetail.prompts.examples import Example, parse_examples, read_examples

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
Question: How many people live in Iceland?
1. population("Iceland")
2. join($1)

Question: Which is larger, Malta or Cuba?
Thought: both areas are needed.
1. area("Malta")
2. area("Cuba")
3. larger("Malta", $1, "Cuba", $2)
4. join($3)
"""


def test_examples_are_questions_and_the_lines_below_them() -> None:
    first, second = parse_examples(TEXT)
    assert first == Example("How many people live in Iceland?", '1. population("Iceland")\n2. join($1)')
    assert second.question == "Which is larger, Malta or Cuba?"
    assert second.plan.startswith("Thought: both")
    assert second.plan.endswith("4. join($3)")


def test_a_question_begins_only_at_the_start_of_a_line() -> None:
    [example] = parse_examples('Question: one\n1. search("Question: two")\n  Question: three\n2. join()\n')
    assert example.plan == '1. search("Question: two")\n  Question: three\n2. join()'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"notes\.txt:1: there is no example"),
        ("\n\n", r"notes\.txt:1: there is no example"),
        ("\n1. search()\n", r"notes\.txt:2: an example begins with a line 'Question: …'"),
        ("Question: a\n1. x()\n\nQuestion:\n1. y()\n", r"notes\.txt:4: the question is empty"),
        ("Question: a\n\nQuestion: b\n1. y()\n", r"notes\.txt:1: the question has no plan"),
        ("Question: a\n1. y()\n\nQuestion: b\n \n", r"notes\.txt:4: the question has no plan"),
    ],
)
def test_what_is_no_example_is_an_error_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_examples(text, source="notes.txt")


def test_a_file_of_examples_is_read(tmp_path: Path) -> None:
    path = tmp_path / "examples.txt"
    path.write_text(TEXT, encoding="utf-8")
    assert read_examples(path) == parse_examples(TEXT)


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.txt cannot be read"):
        read_examples(tmp_path / "absent.txt")
    (tmp_path / "latin.txt").write_bytes(b"Question: \xe4\n")
    with pytest.raises(UsageError, match=r"latin\.txt cannot be read"):
        read_examples(tmp_path / "latin.txt")


def _examples(*questions: str) -> list[Example]:
    return [Example(question, "1. f()\n2. join()") for question in questions]


def test_the_nearest_examples_are_chosen_and_the_most_similar_stands_last() -> None:
    examples = _examples("How large is X?", "How many people live in X?", "How many more people live in X than in Y?")
    chosen = nearest("how many more people live in Peru than in Chile", examples)
    assert [example.question for example in chosen] == [examples[1].question, examples[2].question]


def test_of_equally_similar_examples_the_earlier_ones_are_chosen() -> None:
    examples = _examples("How large is A?", "How large is B?", "How large is C?")
    assert nearest("How large is Z?", examples) == [examples[1], examples[0]]


@pytest.mark.parametrize("question", ["", "?!", "Wörter ohne Beispiel", "x" * 100_000])
def test_a_question_that_shares_no_word_gets_the_first_examples(question: str) -> None:
    examples = _examples("How large is A?", "How many are B?", "Which is C?")
    assert nearest(question, examples) == [examples[1], examples[0]]


def test_examples_without_any_word_can_still_be_chosen() -> None:
    examples = _examples("?", "!", "a")
    assert nearest("How large?", examples) == [examples[1], examples[0]]


@pytest.mark.parametrize(("k", "count"), [(0, 0), (-1, 0), (1, 1), (2, 2), (9, 2)])
def test_no_more_examples_are_chosen_than_asked_for_or_than_there_are(k: int, count: int) -> None:
    assert len(nearest("How large is A?", _examples("How large is A?", "Which is B?"), k)) == count


def test_without_examples_none_is_chosen() -> None:
    assert nearest("How large?", []) == []


def test_reading_examples_does_not_import_numpy() -> None:
    code = "import dovetail.prompts.examples, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"

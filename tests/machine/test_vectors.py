"""The machine from Python against the vectors that the Rust tests read, too."""

import json

import pytest
from vectors import Case, cases, expected

CASES = list(cases())
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=[f"{case.topic}: {case.name}" for case in CASES])


def test_vectors_are_found_under_different_names() -> None:
    names = [(case.topic, case.name) for case in CASES]
    assert len(names) > 150
    assert len(names) == len(set(names))


@EVERY_CASE
def test_a_vector_byte_by_byte_gives_its_steps(case: Case) -> None:
    played = case.play(1)
    assert played == expected(case, played)


@EVERY_CASE
@pytest.mark.parametrize("size", [4, None], ids=["pieces of 4", "whole"])
def test_a_vector_in_larger_pieces_gives_the_same_steps(case: Case, size: int | None) -> None:
    played, byte_by_byte = case.play(size), case.play(1)
    if case.is_answered:
        # Outputs come at other moments, and so do the steps that follow from them.
        assert sorted(map(json.dumps, played)) == sorted(map(json.dumps, byte_by_byte))
    else:
        assert played == byte_by_byte

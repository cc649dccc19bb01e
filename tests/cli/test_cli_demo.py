"""`dovetail demo` with a recorded model: questions one after the other, and a count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commandline import dovetail, recording

if TYPE_CHECKING:
    from pathlib import Path

JAPAN = '1. population("Japan")\n2. join($1)'
BRAZIL = '1. area("Brazil")\n2. join($1)'


def test_all_right_is_status_0(tmp_path: Path) -> None:
    done = dovetail(tmp_path, "demo", "--model", recording(tmp_path, JAPAN, BRAZIL), "--limit", "2")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "How many people live in Japan?",
        "123800000",
        "right",
        "",
        "How large is Brazil?",
        "8510000",
        "right",
        "",
        "2 of 2 right",
    ]


def test_a_wrong_answer_and_a_failed_run_are_counted_and_the_demo_goes_on(tmp_path: Path) -> None:
    done = dovetail(tmp_path, "demo", "--model", recording(tmp_path, BRAZIL, BRAZIL), "--limit", "3")
    assert done.returncode == 1
    assert "wrong: the answer is 123800000" in done.stdout.decode().splitlines()
    assert b"dovetail: MODEL_UNAVAILABLE: " in done.stderr
    assert done.stdout.endswith(b"1 of 3 right\n")

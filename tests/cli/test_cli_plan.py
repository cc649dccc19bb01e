"""`dovetail plan`: steps as lines, whatever the plan holds and however it is cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from commandline import SPECS, dovetail

if TYPE_CHECKING:
    from pathlib import Path

PLAN = """Thought: both heights are needed.
1. search("Mount Everest")
2. search("Burj Khalifa")
3. math(problem="$1.height * 2.5 / $2.height", context=["$1", $2])
4. foo("x")
5. math("$4 x")
6. join($3)
"""
KEYS = {
    "thought": ["step", "text"],
    "planned": ["step", "task_id", "tool", "depends_on", "line", "column"],
    "ready": ["step", "task_id", "tool", "arguments"],
    "unreachable": ["step", "task_id", "because"],
    "diagnostic": ["step", "severity", "code", "message", "line", "column"],
    "closed": ["step", "answer_task"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.json").write_text(json.dumps(SPECS))
    (tmp_path / "plan.txt").write_text(PLAN)
    (tmp_path / "outputs.json").write_text('{"1": {"height": 8848}, "2": {"height": 828}}')
    return tmp_path


def steps(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_steps_are_lines_of_json_with_their_keys_in_order(folder: Path) -> None:
    done = dovetail(
        folder, "plan", "plan.txt", "--tools", "tools.json", "--outputs", "outputs.json", "--format", "json"
    )
    read = steps(done.stdout)
    assert {step["step"] for step in read} == set(KEYS)
    assert all(list(step) == KEYS[step["step"]] for step in read)
    assert read[0] == {"step": "thought", "text": "both heights are needed."}
    assert {"step": "planned", "task_id": 3, "tool": "math", "depends_on": [1, 2], "line": 4, "column": 1} in read
    bound = {"problem": "8848 * 2.5 / 828", "context": ['{"height":8848}', '{"height":828}']}
    assert {"step": "ready", "task_id": 3, "tool": "math", "arguments": bound} in read
    assert {"step": "unreachable", "task_id": 5, "because": 4} in read
    assert read[-1] == {"step": "closed", "answer_task": 3}
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("chunk", ["1", "3", "4", "1000"])
@pytest.mark.parametrize("outputs", [(), ("--outputs", "outputs.json")])
def test_the_size_of_the_pieces_changes_no_step(folder: Path, chunk: str, outputs: tuple[str, ...]) -> None:
    options = ("plan", "plan.txt", "--tools", "tools.json", "--format", "json", *outputs)
    assert dovetail(folder, *options, "--chunk", chunk).stdout == dovetail(folder, *options).stdout


def test_an_output_is_fed_before_anything_behind_its_task_is_read(folder: Path) -> None:
    plan = b'1. search("a")\n2. math("$1")\n3. search("b")\n4. join()'
    (folder / "outputs.json").write_text('{"1": "x"}')
    done = dovetail(
        folder, "plan", "-", "--tools", "tools.json", "--outputs", "outputs.json", "--format", "json", stdin=plan
    )
    order = [(step["step"], step["task_id"]) for step in steps(done.stdout) if "task_id" in step]
    assert order == [("planned", 1), ("ready", 1), ("planned", 2), ("ready", 2), ("planned", 3), ("ready", 3)]
    assert done.returncode == 0


def test_a_plan_comes_from_standard_input_as_bytes(folder: Path) -> None:
    done = dovetail(
        folder, "plan", "--tools", "tools.json", "--format", "json", stdin=b'1. search("\xff\x00")\n2. join()'
    )
    assert done.returncode in (0, 1)
    assert any(step["step"] == "planned" for step in steps(done.stdout))


def test_numbers_in_arguments_stay_as_they_were_written(folder: Path) -> None:
    (folder / "any.json").write_text(
        '[{"name": "any", "inputSchema": {"type": "object", "properties": {"a": {}, "b": {}}}}]'
    )
    plan = b"1. any(a=123456789012345678901234567890, b=0.1)\n2. join()"
    done = dovetail(folder, "plan", "--tools", "any.json", "--format", "json", stdin=plan)
    assert b'"arguments":{"a":123456789012345678901234567890,"b":0.1}}' in done.stdout


def test_steps_for_people_are_one_line_each_and_carry_no_control_characters(folder: Path) -> None:
    plan = b'Thought: \x1b[31mred\x1b[0m\n1. search("a\\u001b[2J\nb")\n2. join()'
    done = dovetail(folder, "plan", "--tools", "tools.json", stdin=plan)
    assert done.stdout.splitlines()[0] == "thought          ␛[31mred␛[0m".encode()
    assert b"\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1] == b"closed           no answer named"


def test_outputs_that_were_not_used_are_noted_on_standard_error(folder: Path) -> None:
    (folder / "outputs.json").write_text('{"1": 1, "5": 2, "9": 3}')
    done = dovetail(folder, "plan", "plan.txt", "--tools", "tools.json", "--outputs", "outputs.json")
    assert done.stderr.decode().splitlines() == [
        "dovetail: note: the output of task 5 was not used: that task was never ready",
        "dovetail: note: the output of task 9 was not used: the plan has no such task",
    ]


def test_tools_may_be_any_spec(folder: Path) -> None:
    done = dovetail(folder, "plan", "--tools", "dovetail.builtin:math", stdin=b'1. math("1 + 1")\n2. join($1)')
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'ready         1  math {"problem":"1 + 1"}' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan.txt",), "required: -t/--tools"),
        (("plan.txt", "--tools", "none.json"), "none.json: No such file"),
        (("none.txt", "--tools", "tools.json"), "none.txt: No such file"),
        (("plan.txt", "--tools", "plan.json"), "plan.json: "),
        (("plan.txt", "--tools", "tools.json", "--chunk", "0"), "'0' is no number from 1"),
        (("plan.txt", "--tools", "tools.json", "--format", "yaml"), "invalid choice: 'yaml'"),
        (("plan.txt", "--tools", "tools.json", "--outputs", "list.json"), "an object is needed"),
        (("plan.txt", "--tools", "tools.json", "--outputs", "ids.json"), "'one' is no task id"),
        (("plan.txt", "--tools", "tools.json", "--outputs", "plan.json"), "the file is no JSON"),
        (("plan.txt", "--tools", "no_such_module"), "no module 'no_such_module'"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "plan.json").write_text(PLAN)
    (folder / "list.json").write_text("[]")
    (folder / "ids.json").write_text('{"one": 1}')
    done = dovetail(folder, "plan", *arguments)
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, b"", 1)
    assert lines[0].startswith("dovetail: ")
    assert message in lines[0]

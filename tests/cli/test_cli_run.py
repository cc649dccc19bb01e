"""`dovetail run` without a terminal: what goes where, and the statuses."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from commandline import BOUND, COMMAND, TOOLS, dovetail, environment, recording
from google.protobuf.json_format import Parse

from dovetail.v1 import Event, RunState

if TYPE_CHECKING:
    from pathlib import Path

ANSWERED = 'Thought: twice.\n1. double(21)\n2. say("it is $1")\n3. join($2)'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS)
    return tmp_path


def run(
    folder: Path, *replies: str, options: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[bytes]:
    model = recording(folder, *replies)
    return dovetail(folder, "run", "--model", model, "--tools", "tools.py", "how many?", *options, **variables)


def events(output: bytes) -> list[Event]:
    return [Parse(line, Event()) for line in output.splitlines()]


def test_the_answer_alone_goes_to_standard_output_and_progress_to_standard_error(folder: Path) -> None:
    done = run(folder, ANSWERED)
    assert (done.returncode, done.stdout) == (0, b"it is 42\n")
    progress = done.stderr.decode().splitlines()
    assert "thought: twice." in progress
    assert "1 double(number=21)" in progress
    assert progress[-1].startswith("1 plan · 2 calls · 1 model call · 15 tokens · ")


def test_what_a_tool_prints_does_not_mix_with_the_answer(folder: Path) -> None:
    assert b"a tool printed this\n" in run(folder, ANSWERED).stderr


def test_the_joiner_answers_and_failed_tasks_are_told_with_their_reason(folder: Path) -> None:
    plan = '1. broken("luck")\n2. double($1)\n3. join()'
    done = run(folder, plan, "Thought: well.\nAction: Finish(Nobody knows.)")
    assert (done.returncode, done.stdout) == (0, b"Nobody knows.\n")
    assert "1 broken failed: TOOL_ERROR: ValueError: no luck" in done.stderr.decode()
    assert "2 double skipped: task 1 failed" in done.stderr.decode()


def test_json_is_one_event_a_line_in_protos_mapping(folder: Path) -> None:
    done = run(folder, ANSWERED, options=("--json",))
    read = events(done.stdout)
    assert [event.sequence for event in read] == list(range(1, len(read) + 1))
    assert read[0].run_started.question == "how many?"
    assert read[-1].run_ended.state == RunState.RUN_STATE_ANSWERED
    raw = [json.loads(line) for line in done.stdout.splitlines()]
    ready = next(fact["taskReady"] for fact in raw if "taskReady" in fact)
    assert ready == {"taskId": 1, "argumentsJson": '{"number":21}'}
    assert (done.returncode, done.stderr) == (0, b"a tool printed this\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_run_that_fails_ends_with_status_1_and_its_reason(folder: Path, options: tuple[str, ...]) -> None:
    error = {"pieces": [], "error": {"reason": "MODEL_UNREACHABLE", "message": "nobody\x1b[2J there"}}
    (folder / "calls.jsonl").write_text(json.dumps(error))
    done = dovetail(folder, "run", "-m", "replay:calls.jsonl", "-t", "tools.py", "how many?", *options)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "dovetail: MODEL_UNREACHABLE: nobody␛[2J there"
    assert bool(done.stdout) == bool(options)


def test_limits_are_those_of_the_options(folder: Path) -> None:
    options = (
        "--deadline",
        "0.5",
        "--max-replans",
        "0",
        "--max-tasks",
        "7",
        "--max-parallel",
        "3",
        "--max-tokens",
        "900",
    )
    done = run(folder, '1. endless("x")\n2. join()', options=("--json", *options))
    read = events(done.stdout)
    limits = read[0].run_started.limits
    assert (limits.max_replans, limits.max_tasks, limits.max_parallel_calls, limits.max_tokens) == (0, 7, 3, 900)
    assert done.returncode == 1
    assert done.stderr.startswith(b"dovetail: DEADLINE_EXCEEDED: ")


def test_a_run_may_stop_at_the_outputs_of_its_plan(folder: Path) -> None:
    done = run(folder, "1. double(4)\n2. double($1)\n3. join()", options=("--strategy", "plan-only"))
    assert (done.returncode, done.stdout) == (0, b'{"outputs":{"1":8,"2":16},"failures":{}}\n')


def test_a_run_may_go_by_turns(folder: Path) -> None:
    replies = ("Thought: unknown.\nAction: double(4)", "Thought: known.\nAction: Finish(it is 8)")
    done = run(folder, *replies, options=("--strategy", "react"))
    assert (done.returncode, done.stdout) == (0, b"it is 8\n")


def test_a_recording_of_plans_has_no_turns_with_tool_calls_to_play(folder: Path) -> None:
    done = run(folder, "1. double(4)", options=("--strategy", "tool-calls"))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"record the run again, with this strategy" in done.stderr


def test_the_answer_fits_a_schema_and_cites_its_tasks(folder: Path) -> None:
    (folder / "schema.json").write_text('{"type": "array", "items": {"type": "number"}}')
    replies = ("1. double(4)\n2. join()", 'Action: Finish({"answer": [8], "cited_tasks": [1]})')
    options = ("--json", "--answer-schema", "schema.json", "--cite", "--notes", "Be brief.")
    done = run(folder, *replies, options=options)
    answered = next(event.run_answered for event in events(done.stdout) if event.HasField("run_answered"))
    assert (answered.answer, list(answered.cited_tasks)) == ("[8]", [1])


def test_a_failed_task_leads_to_another_plan_on_request(folder: Path) -> None:
    replies = ('1. broken("luck")\n2. join()', "3. double(4)\n4. join($3)")
    done = run(folder, *replies, options=("--replan-on-failure",))
    assert (done.returncode, done.stdout) == (0, b"8\n")


def test_examples_come_from_the_tools_module_and_from_files(folder: Path) -> None:
    module = (
        TOOLS + '\nfrom dovetail import Example\nEXAMPLES = [Example("twice three?", "1. double(3)\\n2. join($1)")]\n'
    )
    (folder / "tools.py").write_text(module)
    (folder / "more.txt").write_text("Question: twice four?\n1. double(4)\n2. join($1)\n")
    assert run(folder, ANSWERED, options=("--example", "more.txt")).returncode == 0
    (folder / "tools.py").write_text(TOOLS + "\nEXAMPLES = [3]\n")
    done = run(folder, ANSWERED)
    assert (done.returncode, done.stderr) == (2, b"dovetail: tools tools.py: EXAMPLES is no list of dovetail.Example\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: QUESTION"),
        (("q",), "no model is given; add --model PROVIDER:NAME"),
        (("q", "--model", "foo:x"), "model 'foo:x' has no known provider"),
        (("q", "--model", "replay:none.jsonl"), "cannot read the recording none.jsonl"),
        (("q", "--model", "replay:calls.jsonl", "--tools", "none.py"), "there is no file none.py"),
        (("q", "--model", "replay:calls.jsonl", "--tools", "bad.py"), "tools bad.py: importing it fails"),
        (("q", "--model", "replay:calls.jsonl", "--example", "none.txt"), "examples file none.txt cannot be read"),
        (
            ("q", "--model", "replay:calls.jsonl", "--joiner-prompt", "own.txt"),
            "own.txt:2: the prompt ends without ",
        ),
        (("q", "--model", "replay:calls.jsonl", "--max-tasks", "0"), "--max-tasks: "),
        (("q", "--model", "replay:calls.jsonl", "--max-tasks", "many"), "invalid int value: 'many'"),
        (("q", "--model", "replay:calls.jsonl", "--deadline", "nan"), "--deadline: "),
        (("q", "--model", "replay:calls.jsonl", "--strategy", "guess"), "--strategy: input should be 'compile', "),
        (("q", "--model", "replay:calls.jsonl", "--answer-schema", "no.json"), "no.json: the file cannot be read"),
        ((" ", "--model", "replay:calls.jsonl"), "the question is empty"),
        (("q", "--nope"), "unrecognized arguments: --nope"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    recording(folder, ANSWERED)
    (folder / "bad.py").write_text("1 / 0\n")
    (folder / "own.txt").write_text("Answer.\nNow.\n")
    done = dovetail(folder, "run", *arguments)
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, b"", 1)
    assert message in lines[0]


def test_a_reader_that_goes_away_ends_the_run_quietly(folder: Path) -> None:
    model = recording(folder, '1. endless("x")\n2. join()')
    command = [*COMMAND, "run", "--model", model, "--tools", "tools.py", "--json", "--deadline", "10", "how many?"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        # The next event is that of the deadline, if the plan was read before the pipe was closed.
        assert process.stderr.read() == b""
        assert process.wait(BOUND) == 141


def test_a_tool_that_leaves_a_hung_thread_does_not_keep_the_process(folder: Path) -> None:
    done = run(folder, '1. stubborn("done")\n2. join($1)')
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_settings_come_from_options_before_the_environment_before_a_file(folder: Path) -> None:
    recording(folder, ANSWERED)
    (folder / "dovetail.toml").write_text(
        'model = "replay:calls.jsonl"\ntools = "tools.py"\nmax_tasks = 3\nmax_replans = 1\n'
    )
    done = dovetail(folder, "run", "how many?", "--json", "--max-replans", "0", DOVETAIL_MAX_TASKS="4")
    limits = events(done.stdout)[0].run_started.limits
    assert (done.returncode, limits.max_tasks, limits.max_replans) == (0, 4, 0)


def test_help_teaches_by_example_and_the_version_is_told(folder: Path) -> None:
    shown = dovetail(folder, "--help")
    assert shown.returncode == 0
    assert b'dovetail run --model local: --tools demo "' in shown.stdout
    for command in ("run", "plan", "demo"):
        assert b"examples:\n  dovetail " in dovetail(folder, command, "--help").stdout
    assert dovetail(folder, "--version").stdout.startswith(b"dovetail 0.")
    without = dovetail(folder)
    assert (without.returncode, without.stdout) == (2, b"")
    assert b"usage: dovetail" in without.stderr

"""The log: JSON for machines, text for people, and the same road for what the library logs."""

from __future__ import annotations

import io
import json
import logging

import pytest

from dovetail_server.log import open_log, server_log


def test_a_line_is_json_with_time_level_and_event_first() -> None:
    lines = io.StringIO()
    with open_log(stream=lines):
        server_log().info("serving", addresses=["a"], name="Zoë\n")
    line = lines.getvalue()
    assert line.count("\n") == 1
    assert list(json.loads(line)) == ["timestamp", "level", "event", "addresses", "name"]
    assert json.loads(line)["name"] == "Zoë\n"


def test_what_the_library_logs_goes_the_same_way() -> None:
    lines = io.StringIO()
    with open_log(stream=lines):
        logging.getLogger("dovetail.engine").warning("%s is slow", "search")
        logging.getLogger("dovetail.engine").debug("not asked for")
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["logger"], line["level"]) == ("search is slow", "dovetail.engine", "warning")


def test_a_traceback_holds_no_values_of_variables() -> None:
    lines = io.StringIO()
    with open_log(stream=lines):
        token = "dvt_" + "canary"
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            server_log().exception("defect")
        assert token
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert "RuntimeError: broken" in line["exception"]
    assert "canary" not in line["exception"]


def test_the_console_format_is_for_people() -> None:
    lines = io.StringIO()
    with open_log(format="console", stream=lines):
        server_log().info("serving", models=["a:b"])
    assert "serving" in lines.getvalue()
    assert not lines.getvalue().startswith("{")


def test_less_than_the_level_is_not_logged() -> None:
    lines = io.StringIO()
    with open_log("error", stream=lines):
        server_log().warning("no")
        server_log().error("yes")
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["yes"]


def test_outside_the_log_errors_go_to_the_programs_own(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_log(stream=io.StringIO()):
        pass
    server_log().info("quiet")
    server_log().error("tokens kept as they were", reason="broken")
    own = [record.getMessage() for record in caplog.records if record.name == "dovetail_server"]
    assert own == ['event="tokens kept as they were" reason=broken']
    assert capsys.readouterr().err == ""

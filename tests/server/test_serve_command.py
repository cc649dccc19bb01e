"""`dovetail serve` as a process: what it prints, how it ends, and what it says when it cannot begin."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from commandline import BOUND, COMMAND, TOOLS, dovetail, environment, recording
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from certificates import Authority
from doorway import bearer, refusal_of
from dovetail import v1
from dovetail.cli import command as command_module
from dovetail.cli.main import main
from dovetail.v1.run_service_pb2_grpc import RunServiceStub
from dovetail_server.command import OPTIONS
from dovetail_server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


class Serving:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.addresses: list[str] = []
        self.said: list[str] = []
        for line in process.stdout:
            self.said.append(line.rstrip("\n"))
            if line.startswith("listening on "):
                self.addresses.append(line.removeprefix("listening on ").strip())
            if line.startswith("guarded by"):
                break

    @contextlib.contextmanager
    def stub(self, credentials: grpc.ChannelCredentials | None = None, at: int = 0) -> Iterator[Any]:
        address = self.addresses[at]
        with grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address) as channel:
            yield RunServiceStub(channel)

    def ends(self) -> tuple[int, str]:
        """The exit status and the log."""
        _, log = self.process.communicate(timeout=BOUND)
        return self.process.returncode, log


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Serving]:
    (folder / "tools.py").write_text(TOOLS, encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "serve", "--listen", "127.0.0.1:0", *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A process that says nothing must not hold the test up.
    bound = threading.Timer(BOUND, process.kill)
    bound.start()
    try:
        yield Serving(process)
    finally:
        bound.cancel()
        process.kill()
        process.communicate()


def test_a_server_says_where_it_listens_and_what_it_serves_and_ends_with_0(tmp_path: Path) -> None:
    model = recording(tmp_path, '1. double(21)\n2. join("$1")')
    with serving(tmp_path, "--model", model, "--tools", "tools.py:double", "--listen", f"unix:{tmp_path}/s") as server:
        assert server.said[0] == f"listening on {server.addresses[0]}"
        assert server.addresses[1] == f"unix:{tmp_path}/s"
        assert server.said[2:4] == [f"models: {model}", "tools: double"]
        for at in range(2):
            with server.stub(at=at) as stub, pytest.raises(grpc.RpcError) as raised:
                stub.GetRun(v1.GetRunRequest(run_id="none"), timeout=BOUND)
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        server.process.send_signal(signal.SIGTERM)
        status, log = server.ends()
        assert status == 0
        assert [json.loads(line)["event"] for line in log.splitlines() if "rpc" not in line][-1] == "ended"
        assert not (tmp_path / "s").exists()


def test_runs_in_flight_are_waited_for_and_then_cancelled(tmp_path: Path) -> None:
    model = recording(tmp_path, '1. endless("a")\n2. join()')
    arguments = ("--model", model, "--tools", "tools.py:endless", "--drain-seconds", "1")
    with serving(tmp_path, *arguments) as server, server.stub() as stub:
        stub.CreateRun(v1.CreateRunRequest(run_id="a", question="?"), timeout=BOUND)
        events = stub.WatchRun(v1.WatchRunRequest(run_id="a"), timeout=BOUND)
        seen: list[str] = []
        while "call_started" not in seen:
            seen += [event.WhichOneof("fact") for event in next(events).events]
        server.process.send_signal(signal.SIGTERM)
        rest = [event for response in events for event in response.events]
        assert rest[-1].run_ended.state == v1.RunState.RUN_STATE_CANCELLED
        assert server.ends()[0] == 0


def test_while_a_server_drains_health_says_so_and_new_runs_are_refused(tmp_path: Path) -> None:
    model = recording(tmp_path, '1. endless("a")\n2. join()')
    arguments = ("--model", model, "--tools", "tools.py:endless", "--drain-seconds", "50")
    with serving(tmp_path, *arguments) as server, grpc.insecure_channel(server.addresses[0]) as channel:
        stub: Any = RunServiceStub(channel)  # type: ignore[no-untyped-call, unused-ignore]
        stub.CreateRun(v1.CreateRunRequest(run_id="a", question="?"), timeout=BOUND)
        states = HealthStub(channel).Watch(HealthCheckRequest(), timeout=BOUND)
        assert next(states).status == HealthCheckResponse.SERVING
        server.process.send_signal(signal.SIGINT)
        assert next(states).status == HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as raised:
            stub.CreateRun(v1.CreateRunRequest(run_id="b", question="?"), timeout=BOUND)
        assert refusal_of(raised.value)[0] == "UNAVAILABLE"
        assert refusal_of(raised.value)[1].reason == "SHUTTING_DOWN"
        assert stub.GetRun(v1.GetRunRequest(run_id="a"), timeout=BOUND).run.state == v1.RunState.RUN_STATE_RUNNING
        server.process.send_signal(signal.SIGINT)
        assert server.ends()[0] == 130


def test_a_server_is_guarded_by_tls_and_tokens_and_logs_no_secret(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server")
    made = dovetail(tmp_path, "token", "ci", "--role", "run", "--file", "tokens.toml")
    token = made.stdout.decode().strip()
    (tmp_path / "dovetail.toml").write_text(
        '[serve]\ntls_certificate = "server.crt"\ntls_key = "server.key"\ntokens = "tokens.toml"\n'
    )
    model = recording(tmp_path, '1. double(21)\n2. join("$1")')
    arguments = ("--model", model, "--tools", "tools.py:double", "--log-level", "debug")
    with serving(tmp_path, *arguments, DOVETAIL_API_KEY="sk-canary") as server:
        assert server.said[-1] == "guarded by: TLS and tokens of tokens.toml"
        with server.stub(grpc.ssl_channel_credentials(authority.path.read_bytes())) as stub:
            with pytest.raises(grpc.RpcError) as raised:
                stub.ListRuns(v1.ListRunsRequest(), timeout=BOUND)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
            request = v1.CreateRunRequest(run_id="a", question="What is the canary?")
            stub.CreateRun(request, metadata=bearer(token), timeout=BOUND)
            watch = stub.WatchRun(v1.WatchRunRequest(run_id="a"), metadata=bearer(token), timeout=BOUND)
            events = [event for response in watch for event in response.events]
            assert events[-1].run_ended.state == v1.RunState.RUN_STATE_ANSWERED
        server.process.send_signal(signal.SIGTERM)
        status, log = server.ends()
    assert status == 0
    assert '"caller":"ci"' in log
    assert token not in log
    assert "canary" not in log
    assert not {"question", "answer", "tasks"} & {key for line in log.splitlines() for key in json.loads(line)}


def test_health_and_reflection_need_no_token(tmp_path: Path) -> None:
    dovetail(tmp_path, "token", "ci", "--role", "run", "--file", "tokens.toml")
    arguments = ("--model", recording(tmp_path, "1. join()"), "--tokens", "tokens.toml")
    with serving(tmp_path, *arguments) as server, grpc.insecure_channel(server.addresses[0]) as channel:
        services = [f"dovetail.v1.{name}Service" for name in ("Run", "Plan", "Tool", "Executor")]
        for service in ("", *services):
            asked = HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=BOUND)
            assert asked.status == HealthCheckResponse.SERVING
        stub = ServerReflectionStub(channel)
        (listed,) = stub.ServerReflectionInfo(iter([ServerReflectionRequest(list_services="")]), timeout=BOUND)
        assert {one.name for one in listed.list_services_response.service} >= set(services)
        server.process.send_signal(signal.SIGTERM)
        status, log = server.ends()
    assert status == 0
    assert '"rpc"' not in log


def test_a_log_that_is_asked_to_tells_what_runs_were_about(tmp_path: Path) -> None:
    model = recording(tmp_path, '1. double(21)\n2. join("$1")')
    arguments = ("--model", model, "--tools", "tools.py:double", "--log-payloads")
    with serving(tmp_path, *arguments) as server:
        with server.stub() as stub:
            stub.CreateRun(v1.CreateRunRequest(run_id="a", question="How much?"), timeout=BOUND)
            list(stub.WatchRun(v1.WatchRunRequest(run_id="a"), timeout=BOUND))
        server.process.send_signal(signal.SIGTERM)
        _, log = server.ends()
    (run,) = [line for line in map(json.loads, log.splitlines()) if line["event"] == "run"]
    assert (run["question"], run["answer"]) == ("How much?", "42")
    assert run["tasks"] == {"1": {"arguments": '{"number":21}', "output": "42"}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-runs", "0"), "--max-runs: input should be greater than 0"),
        (("--log-level", "loud"), "--log-level: input should be 'debug', 'info', 'warning' or 'error'"),
        (("--tls-key", "k"), "TLS needs a certificate and its key; add --tls-certificate"),
        (("--config", "none.toml"), "none.toml: the file cannot be read"),
        (("--listen", "0.0.0.0:0"), "0.0.0.0:0 can be reached from other machines"),
        (("--tokens", "none.toml"), "none.toml: the file cannot be read: No such file"),
        (("--tools", "nothing.py"), "tools nothing.py: "),
        ((), "no model is given; add --model"),
    ],
)
def test_a_server_that_cannot_begin_says_why_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    model = () if arguments == () else ("--model", recording(tmp_path, "1. join()"))
    listen = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    done = dovetail(tmp_path, "serve", *listen, *model, *arguments)
    assert done.stderr.decode().startswith(f"dovetail: {message}")
    assert done.stderr.count(b"\n") == 1
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_port_in_use_ends_a_second_server(tmp_path: Path) -> None:
    model = recording(tmp_path, "1. join()")
    with serving(tmp_path, "--model", model) as server:
        done = dovetail(tmp_path, "serve", "--model", model, "--listen", server.addresses[0])
        assert done.returncode == 2
        assert "Address already in use; another process listens there" in done.stderr.decode()


def test_every_setting_but_the_key_has_an_option_and_a_line_in_the_documentation() -> None:
    names = [name for settings in OPTIONS.values() for name in settings]
    assert sorted([*names, "api_key"]) == sorted(ServerSettings.model_fields)
    page = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `(\w+)` \| (.*?) ?\| (.+) \|$", page, re.MULTILINE)
    assert [(option, name) for option, name, _, _ in rows] == [(ServerSettings.option(name), name) for name in names]
    for _, name, default, text in rows:
        field = ServerSettings.model_fields[name]
        assert text == field.description
        value = field.default
        shown = f"{value:g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, tuple) else value
        assert default.strip("`") == ("" if shown is None else str(shown).lower())


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "token"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"examples:\n  dovetail {command} " in capsys.readouterr().out


def test_without_the_servers_package_its_commands_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_module, "entry_points", lambda group: ())
    with pytest.raises(SystemExit) as ended:
        main(["serve"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "dovetail: `dovetail serve` comes with the package dovetail-server: pip install dovetail-server\n"
    )


def test_a_command_that_cannot_be_loaded_is_an_error_of_its_own_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("broken", "no_such_package:command", "dovetail.commands")
    monkeypatch.setattr(command_module, "entry_points", lambda group: (broken,))
    with pytest.raises(SystemExit) as ended:
        main(["broken"])
    assert ended.value.code == 2
    assert "`dovetail broken` cannot be loaded from no_such_package:command" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0


def test_commands_of_the_librarys_own_do_not_look_for_others(tmp_path: Path) -> None:
    (tmp_path / "plan.txt").write_text("1. join()\n")
    (tmp_path / "tools.json").write_text("[]")
    program = (
        "import sys\nfrom dovetail.cli.main import main\n"
        "try:\n    main(['plan', 'plan.txt', '--tools', 'tools.json'])\n"
        "finally:\n    assert not {'dovetail.cli.command', 'importlib.metadata', 'grpc'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr

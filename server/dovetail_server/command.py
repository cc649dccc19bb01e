"""`dovetail serve`: its options, what it prints, and how a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from dovetail.cli.command import Command
from dovetail.cli.exits import INTERRUPTED, TERMINATED, abandon_output, end_process, end_process_after, is_closed_pipe

if TYPE_CHECKING:
    from argparse import Namespace
    from types import FrameType

    from dovetail.cli.arguments import Parser
    from dovetail_server.server import Server
    from dovetail_server.settings import ServerSettings

__all__ = ["OPTIONS", "serve_command"]

_DESCRIPTION = """\
Serve runs over gRPC, to clients in any language and with tools on any machine.

Prints `listening on ADDRESS` for each address once it accepts. The log goes to standard error."""

_EPILOG = """\
examples:
  dovetail serve --model openai:gpt-5-mini --tools tools.py
  dovetail serve --model openai:gpt-5-mini --tools tools.py --example plans.txt --prompt planner.txt
  dovetail serve --model vllm:Qwen/Qwen3-8B --base-url http://gpu:8000/v1 --listen unix:/run/dovetail.sock
  dovetail token ci --role run --file tokens.toml
  dovetail serve --model openai:gpt-5-mini --listen 0.0.0.0:50051 \\
      --tls-certificate server.crt --tls-key server.key --tokens tokens.toml

A MODEL and a SPEC are what they are for `dovetail run`. Without --tools, tools are those that executors bring.
ADDRESS, MODEL, SPEC and --example may be repeated.

Every option is a setting too: DOVETAIL_MAX_RUNS in the environment, max_runs in the table [serve] of the file of
--config, dovetail.toml or ~/.config/dovetail/config.toml. The key of the model's API has no option: DOVETAIL_API_KEY.

SIGTERM and Ctrl-C: no new runs, those in flight may end within --drain-seconds, then they are cancelled.
A second signal ends at once.

Exit status: 0 drained, 2 called wrongly, 130 or 143 at a second signal.
"""

OPTIONS = {
    "listening": {
        "listen": "ADDRESS",
        "tls_certificate": "FILE",
        "tls_key": "FILE",
        "client_ca": "FILE",
        "tokens": "FILE",
    },
    "models and tools": {
        "models": "MODEL",
        "joiner": "MODEL",
        "base_url": "URL",
        "timeout": "SECONDS",
        "max_in_flight": "N",
        "grammar_dialect": "DIALECT",
        "prices": "FILE",
        "tools": "SPEC",
        "policies": "FILE",
        "allow": "PATTERN",
        "deny": "PATTERN",
        "require_approval": "RULE",
        "max_tools": "N",
        "examples": "FILE",
        "max_examples": "N",
        "examples_as": "WHERE",
        "prompt": "FILE",
        "joiner_prompt": "FILE",
    },
    "bounds of a run": {
        "deadline": "SECONDS",
        "max_replans": "N",
        "max_tasks": "N",
        "max_parallel_calls": "N",
        "max_tokens": "N",
        "max_cost": "DOLLARS",
    },
    "limits of the server": {
        "max_runs": "N",
        "keep_runs": "N",
        "keep_seconds": "SECONDS",
        "max_waiting_calls": "N",
        "max_executors": "N",
        "max_streams_per_client": "N",
        "max_question_bytes": "N",
        "max_message_bytes": "N",
    },
    "executors and the end": {
        "heartbeat_seconds": "SECONDS",
        "lease_seconds": "SECONDS",
        "grace_seconds": "SECONDS",
        "drain_seconds": "SECONDS",
    },
    "log": {"log_level": "LEVEL", "log_format": "FORMAT", "log_payloads": ""},
}
"""The settings that have options, in the groups of the help, and what stands for their values."""

_SHORT = {"models": "-m", "tools": "-t"}

_PATIENCE_SECONDS = 5.0
"""How long a server that has drained may take to end: a tool that hangs in a thread must not keep it."""


def _add_arguments(parser: Parser) -> None:
    from dovetail_server.settings import ServerSettings

    parser.add_argument("--config", metavar="FILE.toml", help="settings, in its table [serve]")
    for title, settings in OPTIONS.items():
        group = parser.add_argument_group(title)
        for name, metavar in settings.items():
            field = ServerSettings.model_fields[name]
            names = [_SHORT[name]] if name in _SHORT else []
            names.append(ServerSettings.option(name))
            text = str(field.description).replace("%", "%%")
            if isinstance(field.default, bool):
                group.add_argument(*names, dest=name, action="store_true", default=None, help=text)
                continue
            several = isinstance(field.default, tuple)
            default = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
            if default or default == 0:
                text += f" ({default:g})" if isinstance(default, int | float) and default < 1e6 else f" ({default})"
            group.add_argument(*names, dest=name, metavar=metavar, action="append" if several else "store", help=text)


def _serve(options: Namespace) -> int:
    """Serve until a signal comes.

    Raises:
        UsageError: a setting, an address, a certificate, a model or a tool cannot be used.
    """
    from dovetail.embedding import run_loop
    from dovetail_server.log import open_log
    from dovetail_server.settings import ServerSettings

    given = {name: getattr(options, name) for settings in OPTIONS.values() for name in settings}
    settings = ServerSettings.load(given, config=options.config)
    with open_log(settings.log_level, settings.log_format):
        return run_loop(lambda: _serve_until_signal(settings))


async def _serve_until_signal(settings: ServerSettings) -> int:
    from dovetail_server.collector import relax_collector
    from dovetail_server.server import Server

    ending = _Ending()
    async with Server(settings) as server:
        relax_collector()
        _say_what_is_served(server, settings)
        await ending.begun.wait()
        await server.drain()
        end_process_after(_PATIENCE_SECONDS, 0)
    return 0


class _Ending:
    """The first signal begins the end, a second one ends the process. Belongs to a running event loop."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._signals = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        """Handle a signal. Called by Python and not by the loop, which a tool may be blocking."""
        self._signals += 1
        if self._signals > 1:
            end_process(TERMINATED if number == signal.SIGTERM else INTERRUPTED)
        self._loop.call_soon_threadsafe(self.begun.set)


def _say_what_is_served(server: Server, settings: ServerSettings) -> None:
    guards = []
    if settings.tls_certificate is not None:
        guards.append("TLS with clients' certificates" if settings.client_ca else "TLS")
    if settings.tokens is not None:
        guards.append(f"tokens of {settings.tokens}")
    lines = [
        *(f"listening on {address}" for address in server.addresses),
        f"models: {', '.join(server.models)}",
        f"tools: {', '.join(server.tools) or 'those that executors bring'}",
        f"guarded by: {' and '.join(guards) or 'nothing, which is why no other machine can reach it'}",
    ]
    try:
        print("\n".join(lines), flush=True)  # noqa: T201 - this is the command line
    except OSError as error:
        if not is_closed_pipe(error):
            raise
        abandon_output(sys.stdout)


serve_command = Command("serve runs over gRPC", _DESCRIPTION, _EPILOG, _add_arguments, _serve)

"""`dovetail executor`: tools served to a server, until a signal drains them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from dovetail.cli.server_options import SERVER_EPILOG, add_server_arguments, connection_of

if TYPE_CHECKING:
    from argparse import Namespace
    from types import FrameType

    from dovetail.cli.arguments import Parser
    from dovetail.executor import Executor

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "executor"]

HELP = "serve tools to a server"

DESCRIPTION = """\
Serve tools to a server: attach, carry out its calls, and attach again whenever the connection is lost.

What becomes of it is told on standard error. SIGTERM or Ctrl-C drains it: what is out is finished, no call is lost."""

EPILOG = f"""\
examples:
  dovetail executor --server localhost:50051 --tools tools.py
  DOVETAIL_TOKEN=... dovetail executor --server tools.example.org:443 --tls --tools weather.py --max-parallel 16

A SPEC is as of `dovetail run`. Without --tools, --policies and --max-parallel, they are those of the settings.
{SERVER_EPILOG}

Exit status: 0 drained, 1 the server refused it, 2 called wrongly, 130 or 143 ended by a second signal.
"""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `executor` takes."""
    add = parser.add_argument
    add("-t", "--tools", action="append", metavar="SPEC", help="tools to serve; may be repeated")
    add("--policies", metavar="FILE.toml", help="how calls of the tools are made: timeouts, retries, limits")
    add("--id", metavar="NAME", help="its name, unique among the server's executors (host, process, random)")
    add(
        "--max-parallel",
        type=int,
        dest="max_parallel_calls",
        metavar="N",
        help="how many calls it takes at the same time (64)",
    )
    add("--drain-seconds", type=float, default=30.0, metavar="S", help="how long calls may go on at its end (30)")
    add("--config", metavar="FILE.toml", help="settings")
    add_server_arguments(parser)


def executor(options: Namespace) -> int:
    """Serve until drained; returns the exit status.

    Raises:
        UsageError: no server or no tools are given, or one of the options or policies cannot be used.
    """
    connection = connection_of(options)
    # What takes its time to import is imported where it is needed.
    from dovetail.cli.exits import complain
    from dovetail.embedding import run_loop
    from dovetail.errors import UsageError
    from dovetail.executor import Executor
    from dovetail.executor.executor import DEFAULT_MAX_PARALLEL_CALLS
    from dovetail.settings import load_settings
    from dovetail.tools.policy_file import read_policies
    from dovetail.tools.tool_set import ToolSet

    given = {name: getattr(options, name) for name in ("tools", "policies", "max_parallel_calls")}
    settings = load_settings(given, config=options.config)
    if not settings.tools:
        raise UsageError("no tools are given; add --tools SPEC: tools.py, package.module, tools.py:name")
    tools = ToolSet.of(settings.tools)
    if settings.policies is not None:
        tools = read_policies(settings.policies).applied_to_all(tools)
    served = Executor(
        [tools],
        connection,
        executor_id=options.id,
        max_parallel_calls=settings.max_parallel_calls or DEFAULT_MAX_PARALLEL_CALLS,
        drain_seconds=options.drain_seconds,
        on_state=lambda _state, line: complain(line),
    )
    complain(f"{served.executor_id} serves {', '.join(served.tools.names)} to {connection.address}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    return run_loop(lambda: _serve(served))


async def _serve(served: Executor) -> int:
    from dovetail.cli.exits import ANSWERED, FAILED, complain, end_process_after
    from dovetail.cli.interruption import PATIENCE_SECONDS
    from dovetail.executor import ExecutorRefusedError
    from dovetail.executor.signals import drained_by_signals

    def drain() -> None:
        complain("a second signal ends it at once")
        served.drain()

    status = ANSWERED
    with drained_by_signals(drain):
        try:
            await served.serve()
        except ExecutorRefusedError as refused:
            complain(str(refused))
            status = FAILED
    # A tool that does not let itself be cancelled must not keep the process.
    end_process_after(PATIENCE_SECONDS, status)
    return status


def _end(number: int, _: FrameType | None) -> None:
    """A second signal: the executor is draining already."""
    from dovetail.cli.exits import INTERRUPTED, TERMINATED, end_process

    end_process(TERMINATED if number == signal.SIGTERM else INTERRUPTED)

"""`dovetail mcp`: Dovetail as an MCP server, on standard input and output or on HTTP."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from dovetail.cli.run import ENGINE_SETTINGS, add_engine_arguments
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.cli.mcp_http import HttpPlace
    from dovetail.settings import Settings

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "mcp"]

HELP = "serve Dovetail itself as an MCP server"

DESCRIPTION = """\
Serve Dovetail itself as an MCP server: on standard input and output, for any MCP client to start, or on HTTP.

Its tools: ask(question), which answers as `dovetail run` does, and compile_plan(plan, tools), which runs nothing."""

EPILOG = """\
examples:
  dovetail mcp --model openai:gpt-5-mini --tools tools.py
  dovetail mcp --model local: --tools demo --deadline 60 --http 127.0.0.1:8080
  DOVETAIL_MCP_TOKEN=... dovetail mcp --model openai:gpt-5-mini --http 0.0.0.0:8443 --allow-host mcp.example.org \\
      --tls-certificate server.crt --tls-key server.key

As an MCP client is told of it:
  {"mcpServers": {"dovetail": {"command": "dovetail", "args": ["mcp", "--model", "openai:gpt-5-mini"]}}}

A MODEL, a SPEC and the settings are those of `dovetail run`. A task that needs approval is rejected, for nobody can be
asked. It takes the extra mcp: pip install 'dovetail[mcp]'

With --http it prints `listening on URL` once it accepts. Where other machines can reach it, clients must bring the
token of DOVETAIL_MCP_TOKEN, or of the variable that --token-env names, as `Authorization: Bearer ...`; elsewhere they
must if there is one. SIGTERM and Ctrl-C: no new questions, answers on their way may take --drain-seconds. A second
signal ends at once.

Exit status: 0 the client is gone, or drained; 2 called wrongly; 130 interrupted by Ctrl-C, 143 by SIGTERM: with --http,
by a second signal.
"""

_HTTP_ONLY = ("token_env", "allow_hosts", "tls_certificate", "tls_key", "drain_seconds")
_DRAIN_SECONDS = 30.0


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `mcp` takes."""
    add = parser.add_argument_group("HTTP").add_argument
    add("--http", metavar="HOST:PORT", help="serve streamable HTTP at http://HOST:PORT/mcp; port 0 is any that is free")
    add("--token-env", metavar="NAME", help="the variable that holds the token of clients (DOVETAIL_MCP_TOKEN)")
    add(
        "--allow-host",
        action="append",
        dest="allow_hosts",
        metavar="NAME",
        help="a name that clients may call it by, and pages may come from; may be repeated",
    )
    add("--tls-certificate", metavar="FILE", help="PEM: its certificate, and those between it and its authority")
    add("--tls-key", metavar="FILE", help="PEM: the certificate's key")
    add("--drain-seconds", type=float, metavar="S", help="how long answers may take at its end (30)")
    add_engine_arguments(parser)


def mcp(options: Namespace) -> int:
    """Serve until the client is gone, or a signal comes; returns the exit status.

    Raises:
        UsageError: a setting, a model, a tool, an example or an address cannot be used, or the extra is not installed.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.embedding import run_loop
    from dovetail.settings import load_settings

    place = _place(options)
    settings = load_settings({name: getattr(options, name) for name in ENGINE_SETTINGS}, config=options.config)
    return run_loop(lambda: _serve_stdio(settings) if place is None else _serve_http(settings, place))


def _place(options: Namespace) -> HttpPlace | None:
    if options.http is None:
        for name in _HTTP_ONLY:
            if getattr(options, name) is not None:
                option = name.replace("_", "-").removesuffix("s") if name == "allow_hosts" else name.replace("_", "-")
                raise UsageError(f"--{option} is for HTTP; add --http HOST:PORT")
        return None
    if options.drain_seconds is None:
        options.drain_seconds = _DRAIN_SECONDS
    try:
        from dovetail.cli.mcp_http import HttpPlace
    except ModuleNotFoundError as error:
        raise _extra_is_missing(error) from error
    return HttpPlace.of(options)


async def _serve_stdio(settings: Settings) -> int:
    from dovetail.cli.exits import ANSWERED, INTERRUPTED, TERMINATED, end_process
    from dovetail.cli.session import Session

    try:
        from dovetail.cli.mcp_service import McpService
    except ModuleNotFoundError as error:
        raise _extra_is_missing(error) from error

    signalled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(status: int) -> None:
        if signalled.done():
            end_process(status)
        signalled.set_result(status)

    async with Session(settings) as session:
        for number, status in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)):
            asyncio.get_running_loop().add_signal_handler(number, end, status)
        serving = asyncio.create_task(McpService(session.engine).server.run_stdio_async())
        ends: set[asyncio.Future[Any]] = {serving, signalled}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if signalled.done():
        # A thread waits in a read of standard input, and would do so until the client writes something.
        end_process(signalled.result())
    await serving
    return session.leave(ANSWERED)


async def _serve_http(settings: Settings, place: HttpPlace) -> int:
    from dovetail.cli.exits import ANSWERED, INTERRUPTED, TERMINATED, end_process
    from dovetail.cli.mcp_http import serve_http
    from dovetail.cli.mcp_service import McpService
    from dovetail.cli.session import Session

    ending = asyncio.Event()

    def end(status: int) -> None:
        if ending.is_set():
            end_process(status)
        ending.set()

    async with Session(settings) as session:
        for number, status in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)):
            asyncio.get_running_loop().add_signal_handler(number, end, status)
        await serve_http(McpService(session.engine), place, ending)
    return session.leave(ANSWERED)


def _extra_is_missing(error: ModuleNotFoundError) -> UsageError:
    return UsageError(f"`dovetail mcp` needs the extra mcp: pip install 'dovetail[mcp]' ({error})")

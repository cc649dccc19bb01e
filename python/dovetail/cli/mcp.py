"""`dovetail mcp`: Dovetail as an MCP server on standard input and output."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.settings import Settings

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "mcp"]

HELP = "serve Dovetail itself as an MCP server"

DESCRIPTION = """\
Serve Dovetail itself as an MCP server on standard input and output, for any MCP client to start.

Its tools: ask(question), which answers as `dovetail run` does, and compile_plan(plan, tools), which runs nothing."""

EPILOG = """\
examples:
  dovetail mcp --model openai:gpt-5-mini --tools tools.py
  dovetail mcp --model local: --tools demo --deadline 60

As an MCP client is told of it:
  {"mcpServers": {"dovetail": {"command": "dovetail", "args": ["mcp", "--model", "openai:gpt-5-mini"]}}}

A MODEL, a SPEC and the settings are those of `dovetail run`. A task that needs approval is rejected, for nobody can be
asked. It takes the extra mcp: pip install 'dovetail[mcp]'

Exit status: 0 the client is gone, 2 called wrongly, 130 interrupted by Ctrl-C, 143 by SIGTERM.
"""

_SETTINGS = ("model", "joiner", "base_url", "tools", "examples", "deadline", "max_replans", "max_tasks", "max_tokens")


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `mcp` takes."""
    add = parser.add_argument
    add("-m", "--model", metavar="MODEL", help="the model that plans and joins, as PROVIDER:NAME")
    add("--joiner", metavar="MODEL", help="another model to join outputs into the answer")
    add("--base-url", metavar="URL", help="where the API of the model's server is")
    add("-t", "--tools", action="append", metavar="SPEC", help="tools to plan with; may be repeated")
    add("--example", action="append", dest="examples", metavar="FILE", help="plans to learn from; may be repeated")
    add("--deadline", type=float, metavar="SECONDS", help="end each run after so long (300)")
    add("--max-replans", type=int, metavar="N", help="how many further plans may follow (2)")
    add("--max-tasks", type=int, metavar="N", help="how many tasks may be planned (1000)")
    add("--max-tokens", type=int, metavar="N", help="how many tokens the models of a run may use")
    add("--config", metavar="FILE.toml", help="settings")


def mcp(options: Namespace) -> int:
    """Serve until the client is gone; returns the exit status.

    Raises:
        UsageError: a setting, a model, a tool or an example cannot be used, or the extra is not installed.
    """
    # What takes its time to import is imported where it is needed.
    from dovetail.embedding import run_loop
    from dovetail.settings import load_settings

    settings = load_settings({name: getattr(options, name) for name in _SETTINGS}, config=options.config)
    return run_loop(lambda: _serve(settings))


async def _serve(settings: Settings) -> int:
    from dovetail.cli.exits import ANSWERED, INTERRUPTED, TERMINATED, end_process
    from dovetail.cli.session import Session
    from dovetail.errors import UsageError

    try:
        from dovetail.cli.mcp_service import mcp_server
    except ModuleNotFoundError as error:
        raise UsageError(f"`dovetail mcp` needs the extra mcp: pip install 'dovetail[mcp]' ({error})") from error

    signalled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(status: int) -> None:
        if signalled.done():
            end_process(status)
        signalled.set_result(status)

    async with Session(settings) as session:
        for number, status in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)):
            asyncio.get_running_loop().add_signal_handler(number, end, status)
        serving = asyncio.create_task(mcp_server(session.engine).run_stdio_async())
        ends: set[asyncio.Future[Any]] = {serving, signalled}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if signalled.done():
        # A thread waits in a read of standard input, and would do so until the client writes something.
        end_process(signalled.result())
    await serving
    return session.leave(ANSWERED)

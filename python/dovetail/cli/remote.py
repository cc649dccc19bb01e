"""Runs of a server on the command line, and the client that its commands use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dovetail.answer_schema import read_answer_schema
from dovetail.cli.exits import end_process_after
from dovetail.cli.interruption import PATIENCE_SECONDS, interruptible
from dovetail.cli.questions import Questions
from dovetail.cli.server_options import connection_of
from dovetail.cli.showing import choose_view, clean_output, show
from dovetail.client import Client
from dovetail.embedding import run_loop
from dovetail.errors import InvalidRequestError, UsageError
from dovetail.prompts.examples import read_examples
from dovetail.runs.limits import Limits

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from dovetail.errors import DovetailError
    from dovetail.prompts.examples import Example

__all__ = ["ask_server", "with_client"]

_TIMEOUT_SECONDS = 10.0
"""How long a request may take: whoever waits at a terminal wants to know sooner than a program."""

_LIMITS = ("deadline", "max_replans", "max_tasks", "max_parallel_calls", "max_tokens", "max_cost")
_NOT_AT_A_SERVER = {
    "joiner": "--joiner",
    "base_url": "--base-url",
    "timeout": "--timeout",
    "max_in_flight": "--max-in-flight",
    "grammar_dialect": "--grammar-dialect",
    "config": "--config",
    "allow": "--allow",
    "deny": "--deny",
    "require_approval": "--require-approval",
    "max_tools": "--max-tools",
    "max_examples": "--max-examples",
    "examples_as": "--examples-as",
    "prompt": "--prompt",
    "joiner_prompt": "--joiner-prompt",
    "policies": "--policies",
    "prices": "--prices",
}

# As a server names the places of mistakes in examples.
_EXAMPLE: Final = re.compile(r"examples\[(\d{1,6})\]\.(\w+)")
_AT: Final = re.compile(r"line (\d{1,9}), column (\d{1,9}): (.*)", re.DOTALL)


def with_client(options: Namespace, work: Callable[[Client], Coroutine[Any, Any, int]]) -> int:
    """Do something with a client of the server that the options name; returns the exit status.

    Raises:
        UsageError: no server is named, or the options cannot be used.
        ServerError: the server refused something, or was not reached.
    """
    connection = connection_of(options)

    async def main() -> int:
        async with Client(connection, timeout=_TIMEOUT_SECONDS) as client:
            return await work(client)

    return run_loop(main)


def ask_server(options: Namespace) -> int:
    """Have a server answer a question, and show the run; returns the exit status.

    Raises:
        UsageError: an option cannot be used.
        ServerError: the server refused the run, or was not reached.
    """
    for name, option in _NOT_AT_A_SERVER.items():
        if getattr(options, name) is not None:
            raise UsageError(f"{option} is for runs of this process; with --server it is a setting of the server")
    given = {name: getattr(options, name) for name in _LIMITS}
    limits = Limits(**given) if any(value is not None for value in given.values()) else None
    examples = [example for file in options.examples or () for example in read_examples(file)]
    schema = None if options.answer_schema is None else read_answer_schema(Path(options.answer_schema))
    view = choose_view(as_json=options.json)()

    async def ask(client: Client) -> int:
        with interruptible() as interruption:
            try:
                run = await client.create(
                    options.question,
                    tools=options.tools or (),
                    model=options.model,
                    examples=examples,
                    limits=limits,
                    strategy=options.strategy,
                    answer_schema=schema,
                    cite=options.cite,
                    notes=options.notes,
                    replan_on_failure=options.replan_on_failure,
                )
            except InvalidRequestError as refused:
                raise _placed(refused, examples) from refused
            questions = Questions(run, view, f"dovetail approve --server {options.server} {run.run_id}")
            status = await show(run, view, interruption=interruption, questions=questions)
        # A connection that hangs must not keep the process.
        end_process_after(PATIENCE_SECONDS, status)
        return status

    with clean_output(view):
        return with_client(options, ask)


def _placed(refused: InvalidRequestError, examples: Sequence[Example]) -> DovetailError:
    """What the server said of an example, with the place in the file that it was read from."""
    for field, what in refused.violations:
        named, at = _EXAMPLE.fullmatch(field), _AT.fullmatch(what)
        number = int(named[1]) if named else len(examples)
        place = examples[number].place if number < len(examples) else None
        if named and at and place is not None and named[2] in ("plan", "earlier"):
            first = place.plan_line if named[2] == "plan" else place.earlier_line
            line = first + int(at[1]) - 1
            return UsageError(f"{place.source}:{line}:{at[2]}: example {number + 1}: {at[3]}")
    return refused

"""`dovetail demo`: the bundled questions, asked of a real language model on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.arguments import at_least_one

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.settings import Settings

__all__ = ["DESCRIPTION", "EPILOG", "HELP", "add_arguments", "demo"]

HELP = "ask a small real model the bundled questions"

DESCRIPTION = """\
Ask the bundled questions, one after the other, and count the right answers.

The model is SmolLM2-135M, on this machine: no key, no network, no GPU."""

EPILOG = """\
examples:
  dovetail demo --limit 3
  dovetail demo --model openai:gpt-5-mini
  dovetail run --model local: --tools demo "Is France larger than Spain?"

Exit status: 0 if at least nine of ten answers are right, 1 if not.
"""

_PASS_SHARE = 0.9


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `demo` takes."""
    parser.add_argument("--limit", type=at_least_one, metavar="N", help="ask only the first N questions")
    parser.add_argument("-m", "--model", default="local:", metavar="MODEL", help="the model to ask, as PROVIDER:NAME")
    parser.add_argument("--base-url", metavar="URL", help="where the API of the model's server is")


def demo(options: Namespace) -> int:
    """Ask the bundled questions; returns the exit status.

    Raises:
        UsageError: the model cannot be used; the message says what to install.
    """
    from dovetail.embedding import run_loop
    from dovetail.settings import load_settings

    settings = load_settings({"model": options.model, "base_url": options.base_url, "tools": ["demo"]})
    return run_loop(lambda: _ask_all(settings, options.limit))


async def _ask_all(settings: Settings, limit: int | None) -> int:
    from dovetail.cli.exits import ANSWERED, FAILED
    from dovetail.cli.session import Session
    from dovetail.cli.showing import choose_view
    from dovetail.cli.views import LinesView
    from dovetail.demo import QUESTIONS

    questions = QUESTIONS[:limit]
    right = 0
    view_of = choose_view()
    async with Session(settings) as session:
        for question in questions:
            view = view_of()
            if isinstance(view, LinesView):  # a live view shows it
                print(question.text, flush=True)  # noqa: T201
            status = await session.ask(question.text, view)
            if session.interrupted or status not in (ANSWERED, FAILED):
                return session.leave(status)
            is_right = status == ANSWERED and question.accepts(view.board.answer or "")
            right += is_right
            print("right\n" if is_right else f"wrong: the answer is {question.answer}\n")  # noqa: T201
        print(f"{right} of {len(questions)} right", flush=True)  # noqa: T201
        return session.leave(ANSWERED if right >= _PASS_SHARE * len(questions) else FAILED)

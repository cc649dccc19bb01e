"""`dovetail run`: its arguments, and the settings that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.cli.server_options import add_server_arguments
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from dovetail.cli.arguments import Parser
    from dovetail.cli.views import View
    from dovetail.settings import Settings

__all__ = ["DESCRIPTION", "ENGINE_SETTINGS", "EPILOG", "HELP", "add_arguments", "add_engine_arguments", "run"]

HELP = "answer a question, running the plan while it is written"

DESCRIPTION = """\
Answer a question: a model writes a plan of tool calls, which runs while it is still being written.

On a terminal: a live view. Else the answer alone on standard output, and progress on standard error."""

EPILOG = """\
examples:
  dovetail run --model local: --tools demo "Is France larger than Spain?"
  dovetail run --model openai:gpt-5-mini --tools tools.py "How high is Mount Everest in feet?"
  dovetail run --model vllm:Qwen/Qwen3-8B --base-url http://gpu:8000/v1 "..." > answer.txt
  dovetail run --model replay:calls.jsonl --tools tools.py --json "..." | jq -c .taskSucceeded
  dovetail run --server localhost:50051 --tools search --tools math "How high is Mount Everest in feet?"

A MODEL is openai:NAME, azure:DEPLOYMENT, friendli:NAME, vllm:NAME, vllm-engine:NAME, local:, local:FILE.gguf or
replay:FILE; or a chain, of which the next is asked where one fails: "openai:a, then vllm:b".
A SPEC is demo, package.module, package.module:name, tools.py, tools.py:name, tools.json,
mcp:COMMAND, mcp:URL or servers.toml;
without --tools, Dovetail's own search and math (dovetail.builtin).

Settings come from options, else from DOVETAIL_MODEL, DOVETAIL_BASE_URL, DOVETAIL_API_KEY, DOVETAIL_TOOLS, ...,
else from the file of --config, dovetail.toml or ~/.config/dovetail/config.toml.

With --server the run is the server's: models and tools are named as it knows them, and settings come from options
alone. A task that waits for approval is asked about on the terminal.

Exit status: 0 answered, 1 the run failed, 2 called wrongly, 130 interrupted by Ctrl-C, 143 by SIGTERM.
"""

ENGINE_SETTINGS = (
    "model",
    "joiner",
    "base_url",
    "tools",
    "policies",
    "allow",
    "deny",
    "require_approval",
    "max_tools",
    "examples",
    "max_examples",
    "examples_as",
    "prompt",
    "joiner_prompt",
    "strategy",
    "answer_schema",
    "cite",
    "notes",
    "replan_on_failure",
    "deadline",
    "max_replans",
    "max_tasks",
    "max_parallel_calls",
    "max_tokens",
    "max_cost",
    "prices",
    "timeout",
    "max_in_flight",
    "grammar_dialect",
)
"""The settings of an engine and its models that have options."""


def add_arguments(parser: Parser) -> None:
    """Tell a parser what `run` takes."""
    parser.add_argument("question", metavar="QUESTION", help="what to answer")
    parser.add_argument("--json", action="store_true", help="write the run's events as JSON, one a line")
    add_engine_arguments(parser)
    add_server_arguments(parser)


def add_engine_arguments(parser: Parser) -> None:
    """Tell a parser what commands take that answer questions with an engine of their own."""
    parser.add_argument("--config", metavar="FILE.toml", help="settings: every option below is one")
    _add_models(parser)
    _add_tools(parser)
    _add_prompts(parser)
    _add_bounds(parser)


def _add_models(parser: Parser) -> None:
    add = parser.add_argument_group("models").add_argument
    add("-m", "--model", metavar="MODEL", help="the model that plans and joins, as PROVIDER:NAME")
    add("--joiner", metavar="MODEL", help="another model to join outputs into the answer")
    add("--base-url", metavar="URL", help="where the API of the model's server is")
    add("--timeout", type=float, metavar="SECONDS", help="how long the model's server may be silent (60)")
    add("--max-in-flight", type=int, metavar="N", help="how many requests may be in flight at a model's server")
    add(
        "--grammar-dialect",
        metavar="DIALECT",
        help="how the model's server takes grammars: gbnf, ebnf, lark, json_schema",
    )
    add("--prices", metavar="FILE.toml", help="what models cost, besides the prices that Dovetail knows")


def _add_tools(parser: Parser) -> None:
    add = parser.add_argument_group("tools").add_argument
    add("-t", "--tools", action="append", metavar="SPEC", help="tools to plan with; may be repeated")
    add("--policies", metavar="FILE.toml", help="how calls of tools are made: timeouts, retries, limits")
    add("--allow", action="append", metavar="PATTERN", help="a tool to use no others than, or db.*; may be repeated")
    add("--deny", action="append", metavar="PATTERN", help="a tool not to use, or db.*; may be repeated")
    add(
        "--require-approval",
        action="append",
        metavar="RULE",
        help="which calls to ask about: destructive, db.*, send(to!=*@example.com); may be repeated",
    )
    add("--max-tools", type=int, metavar="N", help="of more tools, show the planner the most relevant (40)")


def _add_prompts(parser: Parser) -> None:
    add = parser.add_argument_group("how models are asked (see dovetail prompt --help)").add_argument
    add(
        "--strategy",
        metavar="NAME",
        help="how the answer is found: compile (default); plan-only, which runs one plan and joins nothing; react, one "
        "call after the other; tool-calls, the provider's own calls, turn by turn",
    )
    add("--notes", metavar="TEXT", help="what the models are told besides: the house style, today's date")
    add(
        "--example",
        action="append",
        dest="examples",
        metavar="FILE",
        help="questions and their plans, to learn from; may be repeated",
    )
    add("--max-examples", type=int, metavar="N", help="of more examples, show the planner the nearest (2)")
    add("--examples-as", metavar="WHERE", help="turns (of the chat; default), or system (behind the tools)")
    add("--prompt", metavar="FILE", help="the planner's prompt, a template with the place $tools")
    add("--joiner-prompt", metavar="FILE", help="the joiner's prompt, a template with the place $reply")
    add("--answer-schema", metavar="FILE.json", help="the JSON Schema that the answer must fit; it is then JSON")
    add("--cite", action="store_true", default=None, help="let the answer name the tasks that it rests on: [1][3]")


def _add_bounds(parser: Parser) -> None:
    add = parser.add_argument_group("further plans, and bounds of the run").add_argument
    add(
        "--replan-on-failure",
        action="store_true",
        default=None,
        help="plan again when a task failed, before anything is joined",
    )
    add("--max-replans", type=int, metavar="N", help="how many further plans (2), or turns (15), may follow")
    add("--deadline", type=float, metavar="SECONDS", help="end the run after so long (300)")
    add("--max-tasks", type=int, metavar="N", help="how many tasks may be planned (1000)")
    add(
        "--max-parallel",
        type=int,
        dest="max_parallel_calls",
        metavar="N",
        help="how many calls may be out at once (256)",
    )
    add("--max-tokens", type=int, metavar="N", help="how many tokens its models may use")
    add("--max-cost", type=float, metavar="DOLLARS", help="how much its models may cost")


def run(options: Namespace) -> int:
    """Answer a question; returns the exit status.

    Raises:
        UsageError: a setting, a model, a tool or an example cannot be used.
        ServerError: the server refused the run, or was not reached.
    """
    # What takes its time to import is imported where it is needed.
    if options.server is not None:
        from dovetail.cli.remote import ask_server

        return ask_server(options)
    if options.tls or options.ca or options.cert or options.key or options.server_name:
        raise UsageError("TLS is for a server, and none is given; add --server HOST:PORT")
    from dovetail.cli.showing import choose_view, clean_output
    from dovetail.embedding import run_loop
    from dovetail.settings import load_settings

    settings = load_settings({name: getattr(options, name) for name in ENGINE_SETTINGS}, config=options.config)
    view = choose_view(as_json=options.json)()
    with clean_output(view):
        return run_loop(lambda: _answer(options.question, settings, view))


async def _answer(question: str, settings: Settings, view: View) -> int:
    from dovetail.cli.session import Session

    async with Session(settings) as session:
        return session.leave(await session.ask(question, view))

"""Runs benchmarks and prints one table: ``python -m benchmarks [NAME …]``."""

from __future__ import annotations

import argparse
import ast
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.original import Original
from benchmarks.report import Row, environment, to_json, to_markdown, to_text
from benchmarks.rounds import Settings

_BENCHMARKS = (
    *("parser", "dispatch", "makespan", "waiting", "startup", "decoder", "runs"),
    *("delivery", "remote_calls", "grpc_runs", "many_runs", "spread", "stalled", "policies", "processes", "grammar"),
    *("replanning", "prompts", "peers"),
)
# Half an hour and more, with a real model; a server of vLLM; a vocabulary.
_BY_NAME_ALONE = ("model_plans", "served_vllm", "masks")
_NAMES = (*_BENCHMARKS, *_BY_NAME_ALONE)
_README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- results -->", "<!-- end of results -->"


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        width = max(map(len, _NAMES))
        print("\n".join(f"{name:{width}}  {_told(name)}" for name in _NAMES))
        return 0
    if (arguments.original is None) != (arguments.original_python is None):
        print("--original and --original-python go together; see benchmarks/README.md", file=sys.stderr)
        return 2
    settings = Settings(quick=arguments.quick, profile=arguments.profile, peers=arguments.peers_python)
    about = environment()
    original = None
    if arguments.original is not None:
        try:
            original = Original(arguments.original, arguments.original_python)
        except (OSError, RuntimeError) as problem:
            print(problem, file=sys.stderr)
            return 2
    rows: list[Row] = []
    try:
        for name in arguments.names or _BENCHMARKS:
            began = time.monotonic()
            rows += import_module(f"benchmarks.{name}").run(settings, original)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        if original is not None:
            original.close()
    print(to_text(rows, about))
    if arguments.json is not None:
        arguments.json.write_text(to_json(rows, about), encoding="utf-8")
    if arguments.markdown:
        before, _, rest = _README.read_text(encoding="utf-8").partition(_BEGIN)
        _, _, after = rest.partition(_END)
        table = to_markdown(rows, about)
        _README.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")
    return 0


def _told(name: str) -> str:
    """The first sentence of a benchmark, read and not imported: some need what is not installed."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")[0].replace("\n", " ")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Dovetail beside a floor or a peer, in one run. A missed target is no error.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(_NAMES)}; if none, all but {', '.join(_BY_NAME_ALONE)}",
    )
    parser.add_argument("--original", type=Path, metavar="PATH", help="a checkout of the original LLMCompiler")
    parser.add_argument(
        "--original-python", type=Path, metavar="PYTHON", help="an interpreter that can import that checkout"
    )
    parser.add_argument(
        "--peers-python",
        type=Path,
        metavar="PYTHON",
        help="an interpreter that has LangGraph, pydantic-ai or OpenAI's Agents SDK, for peers",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--markdown", action="store_true", help="put the table into benchmarks/README.md")
    parser.add_argument("--list", action="store_true", help="say what there is to measure, and end")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes")
    parser.add_argument(
        "--profile", action="store_true", help="print where a server in another process spends its time"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in _NAMES]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(_NAMES)}")
    if arguments.peers_python is not None and not arguments.peers_python.is_file():
        parser.error(f"--peers-python: there is no {arguments.peers_python}; see benchmarks/README.md")
    return arguments


if __name__ == "__main__":
    sys.exit(main())

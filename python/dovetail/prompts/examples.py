"""Examples of plans, and the files that they are read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Example", "ExamplePlace", "gather_examples", "parse_examples", "read_examples"]

_LABEL: Final = "Question:"
_EARLIER: Final = "Earlier:"
_MISSING: Final = "Missing:"


@dataclass(frozen=True, slots=True)
class ExamplePlace:
    """Where an example stands in a file."""

    source: str
    plan_line: int
    """The line of the file in which its plan begins, from 1."""
    earlier_line: int = 0
    """That in which the earlier tasks begin; 0 if there are none."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question and a plan that answers it; or one that goes on from earlier tasks, for plans that follow others."""

    question: str
    plan: str
    earlier: str = ""
    """The earlier tasks, if the plan goes on from some: calls in the plan language, and below each ``-> OUTPUT``, its
    output as JSON on one line, or ``failed: REASON``."""
    missing: str = ""
    """What was missing after these tasks, as a joiner says it."""
    place: ExamplePlace | None = field(default=None, compare=False, repr=False)
    """Where it was read from."""


def read_examples(path: str | Path) -> list[Example]:
    """Read a file of examples; see `parse_examples` for what stands in it.

    Raises:
        UsageError: the file cannot be read or is no UTF-8, or what stands in it are no examples.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the examples file {path} cannot be read: {error}") from error
    return parse_examples(text, source=str(path))


def gather_examples(specs: Sequence[str], files: Sequence[str]) -> list[Example]:
    """The ``EXAMPLES`` of modules that SPECs name as a whole, and those of files.

    Raises:
        UsageError: a module or file cannot be read, or its examples are none.
    """
    # Imported here because a planner, which imports this module, needs no SPECs.
    from dovetail.tools.tool_spec import is_mcp, load_module, split_namespace

    examples: list[Example] = []
    for spec in specs:
        namespace, _ = split_namespace(spec)
        # The plans of a module do not know the namespace that its tools were given.
        if namespace is not None or spec.endswith(".json") or is_mcp(spec):
            continue
        if ":" in spec and spec.rpartition(":")[2].isidentifier():
            continue
        found = getattr(load_module(spec), "EXAMPLES", ())
        if not isinstance(found, list | tuple) or not all(isinstance(one, Example) for one in found):
            raise UsageError(f"tools {spec}: EXAMPLES is no list of dovetail.Example")
        examples += found
    for file in files:
        examples += read_examples(file)
    return examples


def parse_examples(text: str, *, source: str = "<examples>") -> list[Example]:
    """Examples from text: a line ``Question: …``, the lines of its plan, then the next ``Question: …``.

    A plan that goes on from earlier tasks has them between: a line ``Earlier:``, the calls with what became of each
    (see `Example.earlier`), and a line ``Missing: …``.

    Args:
        text: the examples.
        source: what to call the text in errors.

    Raises:
        UsageError: there is no example, a question is empty or has no plan, earlier tasks have no ``Missing: …`` behind
            them, or text stands before the first question; the message names the source and the line.
    """
    examples: list[Example] = []
    question: _Line | None = None
    below: list[_Line] = []
    # Not at every separator that Unicode knows: JSON may hold those inside a string.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if line.startswith(_LABEL):
            if question is not None:
                examples.append(_example(question, below, source))
            question, below = (number, line.removeprefix(_LABEL).strip()), []
        elif question is not None:
            below.append((number, line))
        elif line.strip():
            raise UsageError(f"{source}:{number}: an example begins with a line '{_LABEL} …'")
    if question is None:
        raise UsageError(f"{source}:1: there is no example: write a line '{_LABEL} …' and below it the plan")
    examples.append(_example(question, below, source))
    return examples


_Line: TypeAlias = tuple[int, str]
"""The number of a line, and the line."""


def _example(question: _Line, below: Sequence[_Line], source: str) -> Example:
    number, text = question
    if not text:
        raise UsageError(f"{source}:{number}: the question is empty: write it behind '{_LABEL}', on the same line")
    lines = _trimmed(below)
    earlier: Sequence[_Line] = ()
    missing = ""
    if lines and lines[0][1].strip() == _EARLIER:
        start = lines[0][0]
        ends = next((at for at, (_, line) in enumerate(lines) if line.startswith(_MISSING)), None)
        missing = "" if ends is None else lines[ends][1].removeprefix(_MISSING).strip()
        if ends is None or not missing:
            raise UsageError(f"{source}:{start}: behind earlier tasks stands a line '{_MISSING} …', then the plan")
        earlier, lines = _trimmed(lines[1:ends]), _trimmed(lines[ends + 1 :])
        if not earlier:
            raise UsageError(f"{source}:{start}: there are no earlier tasks: write them below '{_EARLIER}'")
    if not lines:
        raise UsageError(f"{source}:{number}: the question has no plan: write it on the lines below")
    place = ExamplePlace(source, lines[0][0], earlier[0][0] if earlier else 0)
    return Example(text, _joined(lines), _joined(earlier), missing, place)


def _trimmed(lines: Sequence[_Line]) -> Sequence[_Line]:
    """The lines without empty ones before and behind them."""
    full = [at for at, (_, line) in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else ()


def _joined(lines: Sequence[_Line]) -> str:
    return "\n".join(line for _, line in lines).strip()

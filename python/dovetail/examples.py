"""Examples of plans: read from a file, and the ones nearest to a question chosen by their words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dovetail.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Example", "gather_examples", "nearest", "parse_examples", "read_examples"]

_LABEL: Final = "Question:"


@dataclass(frozen=True, slots=True)
class Example:
    """A question and a plan that answers it."""

    question: str
    plan: str


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
    from dovetail.tool_spec import is_mcp, load_module, split_namespace

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

    Args:
        text: the examples.
        source: what to call the text in errors.

    Raises:
        UsageError: there is no example, a question is empty or has no plan, or text stands before the first question;
            the message names the source and the line.
    """
    examples: list[Example] = []
    question: tuple[int, str] | None = None
    plan: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_LABEL):
            if question is not None:
                examples.append(_example(question, plan, source))
            question, plan = (number, line.removeprefix(_LABEL).strip()), []
        elif question is not None:
            plan.append(line)
        elif line.strip():
            raise UsageError(f"{source}:{number}: an example begins with a line '{_LABEL} …'")
    if question is None:
        raise UsageError(f"{source}:1: there is no example: write a line '{_LABEL} …' and below it the plan")
    examples.append(_example(question, plan, source))
    return examples


def _example(question: tuple[int, str], plan: Sequence[str], source: str) -> Example:
    number, text = question
    if not text:
        raise UsageError(f"{source}:{number}: the question is empty: write it behind '{_LABEL}', on the same line")
    body = "\n".join(plan).strip()
    if not body:
        raise UsageError(f"{source}:{number}: the question has no plan: write it on the lines below")
    return Example(text, body)


def nearest(question: str, examples: Sequence[Example], k: int = 2) -> list[Example]:
    """The ``k`` examples whose questions share the most telling words with this one, the most similar last.

    A model leans most on what stands next to the question. Of equally similar examples the earlier ones are chosen.
    """
    if k < 1:
        return []
    if len(examples) <= 1:
        return list(examples)
    scores = _scores(question, [example.question for example in examples])
    ranked = sorted(range(len(examples)), key=lambda index: (-scores[index], index))
    return [examples[index] for index in reversed(ranked[:k])]


def _scores(question: str, corpus: list[str]) -> list[float]:
    # bm25s brings numpy: a tenth of a second that only a question with examples should cost.
    import bm25s

    # Stop words stay: "how many", "than" and "of" tell one kind of question from another.
    texts = bm25s.tokenize([*corpus, question], stopwords=[], return_ids=False, show_progress=False)
    tokens: list[list[str]] = list(texts)
    words = {token for text in tokens[:-1] for token in text}
    known = [token for token in tokens[-1] if token in words]
    if not known:
        return [0.0] * len(corpus)
    retriever = bm25s.BM25()
    retriever.index(tokens[:-1], show_progress=False)
    return [float(score) for score in retriever.get_scores(known)]

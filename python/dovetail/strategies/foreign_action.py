"""Actions in forms that models have learned elsewhere: JSON, a name with its input, brackets, a final answer."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final, Literal

from dovetail.errors import UsageError
from dovetail.runs.call_line import call_text

__all__ = ["ForeignAction"]

Form = Literal["object", "input", "brackets", "answer"]

_TOOL_KEYS: Final = ("action", "tool", "tool_name", "name", "function")
_INPUT_KEYS: Final = ("action_input", "tool_input", "arguments", "args", "parameters", "params", "input")
_THOUGHT_KEYS: Final = ("thought", "thoughts", "reasoning")
_ANSWER_KEYS: Final = ("answer", "final_answer")
_FINISH: Final = re.compile(r"\s*(?:finish|final[ _]answer)\s*", re.IGNORECASE)
# `Action Input:`, in any language.
_INPUT: Final = re.compile(
    r"\s*[*_`]*(?!thought|observation|final|action[ \t]*[:\d])"
    r"[^\s:\uff1a(){}\[\]]{1,20}(?:[ \t_][^\s:\uff1a(){}\[\]]{1,20}){0,2}[ \t*_`]*[:\uff1a]"
    r"[ \t*_]*(?:\s*```\w*[ \t]*\n)?\s*",
    re.IGNORECASE,
)
_LONGEST_LABEL: Final = 100
_MARKS: Final = " \t*`"
_NOTHING: Final = ("", "None", "none")
_CLOSING: Final = {"{": "}", "[": "]"}
_MENDED: Final[dict[Form, str]] = {
    "object": "the action is JSON",
    "input": "the arguments of the action stand on a line of their own",
    "brackets": "the arguments of the action stand in square brackets",
    "answer": "the answer stands behind a label, and not in Finish(…)",
}


class ForeignAction:
    """An action of which some is read already, cut anywhere.

    Args:
        form: how it is written. An ``object`` begins with its ``{``, ``input`` behind the tool's name, ``brackets``
            behind the ``[``, and an ``answer`` behind its label.
        tool: the tool, where it is known by now.

    Attributes:
        form: how it is written.
        call: the call, as a plan has it but without its id, once it is complete and one.
        answer: the answer, once it is complete and one.
        thought: the thought that stands in it.
        closed: whether it came to an end of its own.
        mended: what was mended, for people.
    """

    def __init__(self, form: Form, tool: str = "") -> None:
        self.call: str | None = None
        self.answer: str | None = None
        self.thought = ""
        self.closed = False
        self.mended = _MENDED[form]
        self.form: Form = form
        self._tool = tool
        self._text: list[str] = []
        self._pair = _Pair("[", depth=1) if form == "brackets" else _Pair("{")
        # Of an input: whether its label was read.
        self._labelled = False

    @property
    def text(self) -> str:
        """What was read of it."""
        return "".join(self._text)

    def feed(self, text: str) -> int | None:
        """The model wrote on.

        Returns:
            How many characters of the text belong to the action, if it ends there.
        """
        end = self._read(text)
        self.closed = end is not None
        return end

    def finish(self, *, cut_off: bool) -> None:
        """The model stopped; with ``cut_off`` in the middle, so that half a call is none."""
        if self.form == "answer":
            self.answer = self.text.strip()
        elif self.form == "input" and not cut_off and not (self._labelled and self._pair.is_open):
            self._read_input("\n", is_over=True)

    def _read(self, text: str) -> int | None:
        match self.form:
            case "object":
                end = self._read_pair(text)
                if end is not None and isinstance(value := _json(self.text), dict):
                    with suppress(RecursionError):  # what can just be read may be nested too deep for anything else
                        self._take(value)
                return end
            case "brackets":
                end = self._read_pair(text)
                if end is not None:
                    inside = self.text[:-1].strip()
                    listed = _json(f"[{inside}]")
                    self._call(listed if isinstance(listed, list) else [inside.strip("\"'")])
                return end
            case "input":
                return self._read_input(text, is_over=False)
            case "answer":
                self._text.append(text)
                return None

    def _read_pair(self, text: str) -> int | None:
        end = self._pair.feed(text)
        self._text.append(text if end is None else text[:end])
        return end

    def _read_input(self, text: str, *, is_over: bool) -> int | None:
        if not self._labelled:
            self._text.append(text)
            whole = self.text
            is_over = is_over or len(whole) > _LONGEST_LABEL
            line, label = whole.lstrip(), _INPUT.match(whole)
            if label is None:
                if is_over or "\n" in line:
                    self._call([])
                    return 0
                return None
            rest = whole[label.end() :]
            if not is_over and (not rest or (rest.startswith("`") and "\n" not in rest)):
                return None  # a fence may open here
            self._labelled = True
            self._text, text = [], rest
            self._pair = _Pair(text[:1])
        if self._pair.is_open:
            end = self._read_pair(text)
        else:
            end = text.find("\n") if "\n" in text else None
            self._text.append(text if end is None else text[:end])
        if end is not None:
            said = self.text.strip(_MARKS)
            self._call([] if said in _NOTHING else _json(said, said))
        return end

    def _take(self, value: dict[str, Any]) -> None:
        """An object: a call, the answer, or neither."""
        thoughts = [value.pop(key) for key in _THOUGHT_KEYS if key in value]
        self.thought = " ".join(thought for thought in thoughts if isinstance(thought, str))
        key = next((key for key in _TOOL_KEYS if key in value), None)
        if key is None:
            self.answer = next((_said(value[key]) for key in _ANSWER_KEYS if key in value), None)
            return
        if key == "name" and not any(given in value for given in _INPUT_KEYS):
            return  # of anything that has a name
        tool = value.pop(key)
        if isinstance(tool, dict):  # {"function": {"name": …, "arguments": …}}
            self._take(tool)
            return
        if not isinstance(tool, str):
            return
        given = next((value.pop(key) for key in _INPUT_KEYS if key in value), value)
        if _FINISH.fullmatch(tool):
            if isinstance(given, dict) and len(given) == 1:
                [given] = given.values()
            self.answer = _said(given)
        elif "(" in tool:  # {"action": "search(…)"}
            self.call = tool
        else:
            self._tool = tool
            self._call(_json(given, given) if isinstance(given, str) else given)

    def _call(self, given: Any) -> None:
        arguments = given if isinstance(given, dict | list) else [] if given is None else [given]
        try:
            self.call = call_text(self._tool, arguments)
        except UsageError:  # it is told what it wrote, and that this is no call
            self.call = None


class _Pair:
    """Finds the end of what stands between brackets, strings in JSON set aside.

    Args:
        opening: the bracket; another character has no end.
        depth: how many of them were read before.
    """

    def __init__(self, opening: str, *, depth: int = 0) -> None:
        self._opening = opening
        self._closing = _CLOSING.get(opening)
        self._depth = depth
        self._strings = depth == 0
        self._quoted = self._escaped = False
        self.is_open = self._closing is not None

    def feed(self, text: str) -> int | None:
        """How much of the text stands before the end and in it, if that comes."""
        for index, character in enumerate(text):
            if self._quoted:
                self._quoted = self._escaped or character != '"'
                self._escaped = character == "\\" and not self._escaped
            elif character == '"' and self._strings:
                self._quoted = True
            elif character == self._opening:
                self._depth += 1
            elif character == self._closing:
                self._depth -= 1
                if not self._depth:
                    return index + 1
        return None


def _json(text: Any, otherwise: Any = None) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return otherwise


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

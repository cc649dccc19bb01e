"""Reads what a ReAct model writes in a turn, piece by piece: a thought, then an action."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from dovetail.models.stop_text import StopText
from dovetail.strategies.foreign_action import ForeignAction
from dovetail.strategies.reasoning import LONGEST_TAG, Reasoning, closing_tag

if TYPE_CHECKING:
    from collections.abc import Collection

    from dovetail.strategies.foreign_action import Form

__all__ = ["STOP", "ReactReply"]

STOP: Final = "\nObservation"
"""What a model begins to make up that goes on behind its call: what that returned."""

_COLON: Final = "[:\uff1a]"
# `Action:`, as models write it: bold, numbered, in any case.
_ACTION: Final = re.compile(rf"[ \t*_#>-]*action(?:[ \t]*\d+)?[ \t*_]*{_COLON}(?:[*_]+(?=\s))?", re.IGNORECASE)
_FINAL: Final = re.compile(rf"[ \t*_#>-]*final[ \t_]+answer[ \t*_]*{_COLON}[ \t*_]*", re.IGNORECASE)
# A line that is an action without saying so, or that says so in another language.
_LABEL: Final = (
    r"[ \t*`#>-]*(?:(?!thought|observation|question)"
    rf"[^\s:\uff1a()\[\]{{}}*_`#>-]{{1,20}}[ \t*_]*{_COLON}[ \t*_`]*)?(?:\d+[.)][ \t]*)?"
)
_NAME: Final = re.compile(r"[^\W\d](?:[\w.:/-]*[\w./-])?")
_CALL: Final = re.compile(rf"{_LABEL}(?P<name>{_NAME.pattern})\(", re.IGNORECASE)
_FINISH: Final = re.compile(rf"{_LABEL}(?P<name>finish)[ \t]*[(\[]", re.IGNORECASE)
_OBJECT: Final = re.compile(r"[ \t]*(?=\{)")
# What stands between the label and the action: marks, quotes, a fence with its language, a number.
_LEAD: Final = re.compile(r"(?:[\s*\"']|```[ \t]*\w*[ \t]*\n|`)*(?:\d+[.):][ \t]*)?[`*]*")
# What may go on as a number, or as the label of the answer.
_UNDECIDED: Final = re.compile(r"\d+|final[ \t_]*[a-z]{0,6}[ \t*_]*", re.IGNORECASE)
_MARKS: Final = " \t*`\"'"
# What begins no action in so many characters begins none.
_LONGEST_LABEL: Final = 400
_LONGEST_LEAD: Final = 2_000
_LONGEST_NAME: Final = 200
_THOUGHT: Final = re.compile(
    rf"^[ \t*_#>-]*thought(?:[ \t]*\d+)?[ \t*_]*{_COLON}[ \t*]*|^[ \t]*```\w*", re.IGNORECASE | re.MULTILINE
)


class ReactReply:
    """One reply, cut anywhere.

    Args:
        tools: the names of the tools: a line that begins with a call of one is an action, whatever its label.

    Attributes:
        kind: whether its action is a call or the answer; None while that is not known.
        thought: what stands before the action, on one line, without its label.
        mended: what was mended to read its action; empty if it kept its form.
        closed: whether its action came to an end before the reply did, so that nothing that follows belongs to it.
    """

    def __init__(self, tools: Collection[str] = ()) -> None:
        self.kind: Literal["call", "answer"] | None = None
        self.thought = ""
        self.mended = ""
        self.closed = False
        self._tools = tools
        # The lines before the action, and what follows them.
        self._thoughts: list[str] = []
        self._held = ""
        self._is_ordinary = False
        self._foreign: ForeignAction | None = None
        self._labelled = False
        self._reasoning = Reasoning()
        # In reasoning and in thoughts nobody is stopped: only behind a closing tag it is known what was reasoning.
        self._stop = StopText([STOP])
        self._is_made_up = False
        self._is_unopened = False

    def feed(self, text: str) -> str:
        """A piece of the reply; returns what it adds to the action: a call without its label and id, or `Finish(…)`."""
        return self._read(self._reasoning.feed(text), is_over=False)

    @property
    def is_reasoning(self) -> bool:
        """Whether the model has not come to the end of its reasoning."""
        return self._reasoning.is_open

    @property
    def reasoned(self) -> bool:
        """Whether there was reasoning in it, so far."""
        return self._is_unopened or self._reasoning.had_some or self._reasoning.is_open

    @property
    def stopped(self) -> bool:
        """Whether the model goes on behind its action as if that had been done."""
        return self._stop.stopped

    @property
    def said(self) -> str:
        """What stands before the action, as it was written; all of the reply where there is none, reasoning aside."""
        return "".join([*self._thoughts, self._held])

    def finish(self, *, cut_off: bool = False) -> str:
        """The reply is over: what it still adds to the action.

        Args:
            cut_off: whether the model was stopped in the middle.
        """
        said = self._read(self._reasoning.finish(), is_over=True)
        if self.kind is not None and not self.closed:
            said += self._stop.finish()
        if (action := self._foreign) is not None:
            if not action.closed:
                action.feed(self._stop.finish())
            action.finish(cut_off=cut_off)
            said = self._take(action)
        return said

    def _read(self, text: str, *, is_over: bool) -> str:
        if self._foreign is not None:
            return self._read_foreign(text)
        if self.kind is not None:
            return "" if self.closed else self._stop.feed(text)
        self._held += text
        while self._held or is_over:
            if not self._is_ordinary and self._thoughts and self._held.startswith(STOP[1:]):
                self._is_made_up = True
            if not self._is_ordinary and not self._is_made_up and (begin := self._begin()) is not None:
                return self._decide(begin, is_over=is_over)
            line, end, rest = self._held.partition("\n")
            if (behind := closing_tag(line)) is not None:  # its opening tag stood in the prompt
                self._thoughts.clear()
                self._is_made_up, self._is_unopened = False, True
                self._held, self._is_ordinary = line[behind:].lstrip() + end + rest, False
                continue
            if not end and len(line) < _LONGEST_LABEL and not self._is_ordinary:
                break  # it may still become the beginning of an action
            if not end and not is_over and (tag := line.rfind("<", -LONGEST_TAG)) >= 0:
                line, rest = line[:tag], line[tag:]  # it may still become a tag
            if not self._is_made_up:
                self._thoughts.append(line + end)
            self._held = rest
            self._is_ordinary = not end
            if not rest or (not end and not is_over):
                break
        if is_over:
            if self._is_made_up:
                self._held = ""
            self._think(self._held)
        return ""

    def _begin(self) -> int | None:
        """Where on this line its action begins, behind the label."""
        head = self._held[:_LONGEST_LABEL]
        if (label := _ACTION.match(head)) is not None:
            self._labelled = True
            return label.end()
        if _FINAL.match(head) is not None:
            return 0
        self.mended = "the action has no label Action:"
        if (call := _CALL.match(head)) is not None and call["name"] in self._tools:
            return call.start("name")
        if (call := _FINISH.match(head)) is not None and call["name"] not in self._tools:
            self.mended = ""
            return call.start("name")
        self.mended = ""
        return opened.end() if (opened := _OBJECT.match(head)) is not None else None

    def _decide(self, begin: int, *, is_over: bool) -> str:
        """What kind of action it is, once enough of it is there."""
        head = self._held[: begin + _LONGEST_LEAD]
        is_over = is_over or len(self._held) >= begin + _LONGEST_LEAD
        lead = _LEAD.match(head, begin)
        begin = begin if lead is None else lead.end()
        head = head[begin:]
        if (final := _FINAL.match(head)) is not None:
            return self._is_foreign("answer", begin + final.end())
        if head.startswith("{"):
            return self._is_foreign("object", begin)
        name = _NAME.match(head)
        behind = head if name is None else head[name.end() :].lstrip(_MARKS)
        if not is_over and (
            _UNDECIDED.fullmatch(head) or (not behind and (name is None or name.end() < _LONGEST_NAME))
        ):
            return ""
        rest = self._held[begin:]
        if name is not None:
            known = self._known(name[0])
            if not known and name[0].lower() == "finish":
                self._think("")
                self.kind = "answer"
                return f"Action: {self._stop.feed(rest)}"
            tool, at = known or name[0], begin + len(head) - len(behind)
            if behind.startswith("["):
                return self._is_foreign("brackets", at + 1, tool)
            if behind.startswith("\n") or not behind:
                return self._is_foreign("input", at, tool)
            rest = tool + self._held[begin + name.end() :]
        self._think("")
        self.kind = "call"
        return self._stop.feed(rest)

    def _known(self, name: str) -> str:
        """The tool that is named; underscores around it may be emphasis."""
        return next((one for one in (name, name.strip("_")) if one in self._tools), "")

    def _is_foreign(self, form: Form, begin: int, tool: str = "") -> str:
        self._foreign = ForeignAction(form, tool)
        text, self._held = self._held[begin:], self._held[:begin]
        return self._read_foreign(text)

    def _read_foreign(self, text: str) -> str:
        action = self._foreign
        if action is not None and action.form != "object":  # which ends with its bracket, if it is an action at all
            text = self._stop.feed(text)
        if action is None or (end := action.feed(text)) is None:
            return ""
        if action.call is None and action.answer is None and not self._labelled:
            # An object that is none: the model thinks aloud.
            self._foreign = None
            self._thoughts.append(self._held + action.text)
            self._held, self._is_ordinary = "", True
            return self._read(text[end:], is_over=False)
        return self._take(action)

    def _take(self, action: ForeignAction) -> str:
        """The action is complete."""
        self._foreign = None
        self.closed = action.closed
        if action.call is None and action.answer is None:
            if not self._labelled:
                self._think(self._held + action.text)
                return ""
            self._think("")
            self.kind = "call"
            return action.text
        self._think(action.thought)
        self.mended = action.mended
        self.kind = "call" if action.answer is None else "answer"
        return action.call if action.answer is None and action.call is not None else action.answer or ""

    def _think(self, text: str) -> None:
        self.thought = " ".join(_THOUGHT.sub("", "".join([*self._thoughts, text])).split())

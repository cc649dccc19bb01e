"""A joiner's reply, as it is heard: an answer, a wish for another plan, or neither."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from dovetail import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from dovetail.prompts.joiner_prompt import ReplyForm

__all__ = ["JoinerReply", "TakeAnswer"]

_CALL: Final = re.compile(r"\s*([\w.:/-]{1,128})\s*[(\[].*[)\]]\s*", re.DOTALL)


class TakeAnswer(Protocol):
    """Whoever the answer is for."""

    def __call__(self, text: str, *, incomplete: bool) -> str | None:
        """Take it; returns what is wrong with it, if it cannot be taken."""
        ...


class JoinerReply:
    """One reply.

    Args:
        show: is told each piece of the answer.
        take: is given the whole of it.
        tools: the names of the tools: a joiner that writes a call of one, and nothing else, wants another plan.
        must_answer: whether there can be none.
        is_last: whether it is not asked again, so that a call is taken for the answer.

    Attributes:
        form: how it was to be written.
        reason: why it wants another plan; None if it does not.
        answer: its answer, as it stood in the reply; empty if there is none.
        instead: what it says instead of an answer, if it must give one.
        wrong: why the answer cannot be taken; None if it was.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        take: TakeAnswer,
        tools: Container[str],
        *,
        must_answer: bool,
        is_last: bool,
    ) -> None:
        self._show = show
        self._take = take
        self._tools = tools
        self._must_answer = must_answer
        self._is_last = is_last
        # What would be a call.
        self._held = ""
        self.form: ReplyForm = "lines"
        self.reason: str | None = None
        self.answer = ""
        self.instead = ""
        self.wrong: str | None = "there is none"

    def hear(self, step: _core.ReplyStep, cut_off: bool) -> None:
        """The joiner wrote on.

        Args:
            step: what was read.
            cut_off: whether the reply was cut off there.
        """
        match step:
            case _core.AnswerPiece():
                piece, self._held = self._held + step.text, ""
                if self._is_call(piece):
                    self._held = piece
                else:
                    self._show(piece)
            case _core.Verdict(kind="replan"):
                self._want(step.text or "the joiner gave no reason", f"Replan({step.text})")
            case _core.Verdict() if step.mended and self._is_call(step.text) and not self._is_taken_at_its_word:
                self._want(f"the joiner asks for a call: {step.text}", step.text)
            case _core.Verdict() if step.text:
                if self._held:
                    self._show(self._held)
                self.answer = step.text
                self.wrong = self._take(step.text, incomplete=self._must_answer or (step.mended and cut_off))

    def _want(self, reason: str, said: str) -> None:
        if self._must_answer and not self._is_last:
            self.instead = said
        else:
            self.reason = reason

    @property
    def _is_taken_at_its_word(self) -> bool:
        return self._must_answer and self._is_last

    def _is_call(self, text: str) -> bool:
        found = _CALL.fullmatch(text)
        return found is not None and found[1] in self._tools

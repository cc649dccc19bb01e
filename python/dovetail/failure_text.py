"""What an error says, as text that an event or a message can carry: bounded, and without halves of surrogate pairs."""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_MESSAGE", "bounded", "failure_text", "message_of"]

LONGEST_MESSAGE: Final = 2_000
"""How many characters of a message are kept, the remark that some were left out among them."""


def failure_text(error: BaseException) -> str:
    """An error's type and message: ``ValueError: no such mountain``."""
    message = message_of(error)
    name = type(error).__name__
    return bounded(f"{name}: {message}" if message else name)


def message_of(error: BaseException) -> str:
    """An error's message; empty if it has none, or fails to say it."""
    try:
        return bounded(str(error))
    except BaseException:  # an error of a tool may fail to say what it is; it must not take the process with it
        return ""


def bounded(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Text that can be written as UTF-8, of so many characters at most."""
    if len(text) > limit:
        # The length of the remark depends on its number only by a digit or two.
        kept = max(0, limit - 40)
        text = f"{text[:kept]} … [{len(text) - kept} characters left out]"[:limit]
    return text.encode(errors="replace").decode()

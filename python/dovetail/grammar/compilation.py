"""Compiles grammars on this machine before they are sent: a bad one can end a server's engine."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dovetail.models.protocol import Grammar

__all__ = ["REMEDY", "can_compile", "fault_in"]

REMEDY: Final = "pip install 'dovetail[grammar]'"
"""How to get what compiles."""

_LONGEST: Final = 300


@cache
def can_compile() -> bool:
    """Whether llguidance is installed."""
    return importlib.util.find_spec("llguidance") is not None


def fault_in(grammar: Grammar) -> str | None:
    """Why a grammar does not compile; None if it does, or if there is nothing here to compile it with."""
    if not can_compile():
        return None
    import llguidance

    try:
        source = llguidance.grammar_from(grammar.dialect, grammar.text)
        is_error, messages = llguidance.LLMatcher.validate_grammar_with_warnings(source, _tokenizer())
    except ValueError as error:
        return _clipped(str(error))
    return _clipped(messages[0]) if is_error else None


@cache
def _tokenizer() -> Any:
    import llguidance

    # Every byte is a token: what compiles for them compiles for any vocabulary.
    return llguidance.LLTokenizer("byte")


def _clipped(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

"""Parameters that a model turned out not to take: a request is then sent again without them.

Reasoning models refuse ``temperature`` and ``stop``, others ``reasoning_effort``, older servers ``stream_options``, and
each knows the limit of tokens by one name of two. Which model takes what changes from month to month, and the server
says it in its refusal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import openai

__all__ = ["RefusedParameters"]

_INSTEAD: Final[Mapping[str, str | None]] = {
    "temperature": None,
    "stop": None,
    "stream_options": None,
    "reasoning_effort": None,
    "reasoning": None,
    "include": None,
    "parallel_tool_calls": None,
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_CHOSEN: Final = {"reasoning_effort", "reasoning"}
"""Those whose value was chosen from a few words: another word mends what a value is refused for."""
_OTHER_API: Final = "v1/responses"
"""What a refusal of a chat names where the parameter is refused beside tools alone, and the other API takes both."""
_CODES: Final = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}
_WORDS: Final = re.compile(
    r"unsupported|(not|n't) support(ed)?\b|unrecogni[sz]ed|unknown|unexpected|deprecated|not permitted|not allowed"
    r"|extra.(forbidden|inputs)",
    re.IGNORECASE,
)


class RefusedParameters:
    """What one model does not take, learned from its refusals."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def without(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request as the model takes it, as far as that is known."""
        adapted = dict(request)
        for name in self._refused & request.keys():
            value = adapted.pop(name)
            instead = _INSTEAD[name]
            if instead is not None:
                adapted[instead] = value
        return adapted

    def learn(self, problem: openai.APIStatusError, sent: Mapping[str, Any]) -> bool:
        """Take note of a refusal. Returns whether the request is another one without what was refused.

        Args:
            problem: the refusal.
            sent: the request that was refused.
        """
        name = _refused(problem, sent)
        if name is None or name in self._refused or _INSTEAD[name] in self._refused:
            return False
        self._refused.add(name)
        return True


def _refused(problem: openai.APIStatusError, sent: Mapping[str, Any]) -> str | None:
    """The parameter that a refusal is about, if it is one of those sent that can be done without."""
    said = str(problem.body or problem.message)
    if "messages" in sent and _OTHER_API in said:
        return None
    candidates = [name for name in _INSTEAD if name in sent]
    param = re.split(r"[.\[]", problem.param or "")[0]
    if param in _CHOSEN and problem.code not in {None, "unsupported_parameter", "unknown_parameter"}:
        return None
    if param in candidates and problem.code in _CODES:
        return param
    if not _WORDS.search(said):
        return None
    return next((name for name in candidates if _names(said, name)), None)


def _names(said: str, parameter: str) -> bool:
    # A word of everyday language is the parameter only in quotation marks, or where it has a value.
    pattern = rf"\b{parameter}\b" if "_" in parameter else rf"['\"`]{parameter}['\"`]|\b{parameter}=[\d.]"
    return re.search(pattern, said) is not None

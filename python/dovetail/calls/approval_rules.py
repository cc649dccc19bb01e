"""Rules by which calls need a person's approval although their tools do not say so."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from dovetail.errors import UsageError
from dovetail.failure_text import bounded
from dovetail.tool_arguments import arguments_of
from dovetail.tools.tool_names import check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from dovetail.tools.definition import Tool

__all__ = ["ApprovalRule", "ApprovalRules"]

ApprovalRule: TypeAlias = "str | Callable[[Tool, Mapping[str, Any]], bool | str]"
"""Text, or whether a call of a tool with these arguments needs approval; a text says why it does."""

logger = logging.getLogger(__name__)

_DESTRUCTIVE: Final = "destructive"
_LONGEST_REASON: Final = 500
_RULE = re.compile(
    r"(?P<tool>[A-Za-z0-9_./:*?\[\]!-]+)(\((?P<argument>[^()=!]+?)\s*(?P<sign>!?=)(?P<text>.*)\))?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule that was written as text: a pattern of names, and perhaps a condition on an argument."""

    text: str
    tool: str
    argument: str | None = None
    negated: bool = False
    pattern: str = ""

    @classmethod
    def parse(cls, text: str) -> _Rule:
        found = _RULE.fullmatch(text.strip())
        if found is None:
            raise UsageError(
                f"require_approval: {text!r} is no rule; write destructive, a tool's name or pattern (db.*), or one "
                "with a condition: send(to=*@example.com), send(to!=*@example.com)"
            )
        argument, pattern = found["argument"], found["text"] or ""
        return cls(
            text, found["tool"], argument and argument.strip(), found["sign"] == "!=", pattern.strip().casefold()
        )

    def concerns(self, tool: Tool) -> bool:
        if self.tool == _DESTRUCTIVE and tool.destructive:
            return True
        return fnmatchcase(tool.name, self.tool)

    def demands(self, tool: Tool, arguments: Mapping[str, Any]) -> bool:
        if self.argument is None:
            return True
        if self.argument in arguments:
            texts = list(_texts(arguments[self.argument]))
        else:  # the tool takes its default, as far as that is known
            known = arguments_of(tool.input_schema).properties.get(self.argument, {})
            texts = list(_texts(known["default"])) if isinstance(known, dict) and "default" in known else []
        if self.negated:
            return not texts or not all(_matches(text, self.pattern) for text in texts)
        return any(_matches(text, self.pattern) for text in texts)


class ApprovalRules:
    """Which calls need approval, besides those of tools that demand it. A rule can only demand it, none can waive it.

    Args:
        rules: each is text or a callable. ``destructive``: every destructive tool. ``db.*``: every tool of such a name.
            ``send(to=*@example.com)``: calls of it in whose argument ``to`` some text fits; with ``!=``, calls in which
            some text does not. A callable is given the tool and the bound arguments and says whether approval is
            needed, or in a text why it is; if it raises, approval is needed.

    Raises:
        UsageError: a text is no rule.
    """

    __slots__ = ("_callables", "_rules")

    def __init__(self, rules: Iterable[ApprovalRule] = ()) -> None:
        rules = [rules] if isinstance(rules, str) else list(rules)
        self._rules = [_Rule.parse(rule) for rule in rules if isinstance(rule, str)]
        self._callables = [rule for rule in rules if not isinstance(rule, str)]

    def reason(self, tool: Tool, arguments_json: str) -> str | None:
        """Why a call needs approval, for people; None if it needs none.

        Args:
            tool: its tool.
            arguments_json: its bound arguments.

        Returns:
            That the tool says so, or the first rule that does; at most 500 characters.
        """
        if tool.approval:
            return f"{tool.name} asks for approval of each call"
        if not self._rules and not self._callables:
            return None
        rules = [rule for rule in self._rules if rule.concerns(tool)]
        if rules or self._callables:
            arguments = from_json(arguments_json)
            for rule in rules:
                if rule.demands(tool, arguments):
                    return bounded(f"the rule {rule.text.strip()}", _LONGEST_REASON)
            for one in self._callables:
                if said := _says(one, tool, arguments):
                    return bounded(said, _LONGEST_REASON)
        return None

    def check(self, names: Iterable[str]) -> None:
        """See that the rules are about tools that there are: a slip would let calls pass that were to be asked about.

        Raises:
            UsageError: a rule names a tool that there is not.
        """
        check_names((rule.tool for rule in self._rules if rule.tool != _DESTRUCTIVE), names, "require_approval")


def _says(
    rule: Callable[[Tool, Mapping[str, Any]], bool | str], tool: Tool, arguments: Mapping[str, Any]
) -> str | None:
    """Why a callable demands approval, if it does."""
    name = f"the rule {getattr(rule, '__name__', type(rule).__name__)}"
    try:
        said = rule(tool, arguments)
        return (said if isinstance(said, str) else name) if said else None
    except Exception:  # whoever cannot say whether a call is harmless has not said that it is
        logger.exception("a rule of approval failed at a call of %s: a person is asked", tool.name)
        return f"{name} failed"


def _texts(value: Any) -> Iterator[str]:
    """The texts in an argument: itself, or those of its items and values."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        else:
            yield (one if isinstance(one, str) else to_json(one).decode()).casefold()


def _matches(text: str, pattern: str) -> bool:
    """Whether a text fits a pattern, in which ``*`` stands for any text. Linear, whatever a model may have written."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if not text.startswith(first):
        return False
    place = len(first)
    for part in middle:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return len(text) - len(last) >= place and text.endswith(last)

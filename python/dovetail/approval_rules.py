"""Rules by which calls need a person's approval although their tools do not say so."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from dovetail.errors import UsageError
from dovetail.tool_names import check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from dovetail.tools import Tool

__all__ = ["ApprovalRule", "ApprovalRules"]

ApprovalRule: TypeAlias = "str | Callable[[Tool, Mapping[str, Any]], bool]"
"""Text, or whether a call of a tool with these arguments needs approval."""

logger = logging.getLogger(__name__)

_DESTRUCTIVE: Final = "destructive"
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
            known = tool.input_schema.get("properties", {}).get(self.argument, {})
            texts = list(_texts(known["default"])) if isinstance(known, dict) and "default" in known else []
        if self.negated:
            return not texts or not all(_matches(text, self.pattern) for text in texts)
        return any(_matches(text, self.pattern) for text in texts)


class ApprovalRules:
    """Which calls need approval, besides those of tools that demand it. A rule can only demand it, none can waive it.

    Args:
        rules: each is text or a callable. ``destructive``: every destructive tool. ``db.*``: every tool of such a name.
            ``send(to=*@example.com)``: calls of it in whose argument ``to`` some text fits; with ``!=``, calls in which
            some text does not. A callable is given the tool and the bound arguments; if it raises, approval is needed.

    Raises:
        UsageError: a text is no rule.
    """

    __slots__ = ("_callables", "_rules")

    def __init__(self, rules: Iterable[ApprovalRule] = ()) -> None:
        rules = [rules] if isinstance(rules, str) else list(rules)
        self._rules = [_Rule.parse(rule) for rule in rules if isinstance(rule, str)]
        self._callables = [rule for rule in rules if not isinstance(rule, str)]

    def demand(self, tool: Tool, arguments_json: str) -> bool:
        """Whether a call needs approval.

        Args:
            tool: its tool.
            arguments_json: its bound arguments.
        """
        if tool.approval:
            return True
        if not self._rules and not self._callables:
            return False
        rules = [rule for rule in self._rules if rule.concerns(tool)]
        if any(rule.argument is None for rule in rules):
            return True
        if not rules and not self._callables:
            return False
        arguments = from_json(arguments_json)
        return any(rule.demands(tool, arguments) for rule in rules) or any(
            _says(rule, tool, arguments) for rule in self._callables
        )

    def check(self, names: Iterable[str]) -> None:
        """See that the rules are about tools that there are: a slip would let calls pass that were to be asked about.

        Raises:
            UsageError: a rule names a tool that there is not.
        """
        check_names((rule.tool for rule in self._rules if rule.tool != _DESTRUCTIVE), names, "require_approval")


def _says(rule: Callable[[Tool, Mapping[str, Any]], bool], tool: Tool, arguments: Mapping[str, Any]) -> bool:
    try:
        return bool(rule(tool, arguments))
    except Exception:  # whoever cannot say whether a call is harmless has not said that it is
        logger.exception("a rule of approval failed at a call of %s: a person is asked", tool.name)
        return True


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

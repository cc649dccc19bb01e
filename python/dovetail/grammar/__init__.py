"""Grammars from tool sets: plans that are right by construction, in the notation that a model takes."""

from dovetail.grammar.plan import plan_grammar, uncallable
from dovetail.grammar.signature import ToolShape

__all__ = ["ToolShape", "plan_grammar", "uncallable"]

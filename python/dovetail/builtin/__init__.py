"""Tools that come with Dovetail: an encyclopedia's first paragraphs, values out of texts, and arithmetic."""

from dovetail.builtin.ask import ask, ask_tool
from dovetail.builtin.math import math, math_tool
from dovetail.builtin.reachable import check_url
from dovetail.builtin.search import search, search_in

__all__ = ["ask", "ask_tool", "check_url", "math", "math_tool", "search", "search_in"]

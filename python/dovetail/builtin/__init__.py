"""Tools that come with Dovetail: an encyclopedia's first paragraphs, and arithmetic."""

from dovetail.builtin.math import math
from dovetail.builtin.search import search, search_in

__all__ = ["math", "search", "search_in"]

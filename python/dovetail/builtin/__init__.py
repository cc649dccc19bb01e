"""Tools that come with Dovetail: an encyclopedia's first paragraphs, and arithmetic."""

from dovetail.builtin.math import math
from dovetail.builtin.reachable import check_url
from dovetail.builtin.search import search, search_in

__all__ = ["check_url", "math", "search", "search_in"]

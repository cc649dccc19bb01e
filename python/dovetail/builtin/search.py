"""The tool ``search``: Wikipedia, or a file of articles where one is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dovetail.builtin.articles import Article, ArticleFile, SearchError
from dovetail.builtin.wikipedia import Wikipedia
from dovetail.errors import UsageError
from dovetail.tools.definition import tool
from dovetail.tools.threads import shared_threads

if TYPE_CHECKING:
    from dovetail.tools.definition import FunctionTool

__all__ = ["SearchError", "search", "search_in"]

FILE_VARIABLE: Final = "DOVETAIL_SEARCH_FILE"


@tool(read_only=True, idempotent=True, timeout=30.0)
async def search(query: str) -> Article:
    """Look something up in an encyclopedia: gives one article's title, first paragraphs and address.

    Args:
        query: what to look for: a name or a few words, one thing at a time.

    Returns:
        The article that fits best.

    Raises:
        SearchError: nothing was found, or nothing could be searched.
    """
    if path := os.environ.get(FILE_VARIABLE):
        return await shared_threads.run(ArticleFile(Path(path)).find, {"query": query})
    return await Wikipedia().find(query)


def search_in(
    path: str | Path, *, name: str = "search", description: str | None = None
) -> FunctionTool[[str], Article]:
    """Make a search tool of a file of articles: one JSON object a line, with ``title`` and ``text``.

    Args:
        path: the file; it is read at the first search, and again when it has changed.
        name: the tool's name.
        description: what the planner is told it searches; that of `search` if None.

    Raises:
        UsageError: there is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"there is no file {file} to search in")
    articles = ArticleFile(file)

    def search_file(query: str) -> Article:
        return articles.find(query)

    search_file.__doc__ = search.__doc__
    return tool(name=name, description=description, read_only=True, idempotent=True, timeout=30.0)(search_file)

"""A JSONL file of articles, searched by words."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from dovetail.errors import DovetailError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Article", "ArticleFile", "SearchError", "shorten"]

MAX_CHARACTERS: Final = 4_000
# A query is a few words; a model that sends a whole page does not get a better answer for it.
MAX_QUERY_CHARACTERS: Final = 1_000
_MAX_CACHED_FILES: Final = 8
# Single letters count: "vitamin C".
_WORD: Final = r"(?u)\b\w+\b"


class SearchError(DovetailError):
    """Nothing was found, or nothing could be searched."""


@dataclass(frozen=True, slots=True)
class Article:
    """What a search finds."""

    title: str
    text: str
    url: str | None


def shorten(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Cut a text at the last space before the limit, and show that it was cut."""
    text = text.strip()
    if len(text) <= limit:
        return text
    cut = text[:limit]
    return cut[: cut.rfind(" ") if " " in cut[limit // 2 :] else limit].rstrip() + " …"


class ArticleFile:
    """Articles ranked by BM25 over titles and texts, titles counting twice.

    One JSON object a line: ``title`` and ``text``, and perhaps ``url``. The file is read at the first search,
    and again when it has changed.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, query: str) -> Article:
        """The article that fits best: the one with this title, or else the one whose words fit best.

        Raises:
            SearchError: no article has any of the words, or the file cannot be read; the message names the
                line.
        """
        query = query[:MAX_QUERY_CHARACTERS]
        article = _index(self._path).best(query)
        if article is None:
            raise SearchError(f"nothing in {self._path.name} has any of the words of {query!r}; try other words")
        return replace(article, text=shorten(article.text))


@dataclass(frozen=True)
class _Index:
    articles: list[Article]
    titles: dict[str, int]
    ranking: Any

    @classmethod
    def read(cls, path: Path) -> _Index:
        import bm25s  # here: takes most of a second, with numpy

        articles = _articles(path)
        if not articles:
            raise SearchError(f"{path}: the file has no articles; one JSON object a line is needed")
        texts = [f"{article.title} {article.title} {article.text}" for article in articles]
        tokens = bm25s.tokenize(texts, token_pattern=_WORD, stopwords=None, show_progress=False)
        if not any(tokens.vocab):
            raise SearchError(f"{path}: the articles have no words")
        ranking = bm25s.BM25()
        ranking.index(tokens, show_progress=False)
        titles: dict[str, int] = {}
        for number, article in enumerate(articles):
            titles.setdefault(article.title.casefold(), number)
        return cls(articles, titles, ranking)

    def best(self, query: str) -> Article | None:
        import bm25s

        named = self.titles.get(query.strip().casefold())
        if named is not None:
            return self.articles[named]
        tokens = bm25s.tokenize(query, token_pattern=_WORD, stopwords=None, show_progress=False, return_ids=False)[0]
        if not tokens:
            return None
        # Not `retrieve`: of equals it takes the last, and here the first is wanted.
        scores = self.ranking.get_scores(tokens)
        number = int(scores.argmax())
        return self.articles[number] if scores[number] > 0 else None


_cache: OrderedDict[str, tuple[tuple[int, int], _Index]] = OrderedDict()
# Held while an index is built: calls that come at the same time want the same one.
_cache_lock = threading.Lock()


def _index(path: Path) -> _Index:
    try:
        found = path.stat()
    except OSError as error:
        raise SearchError(f"{path}: the file cannot be read: {error.strerror or error}") from error
    version = (found.st_mtime_ns, found.st_size)
    key = str(path.absolute())
    with _cache_lock:
        cached = _cache.get(key)
        if cached is not None and cached[0] == version:
            _cache.move_to_end(key)
            return cached[1]
        index = _Index.read(path)
        _cache[key] = (version, index)
        while len(_cache) > _MAX_CACHED_FILES:
            _cache.popitem(last=False)
        return index


def _articles(path: Path) -> list[Article]:
    articles: list[Article] = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    articles.append(_article(line, f"{path}, line {number}"))
    except OSError as error:
        raise SearchError(f"{path}: the file cannot be read: {error.strerror or error}") from error
    return articles


def _article(line: bytes, where: str) -> Article:
    try:
        entry = from_json(line)
    except ValueError as error:
        # The parser counts lines within this one line; its own "at line 1" would mislead.
        raise SearchError(f"{where}: no JSON: {str(error).partition(' at line ')[0]}") from error
    if not isinstance(entry, dict):
        raise SearchError(f"{where}: a JSON object with 'title' and 'text' is needed")
    for key in ("title", "text"):
        if not isinstance(entry.get(key), str):
            raise SearchError(f"{where}: {key!r} is missing or no string")
    url = entry.get("url")
    if url is not None and not isinstance(url, str):
        raise SearchError(f"{where}: 'url' is no string")
    return Article(entry["title"], entry["text"], url)

"""Wikipedia's public API: the article that fits a query best, and its introduction."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from dovetail.builtin.articles import MAX_QUERY_CHARACTERS, Article, SearchError, shorten
from dovetail.builtin.reachable import UrlRefusedError, check_url
from dovetail.tools.threads import shared_threads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection

__all__ = ["Wikipedia"]

API: Final = "https://en.wikipedia.org/w/api.php"
MAX_BODY_BYTES: Final = 1024 * 1024
_USER_AGENT: Final = "dovetail/0.1 (LLM tool-call executor; python-httpx2)"
_CANDIDATES: Final = 3
_REMEDY: Final = "set DOVETAIL_SEARCH_FILE to a JSONL file of articles"


class Wikipedia:
    """Searches one wiki through the MediaWiki API.

    One request a search, to the one address given here, which must be a public one: redirects are not followed.

    Args:
        api: the address of the wiki's ``api.php``.
        timeout: how many seconds connecting, and each wait for more of the reply, may take.
        allow: hosts that need not be public, for a wiki of one's own: ``wiki.internal:8080``; see `check_url`.
    """

    def __init__(self, api: str = API, *, timeout: float = 10.0, allow: Collection[str] = ()) -> None:
        self._api = api
        self._timeout = timeout
        self._allow = allow

    async def find(self, query: str) -> Article:
        """The introduction of the article that fits best.

        Raises:
            SearchError: nothing was found, or the server cannot be reached, refuses, or sends no result.
        """
        query = query.strip()[:MAX_QUERY_CHARACTERS]
        if not query:
            raise SearchError("the query is empty")
        return _best(await self._ask(query), query)

    async def _ask(self, query: str) -> Any:
        import httpx2  # takes a tenth of a second

        parameters = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "generator": "search",
            "gsrsearch": query,
            "gsrlimit": str(_CANDIDATES),
            "prop": "extracts|info",
            "exintro": "1",
            "explaintext": "1",
            "inprop": "url",
            "redirects": "1",
        }
        try:
            api = await shared_threads.run(check_url, {"url": self._api, "allow": self._allow})
        except UrlRefusedError as error:
            raise SearchError(f"{error}; without a network, {_REMEDY}") from error
        host = api.host
        try:
            async with (
                # A client of its own for each search: a connection belongs to the loop that opened it, and a
                # tool does not know when its loop ends.
                httpx2.AsyncClient(
                    verify=_tls(),
                    timeout=self._timeout,
                    follow_redirects=False,
                    # Nothing is decompressed: a little may become a lot before it can be measured.
                    headers={"User-Agent": _USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
                ) as client,
                client.stream(
                    "GET", api.url, params=parameters, headers=api.headers, extensions=api.extensions
                ) as response,
            ):
                if response.status_code == 429:
                    raise SearchError(f"{host} asks for fewer requests (HTTP 429); try again later")
                if response.status_code != 200:
                    raise SearchError(f"{host} answered with HTTP {response.status_code}")
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > MAX_BODY_BYTES:
                        raise SearchError(f"{host} sent more than {MAX_BODY_BYTES:,} bytes")
        except httpx2.TimeoutException as error:
            raise SearchError(f"{host} did not answer within {self._timeout:g} seconds") from error
        except httpx2.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise SearchError(f"{host} cannot be reached ({detail}); without a network, {_REMEDY}") from error
        try:
            return from_json(bytes(body))
        except ValueError as error:
            raise SearchError(f"{host} sent something that is no JSON") from error


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The certificates, read once: that takes longer than a search."""
    import httpx2

    return httpx2.create_ssl_context()


def _best(reply: Any, query: str) -> Article:
    """The first article of a reply that has a text."""
    try:
        if "error" in reply:
            raise SearchError(f"Wikipedia refused the query {query!r}: {reply['error']['info']}")
        pages = sorted(reply.get("query", {}).get("pages", []), key=lambda page: page["index"])
        for page in pages:
            if page.get("extract"):
                return Article(str(page["title"]), shorten(str(page["extract"])), page.get("fullurl"))
    except (TypeError, KeyError, AttributeError) as error:
        raise SearchError("Wikipedia's reply does not have the expected shape") from error
    raise SearchError(f"Wikipedia has no article for {query!r}; try other words")

"""Searching Wikipedia (a server of the test's own that talks like it) and files of articles."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dovetail.builtin import search, search_in
from dovetail.builtin.articles import Article, ArticleFile, SearchError, shorten
from dovetail.builtin.wikipedia import API, MAX_BODY_BYTES, Wikipedia
from dovetail.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@dataclass
class Wiki:
    """What the server answers, and what it was asked."""

    url: str
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)

    def open(self, **options: Any) -> Wikipedia:
        """The wiki of this server, which stands on this machine."""
        return Wikipedia(self.url, allow=[urlsplit(self.url).netloc], **options)

    def pages(self, *pages: dict[str, Any]) -> None:
        self.body = json.dumps({"batchcomplete": True, "query": {"pages": list(pages)}}).encode()


@pytest.fixture
def wiki(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiki]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(parse_qs(urlsplit(self.path).query))
            state.agents.append(self.headers["User-Agent"])
            if state.wait is not None:
                state.wait.wait(10)
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            try:
                self.wfile.write(state.body)
            except OSError:  # the client has left, as it should
                return

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Wiki(f"http://127.0.0.1:{server.server_address[1]}/w/api.php")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        if state.wait is not None:
            state.wait.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def _everest(**changes: Any) -> dict[str, Any]:
    url = "https://en.wikipedia.org/wiki/Mount_Everest"
    return {"title": "Mount Everest", "index": 1, "extract": "A mountain.", "fullurl": url} | changes


# --- Wikipedia --------------------------------------------------------------------------------------


async def test_the_best_article_with_a_text_is_found(wiki: Wiki) -> None:
    wiki.pages(_everest(title="Second", index=2), _everest(), _everest(title="Empty", index=0, extract=""))
    article = await wiki.open().find("  Mount Everest ")
    assert article == Article("Mount Everest", "A mountain.", "https://en.wikipedia.org/wiki/Mount_Everest")
    assert wiki.asked[0]["gsrsearch"] == ["Mount Everest"]
    assert wiki.agents[0].startswith("dovetail/")


async def test_a_long_text_is_cut_and_a_long_query_too(wiki: Wiki) -> None:
    wiki.pages(_everest(extract="word " * 5000))
    article = await wiki.open().find("x" * 5000)
    assert len(article.text) <= 4002
    assert article.text.endswith("word …")
    assert len(wiki.asked[0]["gsrsearch"][0]) == 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body": b'{"batchcomplete": true}'}, "Wikipedia has no article for 'q'; try other words"),
        (
            {"body": b'{"error": {"code": "bad", "info": "That is no query."}}'},
            "refused the query 'q': That is no",
        ),
        ({"body": b"<html>"}, "127.0.0.1 sent something that is no JSON"),
        ({"body": b"[1]"}, "does not have the expected shape"),
        ({"body": b'{"query": {"pages": [5]}}'}, "does not have the expected shape"),
        ({"body": b"5"}, "does not have the expected shape"),
        ({"body": b" " * (MAX_BODY_BYTES + 1)}, "sent more than 1,048,576 bytes"),
        (
            {"body": gzip.compress(b" " * 50_000_000), "headers": {"Content-Encoding": "gzip"}},
            "sent something that is no JSON",
        ),
        ({"status": 500}, "answered with HTTP 500"),
        ({"status": 429}, "asks for fewer requests"),
        ({"status": 302, "headers": {"Location": "/elsewhere"}}, "answered with HTTP 302"),
    ],
)
async def test_what_is_no_result_is_a_clear_error(wiki: Wiki, change: dict[str, Any], message: str) -> None:
    for name, value in change.items():
        setattr(wiki, name, value)
    with pytest.raises(SearchError, match=message):
        await wiki.open().find("q")
    assert len(wiki.asked) == 1


async def test_a_server_that_does_not_answer_is_given_up(wiki: Wiki) -> None:
    wiki.wait = threading.Event()
    with pytest.raises(SearchError, match=r"did not answer within 0.2 seconds"):
        await asyncio.wait_for(wiki.open(timeout=0.2).find("q"), 10)


async def test_a_server_that_is_down_is_an_error_with_a_remedy(wiki: Wiki) -> None:
    with pytest.raises(SearchError, match=r"cannot be reached .*set DOVETAIL_SEARCH_FILE"):
        await Wikipedia("http://127.0.0.1:9/w/api.php", allow=["127.0.0.1:9"]).find("q")


async def test_a_server_of_the_own_network_is_not_asked_unless_that_is_allowed(wiki: Wiki) -> None:
    with pytest.raises(SearchError, match=r"127.0.0.1: port \d+ may not be reached"):
        await Wikipedia(wiki.url).find("q")
    assert wiki.asked == []


async def test_an_empty_query_is_not_sent(wiki: Wiki) -> None:
    with pytest.raises(SearchError, match="the query is empty"):
        await wiki.open().find("  ")
    assert wiki.asked == []


def test_the_address_is_fixed_and_encrypted() -> None:
    assert API == "https://en.wikipedia.org/w/api.php"


# --- files ------------------------------------------------------------------------------------------

_ARTICLES = [
    {"title": "Mount Everest", "text": "The highest mountain, 8849 metres."},
    {"title": "K2", "text": "The second highest mountain, near Everest.", "url": "https://example.org/k2"},
    {"title": "Vitamin C", "text": "An acid."},
]


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    file = tmp_path / "articles.jsonl"
    file.write_text("\n".join(map(json.dumps, _ARTICLES)) + "\n\n")
    return file


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("height of Mount Everest", "Mount Everest"),
        ("second mountain", "K2"),
        ("k2", "K2"),
        ("C", "Vitamin C"),
        ("vitamin c acid", "Vitamin C"),
    ],
)
def test_the_article_whose_words_fit_best_is_found(articles: Path, query: str, title: str) -> None:
    assert ArticleFile(articles).find(query).title == title


async def test_a_search_tool_can_be_made_of_a_file(articles: Path) -> None:
    made = search_in(articles, name="atlas", description="The atlas.")
    assert (made.name, made.description, made.read_only) == ("atlas", "The atlas.", True)
    assert made.input_schema == search.input_schema
    assert json.loads(await made.call('{"query": "second"}')) == _ARTICLES[1]
    assert made("K2").title == "K2"


async def test_the_variable_points_the_tool_at_a_file(articles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL_SEARCH_FILE", str(articles))
    found = json.loads(await search.call('{"query": "Everest"}'))
    assert found == {"title": "Mount Everest", "text": "The highest mountain, 8849 metres.", "url": None}


def test_a_file_that_has_changed_is_read_again(articles: Path) -> None:
    file = ArticleFile(articles)
    assert file.find("acid").title == "Vitamin C"
    articles.write_text('{"title": "Acid rain", "text": "Rain."}')
    assert file.find("acid").title == "Acid rain"


@pytest.mark.parametrize("query", ["zeppelin", "?!", ""])
def test_nothing_found_is_an_error(articles: Path, query: str) -> None:
    with pytest.raises(SearchError, match=r"nothing in articles.jsonl has any of the words"):
        ArticleFile(articles).find(query)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"title": "a", "text": "b"}\n\n{"title": \n', r"articles.jsonl, line 3: no JSON: EOF[^0-9]*$"),
        ("[]", r"line 1: a JSON object with 'title' and 'text' is needed"),
        ('{"title": "a"}', r"line 1: 'text' is missing or no string"),
        ('{"title": 5, "text": "b"}', r"line 1: 'title' is missing or no string"),
        ('{"title": "a", "text": "b", "url": 5}', r"line 1: 'url' is no string"),
        ("\n\n", r"the file has no articles"),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_line(articles: Path, text: str, message: str) -> None:
    articles.write_text(text)
    with pytest.raises(SearchError, match=message):
        ArticleFile(articles).find("a")


def test_a_file_without_words_is_an_error(articles: Path) -> None:
    articles.write_text('{"title": "", "text": "?"}')
    with pytest.raises(SearchError, match="the articles have no words"):
        ArticleFile(articles).find("a")


async def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*none.jsonl"):
        search_in(tmp_path / "none.jsonl")
    monkeypatch.setenv("DOVETAIL_SEARCH_FILE", str(tmp_path / "none.jsonl"))
    with pytest.raises(SearchError, match=r"none.jsonl: the file cannot be read: No such file"):
        await search.call('{"query": "x"}')


def test_a_text_is_cut_at_a_space_where_there_is_one() -> None:
    assert shorten("one two three", 9) == "one two …"
    assert shorten("x" * 20, 9) == "x" * 9 + " …"
    assert shorten(" short ", 9) == "short"

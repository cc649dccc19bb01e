"""What went wrong at an OpenAI-compatible server, as one typed error that names the server and the remedy."""

from __future__ import annotations

import json
import re
from collections import deque
from contextlib import suppress

import httpx2
import openai

from dovetail.errors import ModelError
from dovetail.v1 import FailureReason

__all__ = ["Server", "wants_responses"]

_SHOWN = 500
"""How much of a server's own words a message repeats, in characters."""
_MOST_SECRETS = 8
_CUT_MARK = "…"
"""What stands where the decoder cut off what it quotes."""
_LEAST_SECRET = 6
"""Fewer characters of the beginning of a secret give nothing away; and a key that has fewer only fills its place."""
_ABOUT_GRAMMARS = re.compile(
    r"grammar|structured.?output|guided|schema|response.?format|text\.format|\btools?\b|tool_choice"
    r"|\b(ebnf|gbnf|lark)\b",
    re.IGNORECASE,
)
"""What a refusal says that is about the grammar and not about the rest of the request.

At OpenAI a grammar is the format of a tool, and such a request has no other tools.
"""
_WANTS_RESPONSES = re.compile(r"\bv1/responses\b")
"""What a refusal says of a chat that is to be asked by OpenAI's other API."""

_REMEDIES = (
    (
        re.compile(r"context.?(window|length|size)|maximum context|prompt is too long", re.IGNORECASE),
        "ask for less (fewer or shorter tools, examples and outputs), or take a model that reads more",
    ),
    (
        re.compile(
            r"(invalid|unknown|no such) model|\bmodel\b.{0,80}(not (found|exist|available|supported)|pinned)"
            r"|\bpinned to\b",
            re.IGNORECASE | re.DOTALL,
        ),
        "check the model's name",
    ),
)
"""What to do about refusals of some kinds, by what they say."""
_EVENT = re.compile(r"\s*data:\s*(\{.*)")


class Server:
    """The server of a model, as far as error messages are concerned.

    Args:
        url: where it is, without credentials.
        model: the model it is asked for.
        api_key: what must never be part of a message, even if the server repeats it; empty if there is none. Under six
            characters it is no secret: it would be found in half of all messages.
        timeout: how many seconds it may be silent.

    Attributes:
        base_url_form: what a base URL looks like, as half a sentence.
    """

    def __init__(self, url: str, model: str, api_key: str, timeout: float) -> None:
        self._url = url
        self._model = model
        self._secrets: deque[str] = deque(maxlen=_MOST_SECRETS)
        self._timeout = timeout
        self.base_url_form = "it usually ends in /v1"
        self.conceal(api_key)

    def conceal(self, secret: str) -> None:
        """Keep another secret out of messages, in place of the oldest if there are many."""
        if len(secret) >= _LEAST_SECRET and secret not in self._secrets:
            self._secrets.append(secret)

    def failure(self, problem: Exception, *, has_grammar: bool = False) -> ModelError:
        """The error to raise for one that the SDK or its HTTP client raised."""
        cause = problem.__cause__ if isinstance(problem, openai.APIConnectionError) else problem
        match cause:
            case openai.APIStatusError():
                words = _words(cause.body) or cause.message
                return self.answered(cause.status_code, words, has_grammar=has_grammar, about=cause.param or "")
            case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_TIMEOUT,
                    "did not accept a connection in time; check the base URL and that the server is up",
                )
            case httpx2.TimeoutException() | openai.APITimeoutError():
                return self.silent()
            case httpx2.RemoteProtocolError() if "disconnected" not in str(cause):
                return self.no_protocol(f"does not answer in HTTP ({cause})")
            case httpx2.TooManyRedirects():
                return self.no_protocol("redirects without an end")
            case httpx2.DecodingError():
                return self.no_protocol(f"sent a body that cannot be decompressed ({cause})")
            case openai.OpenAIError() if not isinstance(cause, openai.APIError):
                return self._error(FailureReason.FAILURE_REASON_MODEL_REJECTED, f"was not asked: {cause}")
        return self._error(
            FailureReason.FAILURE_REASON_MODEL_UNREACHABLE,
            f"cannot be reached ({cause or problem}); check the base URL and that the server is up",
        )

    def broken(self, problem: httpx2.HTTPError) -> ModelError:
        """The error to raise for a problem while the body was read."""
        if isinstance(problem, httpx2.TimeoutException | httpx2.DecodingError):
            return self.failure(problem)
        return self.cut(str(problem) or type(problem).__name__)

    def answered(self, status: int, message: str, *, has_grammar: bool = False, about: str = "") -> ModelError:
        """The error to raise for an HTTP status, or for that of an error object inside the stream.

        Args:
            status: the status.
            message: the server's own words.
            has_grammar: whether the request had a grammar, which it may be about.
            about: the field of the request that it names.
        """
        # Hidden before it is cut: half a secret would not be found any more.
        said = f"(status {status}): {self._hidden(message.strip())[:_SHOWN] or 'no message'}"
        match status:
            case 400 | 422 | 500 | 501 if has_grammar and _ABOUT_GRAMMARS.search(f"{about} {message}"):
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_GRAMMAR_REFUSED,
                    f"refused the grammar {said}; check that it takes grammars in this notation (grammar_dialect)",
                )
            case 400 | 404 | 422 if _WANTS_RESPONSES.search(message):
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_REJECTED,
                    f"refused the request {said}; ask it by the Responses API (api='responses')",
                )
            case 401 | 403:
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_UNAUTHENTICATED,
                    f"refused the credentials {said}; check the API key and what it may use",
                )
            case 408:
                return self.silent()
            case 429:
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_RATE_LIMITED,
                    f"asked for fewer requests {said}; wait, lower the load, or raise the quota",
                )
            case 404:
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_REJECTED,
                    f"has no such model or address {said}; check the model's name and the base URL "
                    f"({self.base_url_form})",
                )
            case _ if 400 <= status < 500:
                return self._error(
                    FailureReason.FAILURE_REASON_MODEL_REJECTED,
                    f"refused the request {said}; {_remedy(message)}",
                )
            case _ if 300 <= status < 400:
                return self.no_protocol(f"answered with a redirection that leads nowhere {said}")
        return self._error(FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE, f"failed {said}; try again later")

    def unidentified(self, why: str) -> ModelError:
        """The error to raise when there is no token to ask it with."""
        return self._error(
            FailureReason.FAILURE_REASON_MODEL_UNAUTHENTICATED,
            f"was not asked: ad_token_provider failed ({why[:_SHOWN]}); check how it signs in",
        )

    def silent(self) -> ModelError:
        """The error to raise when nothing came for too long."""
        return self._error(
            FailureReason.FAILURE_REASON_MODEL_TIMEOUT,
            f"sent nothing for {self._timeout:g} s; look at the server, or allow it more time (timeout)",
        )

    def cut(self, how: str) -> ModelError:
        """The error to raise when the stream ended before it was complete."""
        return self._error(
            FailureReason.FAILURE_REASON_MODEL_STREAM_CUT,
            f"ended its stream in the middle ({how}); try again, and look at the server or a proxy before it",
        )

    def no_protocol(self, what: str) -> ModelError:
        """The error to raise for something that is no model response."""
        return self._error(
            FailureReason.FAILURE_REASON_MODEL_PROTOCOL,
            f"{what}; check that the base URL is that of an OpenAI-compatible API ({self.base_url_form})",
        )

    def _error(self, reason: FailureReason, what: str) -> ModelError:
        return ModelError(reason, self._hidden(f"the server of model {self._model} at {self._url} {what}"))

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[API key]")
            for length in range(len(secret) - 1, _LEAST_SECRET - 1, -1):
                text = text.replace(secret[:length] + _CUT_MARK, f"[API key]{_CUT_MARK}")
        return text


def wants_responses(error: ModelError) -> bool:
    """Whether a server refused a chat because it is to be asked by the Responses API."""
    return error.reason == FailureReason.FAILURE_REASON_MODEL_REJECTED and bool(_WANTS_RESPONSES.search(str(error)))


def _words(body: object) -> str:
    match body:
        case str():
            return _words_of_text(body)
        case {"message": str(message)} | {"detail": str(message)} | {"error": str(message)}:
            return message
        case {"error": dict(inner)} | [dict(inner), *_]:
            return _words(inner)
        case {"detail": [{"msg": str()}, *_] as problems}:
            return "; ".join(_problem(one) for one in problems)
        case None:
            return ""
    return str(body)


def _words_of_text(text: str) -> str:
    """What a text says: some servers send their error as an event of the stream that was to come."""
    if event := _EVENT.match(text):
        with suppress(ValueError, RecursionError):
            return _words(json.loads(event[1]))
    return text


def _remedy(message: str) -> str:
    return next((remedy for pattern, remedy in _REMEDIES if pattern.search(message)), "change the request")


def _problem(one: object) -> str:
    """What is wrong with which field, as servers made with FastAPI say it."""
    match one:
        case {"loc": list(path), "msg": str(message)}:
            return f"{'.'.join(map(str, path))}: {message}"
    return str(one)

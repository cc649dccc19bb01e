"""Models behind OpenAI's APIs: the SDK sends, the stream is read as bytes and decoded in Rust."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx2
import openai

from dovetail.errors import ModelError, UsageError
from dovetail.models.endpoint import Address, Endpoint
from dovetail.models.openai_failure import Server, wants_responses
from dovetail.models.openai_request import Requests, chat_constraint
from dovetail.models.openai_stream import read_stream
from dovetail.models.protocol import ToolRequest
from dovetail.models.refused_parameters import RefusedParameters
from dovetail.models.response_items import (
    response_items,
    response_tools,
    spelled_out,
    without_reasoning,
)
from dovetail.models.tool_calling import ToolNames, chat_messages, chat_tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from dovetail.models.protocol import Grammar, GrammarDialect, Message, ModelStream, TurnMessage, TurnStream

__all__ = ["OpenAIModel"]

_OPENAI_URL: Final = "https://api.openai.com/v1"
_NO_KEY: Final = "none"
"""Sent where no key is needed: the SDK insists on one."""

_NOT_FOUND: Final = 404

Api = Literal["chat", "responses"]


class OpenAIModel:
    """A model behind an OpenAI-compatible server.

    Args:
        name: the model, as the server knows it.
        provider: the first half of `name` in events and messages.
        api_key: the key; the environment's ``OPENAI_API_KEY`` if None. A server of your own needs none.
        base_url: where the API is; the environment's ``OPENAI_BASE_URL``, else OpenAI, if None.
        api: which API is used. ``auto``: at OpenAI itself Responses for turns in which tools are called and for what
            must follow a grammar; elsewhere Chat Completions, and Responses for turns where a server asks for it.
        timeout: how many seconds the server may be silent, before its first byte and between two bytes. A
            silent server is not asked again.
        connect_timeout: how many seconds a connection may take.
        max_retries: how often a request is sent again after a refused connection, 408, 409, 429 or 5xx; the
            SDK waits between them as the server asks.
        max_in_flight: how many requests may be in flight at this provider's server, those of all models and runs of the
            process counted; any number if None. Further ones wait in order.
        temperature: the model's own if None; left out for a model that refuses it.
        reasoning_effort: how much a reasoning model reasons, in its provider's words (``low``); its own if None.
        max_tokens: how many tokens a call may write where it does not say; the server's own limit if None.
        token_limit: what the server calls that limit in a chat; ``max_completion_tokens`` at OpenAI and ``max_tokens``
            elsewhere if None.
        extra_body: further fields of the request.
        grammar_dialect: the one notation in which the server takes grammars; what the API takes at OpenAI, and none
            elsewhere, if None.

    Raises:
        UsageError: the base URL is none, a number is out of range, or OpenAI is asked without a key.
    """

    def __init__(
        self,
        name: str,
        *,
        provider: str = "openai",
        api_key: str | None = None,
        base_url: str | None = None,
        api: Literal["auto", "chat", "responses"] = "auto",
        timeout: float = 60.0,
        connect_timeout: float = 10.0,
        max_retries: int = 2,
        max_in_flight: int | None = None,
        temperature: float | None = None,
        reasoning_effort: str | None = None,
        max_tokens: int | None = None,
        token_limit: Literal["max_tokens", "max_completion_tokens"] | None = None,
        extra_body: Mapping[str, object] | None = None,
        grammar_dialect: GrammarDialect | None = None,
    ) -> None:
        if timeout <= 0 or connect_timeout <= 0 or max_retries < 0:
            raise UsageError(f"model {name}: timeouts must be above 0 and max_retries must not be below 0")
        if max_in_flight is not None and max_in_flight < 1:
            raise UsageError(f"model {name}: max_in_flight is {max_in_flight}; at least one request must be possible")
        address = Address(base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL)
        key = api_key or os.environ.get("OPENAI_API_KEY") or ("" if address.is_openai else _NO_KEY)
        if not key:
            raise UsageError(f"model {provider}:{name} needs a key: set OPENAI_API_KEY, or give a server's base URL")
        self._name = f"{provider}:{name}"
        self._api_key = key
        self._max_retries = max_retries
        self._grammar_apis = _grammar_apis(api, grammar_dialect, is_openai=address.is_openai)
        self._plain_api: Api = "responses" if api == "responses" else "chat"
        # OpenAI's reasoning models take tools in a chat only where they do not reason.
        self._turn_api: Api = "responses" if api == "auto" and address.is_openai else self._plain_api
        self._is_auto = api == "auto"
        self._origin = f"{self._name} at {address.shown}"
        self._requests = Requests(
            name,
            # OpenAI's reasoning models refuse the old name, other servers know only that one.
            token_limit=token_limit or ("max_completion_tokens" if address.is_openai else "max_tokens"),
            max_tokens=max_tokens,
            temperature=temperature,
            reasoning_effort=reasoning_effort,
            extra_body=dict(extra_body or {}),
        )
        self._refused = RefusedParameters()
        # Whether the server reads earlier turns of its own API only where everything is said of them.
        self._wants_all = False
        self._patience = httpx2.Timeout(timeout, connect=connect_timeout)
        self._endpoint = Endpoint(
            address,
            provider=provider,
            server=Server(address.shown, self._name, "" if key == _NO_KEY else key, timeout),
            timeout=self._patience,
            max_in_flight=max_in_flight,
            connect=self._connect,
        )

    @property
    def name(self) -> str:
        """The model, as ``provider:name``."""
        return self._name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which the server takes grammars, the best first."""
        return tuple(self._grammar_apis)

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`).

        Raises:
            ModelError: the call failed; what each reason means is in ``docs/models.md``.
            UsageError: the grammar's dialect is none of `grammar_dialects`.
        """
        api = self._plain_api
        if grammar is not None:
            if grammar.dialect not in self._grammar_apis:
                raise UsageError(f"model {self._name} takes no grammar in {grammar.dialect}")
            api = self._grammar_apis[grammar.dialect]
        if api == "responses":
            request = self._requests.response(messages, grammar=grammar, max_tokens=max_tokens)
        else:
            constraint = None if grammar is None else self._constraint(grammar)
            request = self._requests.chat(messages, stop=stop, max_tokens=max_tokens, constraint=constraint)
        async with aclosing(self._answer(api, request, has_grammar=grammar is not None, stop=stop)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, ToolRequest):
                    yield piece

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        """Take one turn (see `dovetail.models.ToolCallingModel.stream_turn`).

        Raises:
            ModelError: the call failed.
        """
        names = ToolNames([tool["name"] for tool in tools])
        while True:
            api, has_begun = self._turn_api, False
            request = self._turn(api, messages, tools, names, max_tokens)
            try:
                async with aclosing(self._answer(api, request, has_tools=bool(tools), is_turn=True)) as pieces:
                    async for piece in pieces:
                        has_begun = True
                        yield replace(piece, name=names.own(piece.name)) if isinstance(piece, ToolRequest) else piece
            except ModelError as error:
                if has_begun or api == "responses" or not (self._is_auto and wants_responses(error)):
                    raise
                self._turn_api = "responses"
            else:
                return

    async def aclose(self) -> None:
        """Close the connections. The model cannot be used afterwards."""
        await self._endpoint.aclose()

    def _turn(
        self,
        api: Api,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        names: ToolNames,
        max_tokens: int | None,
    ) -> dict[str, Any]:
        """The request for a turn."""
        if api == "responses":
            items, offered = response_items(messages, names, self._origin), response_tools(tools, names)
            return self._requests.response_turn(items, tools=offered, max_tokens=max_tokens)
        return self._requests.chat(
            chat_messages(messages, names), max_tokens=max_tokens, tools=chat_tools(tools, names)
        )

    async def _answer(
        self,
        api: Api,
        request: Mapping[str, Any],
        *,
        has_grammar: bool = False,
        has_tools: bool = False,
        is_turn: bool = False,
        stop: Sequence[str] = (),
    ) -> TurnStream:
        server = self._endpoint.server
        try:
            async with self._sent(api, request) as response:
                pieces = read_stream(
                    response,
                    server,
                    has_grammar=has_grammar,
                    has_tools=has_tools,
                    stop=stop,
                    limit=request.get("max_output_tokens"),
                    origin=self._origin if is_turn else None,
                )
                async with aclosing(pieces):
                    async for piece in pieces:
                        yield piece
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL) as problem:
            raise server.failure(problem, has_grammar=has_grammar) from problem

    @asynccontextmanager
    async def _sent(self, api: Api, request: Mapping[str, Any]) -> AsyncIterator[httpx2.Response]:
        """The response to a request, sent without what the model does not take."""
        async with self._endpoint.client() as client, AsyncExitStack() as stack:
            resource: Any = client.responses if api == "responses" else client.chat.completions
            if self._wants_all and api == "responses":
                request = spelled_out(request) or request
            while True:
                taken = self._refused.without(request)
                try:
                    response = await stack.enter_async_context(resource.with_streaming_response.create(**taken))
                except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError) as problem:
                    if problem.status_code != _NOT_FOUND and self._refused.learn(problem, taken):
                        continue
                    told_again = self._retold(request, problem) if api == "responses" else None
                    if told_again is None:
                        raise
                    request = told_again
                else:
                    break
            yield response.http_response

    def _retold(self, request: Mapping[str, Any], refusal: openai.APIStatusError) -> dict[str, Any] | None:
        """A request of Responses with earlier turns as its server may take them; None if it refused something else."""
        forgetful = without_reasoning(request, refusal)
        if forgetful is not None:
            return forgetful
        whole = spelled_out(request, refusal)
        self._wants_all = self._wants_all or whole is not None
        return whole

    def _constraint(self, grammar: Grammar) -> dict[str, object]:
        """The fields of a chat's request that hold the text to its grammar."""
        return chat_constraint(grammar)

    def _connect(self, http_client: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        """The SDK's client."""
        return openai.AsyncOpenAI(
            api_key=self._api_key,
            base_url=self._endpoint.address.url,
            timeout=self._patience,
            max_retries=self._max_retries,
            http_client=http_client,
        )


def _grammar_apis(api: str, dialect: GrammarDialect | None, *, is_openai: bool) -> dict[GrammarDialect, Api]:
    """Which API takes grammars of which notation, the best first."""
    uses_responses = api == "responses" or (api == "auto" and is_openai)
    if dialect is not None:
        return {dialect: "responses" if uses_responses and dialect in {"lark", "json_schema"} else "chat"}
    if uses_responses:
        return {"lark": "responses", "json_schema": "responses"}
    return {"json_schema": "chat"} if is_openai else {}

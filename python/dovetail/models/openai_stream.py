"""A streamed response of an OpenAI-compatible server: read as bytes, decoded in Rust."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2

from dovetail._core import SseDecoder
from dovetail.models.protocol import Completion, ToolRequest, Usage
from dovetail.models.response_items import verbatim
from dovetail.models.stop_text import StopText

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dovetail.models.openai_failure import Server
    from dovetail.models.protocol import TurnStream

__all__ = ["read_stream", "take_requests"]

_USAGE_GRACE = 2.0
"""Seconds to wait for the usage once the text is complete."""
_LATER_USAGE_GRACE = 0.25
"""Seconds to wait for another one where the usage came with the end of the text: some servers count in every event."""
_DRAIN_GRACE = 0.05
"""Seconds to wait for the end of the body after `[DONE]`, so that the connection can be used again."""
_FAILED = "error"
"""What some servers give for a finish reason where the model behind them failed."""
_INTERNAL_ERROR = 500


async def read_stream(
    response: httpx2.Response,
    server: Server,
    *,
    has_grammar: bool = False,
    has_tools: bool = False,
    stop: Sequence[str] = (),
    limit: int | None = None,
    origin: str | None = None,
) -> TurnStream:
    """The pieces of text of a response and the calls of tools that it asks for, then its completion.

    Args:
        response: the response; its body has not been read.
        server: who sent it.
        has_grammar: whether the text was asked to follow a grammar.
        has_tools: whether the model was given tools.
        stop: texts at which to stop here: not every server is told of them, some ignore them, and some send them too.
        limit: how many tokens might be written, if the server may not say that they ran out.
        origin: who the next turn may be taken by, if the response is to be given back then as it is.

    Raises:
        ModelError: the stream ended before it was complete, or says that the call failed.
    """
    decoder = SseDecoder()
    text = StopText(stop)
    reads = aiter(response.aiter_bytes())
    before = None
    try:
        async for data in reads:
            before = decoder.usage
            if piece := text.feed(decoder.feed(data)):
                yield piece
            if has_tools:
                for request in take_requests(decoder):
                    yield request
            if text.stopped or _is_over(decoder) or decoder.finish_reason is not None:
                break
        else:
            if piece := text.feed(decoder.finish()):
                yield piece
    except httpx2.HTTPError as problem:
        raise server.broken(problem) from problem
    late = await _read_usage(decoder, reads, before, stopped=text.stopped)
    # The last call of a tool is complete once nothing more can come.
    late += decoder.finish()
    if piece := text.feed(late) + text.finish():
        yield piece
    completion = _completion(decoder, server, has_grammar=has_grammar, stopped=text.stopped)
    if limit is not None and not text.stopped:
        completion = _cut_at(completion, limit)
    if origin is not None:
        completion = replace(completion, verbatim=verbatim(decoder.output_items, origin))
    if has_tools:
        for request in take_requests(decoder):
            yield request
    # Before the completion: few readers stay for what follows it.
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_DRAIN_GRACE):
            async for _ in reads:
                pass
    yield completion


async def _read_usage(
    decoder: SseDecoder, reads: AsyncIterator[bytes], before: tuple[int, ...] | None, *, stopped: bool
) -> str:
    """Read on from the end of the text to the last usage. The text is complete: a lost connection hurts nothing.

    Args:
        decoder: what the bytes are given to.
        reads: the bytes that are still to come.
        before: the usage as it was before the read that brought the end of the text.
        stopped: whether the text was stopped here.
    """
    text = ""
    known = decoder.usage
    has_come = known is not None and known != before
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_LATER_USAGE_GRACE if has_come else _USAGE_GRACE):
            while (stopped or decoder.finish_reason is not None) and not (_is_over(decoder) or decoder.usage != known):
                data = await anext(reads, None)
                text += decoder.finish() if data is None else decoder.feed(data)
                if data is None:
                    break
    return text


def take_requests(decoder: SseDecoder) -> list[ToolRequest]:
    """The calls that are complete and have not been told. A call in which the stream was cut off never is."""
    calls = decoder.take_tool_calls()
    return [ToolRequest(call.id or f"call_{secrets.token_hex(8)}", call.name, call.arguments) for call in calls]


def _is_over(decoder: SseDecoder) -> bool:
    return decoder.done or decoder.error is not None


def _cut_at(completion: Completion, limit: int) -> Completion:
    """The same, cut off if it took all tokens that there were: some servers call each response completed."""
    usage = completion.usage
    if completion.finish_reason == "stop" and usage is not None and usage.completion_tokens >= limit:
        return replace(completion, finish_reason="length")
    return completion


def _completion(decoder: SseDecoder, server: Server, *, has_grammar: bool, stopped: bool) -> Completion:
    # Whoever counts at all has read something: all zeros are of a server that has nobody to count.
    usage = Usage(*decoder.usage) if decoder.usage and any(decoder.usage) else None
    if stopped:
        return Completion("stop", usage)
    if decoder.error is not None:
        if decoder.error_status is None:
            raise server.no_protocol(f"sent something that is no model response: {decoder.error}")
        raise server.answered(decoder.error_status, decoder.error, has_grammar=has_grammar)
    if decoder.finish_reason == _FAILED:
        raise server.answered(_INTERNAL_ERROR, "it gave 'error' for its finish reason, and no message")
    if not decoder.done and decoder.finish_reason is None:
        raise server.cut("the connection was closed without a finish reason")
    return Completion(decoder.finish_reason, usage)

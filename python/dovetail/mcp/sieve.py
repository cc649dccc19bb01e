"""What of a server's messages reaches the session: not what nobody reads, what is too much, or what spoils the rest."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import mcp_types
from mcp_types.methods import validate_server_result
from pydantic import ValidationError

if TYPE_CHECKING:
    from types import TracebackType

    from mcp.client._transport import ReadStream, Transport, TransportStreams
    from mcp.shared.message import SessionMessage

__all__ = ["Sieve"]

_UNREAD: Final = frozenset(
    {
        "notifications/message",
        "notifications/resources/updated",
        "notifications/resources/list_changed",
        "notifications/prompts/list_changed",
    }
)
_PROGRESS: Final = "notifications/progress"
_BURST: Final = 50.0
_PER_SECOND: Final = 50.0
_MOST_TOKENS: Final = 10_000

_logger = logging.getLogger("dovetail.mcp")


class Sieve:
    """A transport of `mcp.Client` around another.

    Kept back are notifications that have no reader here; of the progress of a call what comes after the first fifty and
    faster than fifty a second; and of a list of tools the entries that are none, which would make the list useless.

    Args:
        transport: the other.
        label: what to call the server in the log.

    Attributes:
        version: the version of the protocol that was agreed on, once one was.
    """

    def __init__(self, transport: Transport, label: str) -> None:
        self.version = ""
        self._transport = transport
        self._label = label

    async def __aenter__(self) -> TransportStreams:
        inbox, outbox = await self._transport.__aenter__()
        return _SievedStream(inbox, self), outbox

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._transport.__aexit__(kind, error, trace)

    def without_bad_tools(self, result: dict[str, Any]) -> list[Any]:
        """The entries of a page of tools that are tools."""
        if self._refusal(result) is None:
            return list(result["tools"])
        kept = []
        for entry in result["tools"]:
            refusal = self._refusal({**result, "tools": [entry]})
            if refusal is None:
                kept.append(entry)
                continue
            name = entry.get("name") if isinstance(entry, dict) else entry
            _logger.warning("MCP server %s: tool %.100r is left out: %s", self._label, name, refusal)
        return kept

    def _refusal(self, result: dict[str, Any]) -> str | None:
        try:
            validate_server_result("tools/list", self.version, result)
        except KeyError:  # no version is agreed on yet: the session does not ask for tools before
            return None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return f"{'.'.join(map(str, first['loc'][2:]))}: {first['msg']}"
        return None


class _SievedStream:
    def __init__(self, stream: ReadStream[SessionMessage | Exception], sieve: Sieve) -> None:
        self._stream = stream
        self._sieve = sieve
        # Of each call that told of its progress: how many notifications may pass still, and when that was so.
        self._progress: dict[object, tuple[float, float]] = {}

    async def receive(self) -> SessionMessage | Exception:
        while True:
            item = await self._stream.receive()
            if isinstance(item, Exception) or self._passes(item.message):
                return item

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> _SievedStream:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        async for item in self._stream:
            if isinstance(item, Exception) or self._passes(item.message):
                return item
        raise StopAsyncIteration

    async def __aenter__(self) -> _SievedStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _passes(self, message: mcp_types.JSONRPCMessage) -> bool:
        match message:
            case mcp_types.JSONRPCNotification():
                if message.method != _PROGRESS:
                    return message.method not in _UNREAD
                token = (message.params or {}).get("progressToken")
                return isinstance(token, int | str) and self._may_tell(token)
            case mcp_types.JSONRPCResponse(result={"tools": list()} as result):
                result["tools"] = self._sieve.without_bad_tools(result)
        if isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError):
            self._progress.pop(message.id, None)
        return True

    def _may_tell(self, token: object) -> bool:
        now = time.monotonic()
        left, since = self._progress.get(token, (_BURST, now))
        left = min(_BURST, left + (now - since) * _PER_SECOND)
        if len(self._progress) >= _MOST_TOKENS:
            self._progress.clear()  # so many calls are not out: the server makes tokens up
        self._progress[token] = (max(0.0, left - 1.0), now)
        return left >= 1.0

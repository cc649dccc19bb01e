"""Why a handshake with an MCP server failed, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx2
from mcp import MCPError

from dovetail.failure_text import bounded

if TYPE_CHECKING:
    from dovetail.mcp.address import McpAddress
    from dovetail.mcp.stdio import StdioTransport

__all__ = ["Handshake", "why"]

_IS_MCP: Final = "see that the URL is that of an MCP server with streamable HTTP"
_UNAUTHORISED: Final = (401, 403)
_NOT_THERE: Final = (404, 405)
_TYPES: Final = ("application/json", "text/event-stream")


class Handshake:
    """What is known of a handshake that may fail.

    Args:
        address: where the server is.
        process: its process, if it is one.
    """

    def __init__(self, address: McpAddress, process: StdioTransport | None) -> None:
        self._address = address
        self._process = process
        self._answer: httpx2.Response | None = None

    async def note(self, response: httpx2.Response) -> None:
        """A response over HTTP; the last one is what the handshake failed at. A hook of `httpx2.AsyncClient`."""
        self._answer = response

    def why_silent(self) -> str:
        """Why there was no answer in time."""
        silent = f"did not answer the handshake within {self._address.connect_timeout:g} s"
        if self._process is None:
            return f"{silent}; {_IS_MCP}"
        if self._process.noise:
            return bounded(f"{silent}; what it wrote is no MCP: {self._process.noise!r}; is it an MCP server?")
        remedy = "see that it is an MCP server on standard input and output, or allow more by connect_timeout"
        return bounded(f"{silent}, and wrote nothing{self._process.last_words}; {remedy}")

    def why(self, error: BaseException) -> str:
        """Why it failed."""
        if self._process is not None and self._process.end:
            noise = f"; what it wrote is no MCP: {self._process.noise!r}" if self._process.noise else ""
            return bounded(f"{self._process.end}{noise}; run its command by hand to see what it lacks")
        error = _innermost(error)
        if isinstance(error, FileNotFoundError):
            return f"there is no command {self._address.command[0]!r}; install it, or give its whole path"
        if isinstance(error, PermissionError):
            return f"the command {self._address.command[0]!r} may not be executed; see its permissions (chmod +x)"
        if isinstance(error, httpx2.TransportError):
            return f"{why(error)}; see that it runs there"
        return why(error) if self._answer is None else bounded(self._why_not_mcp(self._answer, error))

    def _why_not_mcp(self, answer: httpx2.Response, error: BaseException) -> str:
        status, kind = answer.status_code, answer.headers.get("content-type", "")
        if status in _UNAUTHORISED:
            return f"answers with status {status}: give its key, headers = {{Authorization = …}} in a file of servers"
        if status in _NOT_THERE:
            return f"answers with status {status}: there is no MCP at this path; many servers have it at /mcp"
        if answer.is_error:
            return f"answers with status {status}; see its log"
        if not kind.startswith(_TYPES):
            return f"answers with {kind[:100] or 'no content type'}, which is no MCP; {_IS_MCP}"
        return why(error)


def why(error: BaseException) -> str:
    """What an error of a session says, on one line."""
    error = _innermost(error)
    text = next(iter(str(error).splitlines()), "")
    return bounded(text if isinstance(error, MCPError) else f"{type(error).__name__}: {text}".rstrip(": "))


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

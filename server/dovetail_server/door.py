"""The door through which every RPC of ``dovetail.v1`` goes in, and every refusal out."""

from __future__ import annotations

from contextvars import ContextVar

from dovetail_server.callers import ANYONE, Caller

__all__ = ["caller", "note", "request_id"]

_caller: ContextVar[Caller] = ContextVar("dovetail_caller", default=ANYONE)
_request_id: ContextVar[str] = ContextVar("dovetail_request_id", default="")


def caller() -> Caller:
    """Who made the RPC that is being handled."""
    return _caller.get()


def request_id() -> str:
    """The name of the RPC that is being handled, in the log and at the client. Empty outside an RPC."""
    return _request_id.get()


def note(**facts: str | int) -> None:
    """Add to the log line of the RPC that is being handled, such as ``run_id``; never arguments, outputs or tokens."""

"""The door through which every RPC of ``dovetail.v1`` goes in, and every refusal out.

It names the RPC, finds out who calls, checks the role, counts streams, parses messages, turns what is raised into a
status, and writes one line of log. Health and reflection stand beside it, open.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from dovetail_server.callers import ANYONE, ROLES, Caller, TokenFile
from dovetail_server.log import server_log
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import NoReturn

    from google.protobuf.message import Message

    from dovetail_server.settings import ServerSettings

    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]

__all__ = ["METHOD_ROLES", "Door", "caller", "note", "request_id"]

_PACKAGE = "/dovetail.v1."

METHOD_ROLES = {
    "/dovetail.v1.RunService/CreateRun": "run",
    "/dovetail.v1.RunService/StreamRun": "run",
    "/dovetail.v1.RunService/CancelRun": "run",
    "/dovetail.v1.RunService/ResolveApproval": "run",
    "/dovetail.v1.RunService/WatchRun": "read",
    "/dovetail.v1.RunService/GetRun": "read",
    "/dovetail.v1.RunService/ListRuns": "read",
    "/dovetail.v1.PlanService/CompilePlan": "read",
    "/dovetail.v1.ToolService/ListTools": "read",
    "/dovetail.v1.ToolService/GetTool": "read",
    "/dovetail.v1.ExecutorService/Attach": "execute",
}
"""The role that each method needs."""

# How gRPC calls what a write ends with that did not succeed; the type itself is not its to import.
_BROKEN_WRITE = "ExecuteBatchError"
_CANCELLATION_SECONDS = 1.0
# A request takes time to come: where its client runs out of time, this many seconds may seem left here.
_ON_THE_WAY = 0.1
_REQUEST_ID = "x-request-id"
_sane_request_id = re.compile(r"[A-Za-z0-9._:/@+=-]{1,128}").fullmatch


class _Rpc:
    """An RPC that is being handled. Holds nothing of gRPC's: tasks that outlive the RPC may still hold it."""

    __slots__ = ("caller", "noted", "request_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.caller = ANYONE
        self.noted: dict[str, str | int] | None = None


_current: ContextVar[_Rpc | None] = ContextVar("dovetail_rpc", default=None)


def caller() -> Caller:
    """Who made the RPC that is being handled."""
    rpc = _current.get()
    return ANYONE if rpc is None else rpc.caller


def request_id() -> str:
    """The name of the RPC that is being handled, in the log and at the client. Empty outside an RPC."""
    rpc = _current.get()
    return "" if rpc is None else rpc.request_id


def note(**facts: str | int) -> None:
    """Add to the log line of the RPC that is being handled, such as ``run_id``; never arguments, outputs or tokens."""
    if (rpc := _current.get()) is not None:
        rpc.noted = {**rpc.noted, **facts} if rpc.noted else facts


class Door(grpc.aio.ServerInterceptor):
    """An interceptor, the only one of its server. Handlers may raise `Refusal`; those that stream are coroutines.

    Args:
        settings: where tokens are, whether clients show certificates, how many streams one may have.

    Raises:
        UsageError: the tokens cannot be read.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._tokens = None if settings.tokens is None else TokenFile(settings.tokens)
        self._certificates = settings.client_ca is not None
        self._max_streams = settings.max_streams_per_client
        self._streams: dict[str, int] = {}
        self._handlers: dict[str, Handler] = {}
        self._log = server_log()
        self._origin = os.urandom(5).hex()
        self._numbers = itertools.count(1)

    @property
    def open_streams(self) -> int:
        """How many streams are open, over all clients."""
        return sum(self._streams.values())

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler of a method, behind the door."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        # There is none for a method that does not exist: gRPC says so itself, and nothing is kept of its name.
        if handler is not None and method.startswith(_PACKAGE):
            handler = self._handlers[method] = _Passage(self, method, handler).handler
        return handler

    def name_rpc(self, context: Context) -> _Rpc:
        """Begin an RPC: under the client's name for it if that is sane, else under one of ours."""
        for key, value in context.invocation_metadata() or ():
            if key == _REQUEST_ID and isinstance(value, str) and _sane_request_id(value):
                return _Rpc(value)
        return _Rpc(f"{self._origin}-{next(self._numbers):x}")

    def caller_of(self, context: Context) -> Caller:
        """Who calls.

        Raises:
            Refusal: there is no valid token, where tokens are asked for.
        """
        if self._tokens is not None:
            for key, value in context.invocation_metadata() or ():
                if key == "authorization":
                    scheme, _, token = str(value).partition(" ")
                    found = self._tokens.caller_of(token.strip()) if scheme.lower() == "bearer" else None
                    if found is None:
                        raise Refusal.token_invalid("the token is none of this server, or has expired")
                    return found
            raise Refusal.token_invalid("there is no token; send the metadata `authorization: Bearer TOKEN`")
        if self._certificates:
            shown = context.auth_context()
            for kind in ("x509_common_name", "x509_subject_alternative_name"):
                for name in shown.get(kind, ()):
                    return Caller(name.decode(errors="replace"), frozenset(ROLES))
        return ANYONE

    def open_stream(self, client: str) -> None:
        """Count a stream of a client.

        Raises:
            Refusal: there are too many of them.
        """
        count = self._streams.get(client, 0)
        if count >= self._max_streams:
            raise Refusal.limit_reached(
                "max_streams_per_client",
                self._max_streams,
                f"this client has {count} streams open, which is the most that one may have; close some",
            )
        self._streams[client] = count + 1

    def close_stream(self, client: str) -> None:
        """Count a stream of a client no more."""
        count = self._streams[client] - 1
        if count:
            self._streams[client] = count
        else:
            del self._streams[client]

    def defect(self, rpc: _Rpc, method: str) -> None:
        """Log the exception that is being handled, with its traceback: the client is told nothing of it."""
        self._log.exception("defect", method=method, request_id=rpc.request_id)

    def log(self, rpc: _Rpc, method: str, context: Context, code: str, began: float) -> None:
        """Write the line of an RPC that has ended."""
        self._log.info(
            "rpc",
            method=method,
            caller=rpc.caller.name,
            peer=context.peer(),
            code=code,
            duration_ms=round((time.perf_counter() - began) * 1000, 3),
            request_id=rpc.request_id,
            **(rpc.noted or {}),
        )


class _Passage:
    """The way of one method through the door."""

    def __init__(self, door: Door, method: str, handler: Handler) -> None:
        self._door = door
        self._method = method
        self._role = METHOD_ROLES[method]
        self._name = method.removeprefix(_PACKAGE)
        self._behaviour: Any
        self._is_stream = handler.request_streaming or handler.response_streaming
        parse = _refusing(handler.request_deserializer)
        make: Any
        # What a deserialiser of gRPC's raises comes out of a handler's own reading of a stream, and so comes back here;
        # but for the one message of other requests gRPC would end the RPC itself: it is parsed here.
        self._parse = None if handler.request_streaming else parse
        if handler.request_streaming:
            make, self._behaviour = grpc.stream_stream_rpc_method_handler, handler.stream_stream
        elif handler.response_streaming:
            make, self._behaviour = grpc.unary_stream_rpc_method_handler, handler.unary_stream
        else:
            make, self._behaviour = grpc.unary_unary_rpc_method_handler, handler.unary_unary
        deserialiser = parse if self._parse is None else None
        self.handler: Handler = make(self._handle, deserialiser, handler.response_serializer)

    async def _handle(self, request: Any, context: Context) -> Any:
        door = self._door
        began = time.perf_counter()
        rpc = door.name_rpc(context)
        _current.set(rpc)
        context.set_trailing_metadata(((_REQUEST_ID, rpc.request_id),))
        code = "OK"
        stream_of = None
        try:
            rpc.caller = door.caller_of(context)
            if not rpc.caller.has(self._role):
                raise Refusal.role_missing(self._role, rpc.caller.name)
            if self._is_stream:
                client = rpc.caller.name if rpc.caller is not ANYONE else _host(context.peer())
                door.open_stream(client)
                stream_of = client
                # With the response of a unary RPC it goes as trailing metadata only, which costs no message of its own.
                await context.send_initial_metadata(((_REQUEST_ID, rpc.request_id),))
            if self._parse is not None:
                request = self._parse(request)
            return await self._behaviour(request, context)
        except asyncio.CancelledError:
            left = context.time_remaining()
            code = "DEADLINE_EXCEEDED" if left is not None and left <= _ON_THE_WAY else "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = _name_of(context.code())
            raise
        except Exception as error:
            refusal = _refusal_in(error)
            # Writing to a client that is gone fails before the cancellation comes, which then ends this wait.
            if refusal is None and not context.cancelled() and type(error).__name__ == _BROKEN_WRITE:
                code = "CANCELLED"
                await asyncio.sleep(_CANCELLATION_SECONDS)
            if refusal is None and context.cancelled():
                code = "CANCELLED"
                raise asyncio.CancelledError from None
            if refusal is None:
                door.defect(rpc, self._name)
                refusal = Refusal.internal(rpc.request_id)
            code = refusal.code.name
            note(reason=refusal.name)
            await _refuse(context, refusal, rpc)
        finally:
            if stream_of is not None:
                door.close_stream(stream_of)
            door.log(rpc, self._name, context, code, began)


def _refusal_in(error: Exception) -> Refusal | None:
    """The refusal that an exception is, or that ended a group of tasks."""
    if isinstance(error, ExceptionGroup):
        return next((found for one in error.exceptions if (found := _refusal_in(one)) is not None), None)
    return error if isinstance(error, Refusal) else None


async def _refuse(context: Context, refusal: Refusal, rpc: _Rpc) -> NoReturn:
    status = rpc_status.to_status(refusal.to_status())
    trailers = (*status.trailing_metadata, (_REQUEST_ID, rpc.request_id))
    await context.abort(status.code, status.details, trailers)


def _refusing(parse: Any) -> Callable[[bytes], Message]:
    """A deserialiser that refuses what it cannot parse."""
    kind = getattr(getattr(parse, "__self__", None), "__name__", "message")

    def deserialise(content: bytes) -> Message:
        try:
            message: Message = parse(content)
        except DecodeError:
            raise Refusal.malformed_message(kind) from None
        return message

    return deserialise


def _name_of(code: Any) -> str:
    """A status code that gRPC gives as a number or as what it is."""
    name: str = next((one.name for one in grpc.StatusCode if code in (one, one.value[0])), "UNKNOWN")
    return name


def _host(peer: str) -> str:
    """A client's address without its port: ``ipv4:127.0.0.1``."""
    return peer.rpartition(":")[0] if peer.startswith("ipv") else peer

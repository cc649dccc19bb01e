"""The server's log: structured lines on standard error, JSON for machines and colours for people.

What is logged are names, codes, counts and times; never tokens, and neither arguments nor outputs unless asked for.
Outside `open_log` only warnings and errors are logged, as text to the standard library's logger `dovetail_server`: a
server inside another program is quiet, and its log is that program's to direct.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

__all__ = ["LogFormat", "LogLevel", "open_log", "server_log"]

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

_LOGGERS = ("asyncio", "dovetail", "dovetail_server", "grpc")
"""The loggers of the standard library whose lines go into the log."""

_log: FilteringBoundLogger = structlog.wrap_logger(
    logging.getLogger("dovetail_server"),
    processors=[structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer(key_order=["event"])],
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
).bind()


def server_log() -> FilteringBoundLogger:
    """The log. Ask for it when something is to be logged or an object is made, not when a module is imported."""
    return _log


@contextlib.contextmanager
def open_log(
    level: LogLevel = "info",
    format: LogFormat | None = None,  # noqa: A002
    *,
    stream: TextIO | None = None,
) -> Iterator[None]:
    """Open the log, route what the library logs into it, and put everything back at the end.

    Args:
        level: what is logged, and whatever is worse.
        format: how; if None, for people on a terminal and as JSON elsewhere.
        stream: where; standard error if None.
    """
    global _log
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [_stamp]
    if format == "console" or (format is None and stream.isatty()):
        last: list[Processor] = [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    else:
        # Tracebacks as text: a structured one would carry local variables, and with them arguments and tokens.
        last = [structlog.processors.format_exc_info, _json_line]
    before = _log
    _log = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
    ).bind()

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    with contextlib.ExitStack() as stack:
        for name in _LOGGERS:
            stack.enter_context(_routed(logging.getLogger(name), handler, threshold))
        try:
            yield
        finally:
            _log = before


@contextlib.contextmanager
def _routed(logger: logging.Logger, handler: logging.Handler, level: int) -> Iterator[None]:
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr)


def _stamp(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Time, level and event first, so that lines can be read without tools."""
    level = "error" if method == "exception" else method
    return {"timestamp": datetime.now(UTC).isoformat(), "level": level, "event": event.pop("event"), **event}


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    line = _ENCODER.encode(event)
    # JSON lets stand what ends a line or moves a cursor for some readers: U+2028, the C1 controls, marks of direction.
    return line if line.isprintable() else "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)

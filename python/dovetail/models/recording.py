"""A recorded model call, and how it stands in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from dovetail.errors import ModelError
from dovetail.models.protocol import ToolRequest, Usage
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Recording"]

_PREFIX = "FAILURE_REASON_"
_FIELDS = {"pieces", "finish_reason", "usage", "error", "turn"}
_REQUEST_FIELDS = {"id", "name", "arguments"}


@dataclass(frozen=True, slots=True)
class Recording:
    """One model call: its pieces, each with the seconds since the one before, and how it ended."""

    pieces: Sequence[tuple[float, str | ToolRequest]]
    """Seconds to wait, then text, or in a turn the request of a tool; an empty text only waits."""
    finish_reason: str | None = "stop"
    usage: Usage | None = None
    error: ModelError | None = None
    """What the call failed with after its pieces."""
    turn: bool = False
    """Whether it is a turn in which tools could be requested."""

    @classmethod
    def cut(cls, text: str, *, size: int = 4, delay: float = 0.0, turn: bool = False) -> Self:
        """A recording of a text in pieces of ``size`` characters, ``delay`` seconds apart."""
        return cls([(delay, text[start : start + size]) for start in range(0, len(text), size)], turn=turn)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read one line of a recording file.

        Raises:
            ValueError: the line is no recording; the message says what is wrong with it.
        """
        fields = json.loads(line)
        if not isinstance(fields, dict) or not isinstance(fields.get("pieces"), list):
            raise ValueError('a model call is an object with a list "pieces"')  # noqa: TRY004
        if unknown := sorted(fields.keys() - _FIELDS):
            raise ValueError(f"unknown field {unknown[0]!r}")
        reason = fields.get("finish_reason")
        if reason is not None and not isinstance(reason, str):
            raise ValueError('"finish_reason" is a text or null')
        pieces = [_piece(piece) for piece in fields["pieces"]]
        turn = fields.get("turn", False)
        if not isinstance(turn, bool):
            raise ValueError('"turn" is true or false')  # noqa: TRY004
        recording = cls(pieces, reason, _usage(fields.get("usage")), _error(fields.get("error")), turn)
        if not turn and recording.requested is not None:
            raise ValueError('tools are requested in turns alone: "turn" is missing')
        return recording

    @property
    def requested(self) -> str | None:
        """The name of the first tool that is requested, if one is."""
        return next((item.name for _, item in self.pieces if isinstance(item, ToolRequest)), None)

    def to_json(self) -> str:
        """Write one line of a recording file, without its line feed."""
        fields: dict[str, object] = {
            "pieces": [[round(delay, 6), _written(item)] for delay, item in self.pieces],
            "finish_reason": self.finish_reason,
            "usage": None if self.usage is None else asdict(self.usage),
        }
        if self.turn:
            fields["turn"] = True
        if self.error is not None:
            reason = FailureReason.Name(self.error.reason).removeprefix(_PREFIX)
            fields["error"] = {"reason": reason, "message": str(self.error)}
        return json.dumps(fields, ensure_ascii=False)


def _piece(value: object) -> tuple[float, str | ToolRequest]:
    match value:
        case [int() | float() as delay, str(text)] if 0 <= delay < float("inf"):
            return float(delay), text
        case [int() | float() as delay, dict(request)] if 0 <= delay < float("inf"):
            if set(request) != _REQUEST_FIELDS or not all(isinstance(text, str) for text in request.values()):
                raise ValueError(
                    f'a request is {{"id": …, "name": …, "arguments": …}}, all of them texts, not {request!r}'
                )
            return float(delay), ToolRequest(request["id"], request["name"], request["arguments"])
    raise ValueError(f"a piece is [seconds, text] or [seconds, request], not {value!r}")


def _written(item: str | ToolRequest) -> str | dict[str, str]:
    if isinstance(item, str):
        return item
    return {"id": item.id, "name": item.name, "arguments": item.arguments_json}


def _usage(value: Any) -> Usage | None:
    if value is None:
        return None
    try:
        usage = Usage(**value)
    except TypeError as problem:
        raise ValueError(f'"usage" holds the fields of Usage: {problem}') from problem
    if not all(type(tokens) is int for tokens in asdict(usage).values()):
        raise ValueError('"usage" holds whole numbers')
    return usage


def _error(value: object) -> ModelError | None:
    match value:
        case None:
            return None
        case {"reason": str(reason), "message": str(message)} if _PREFIX + reason in FailureReason.keys():  # noqa: SIM118
            return ModelError(cast("FailureReason", FailureReason.Value(_PREFIX + reason)), message)
    raise ValueError(f'"error" is {{"reason": "MODEL_…", "message": "…"}} with a known reason, not {value!r}')

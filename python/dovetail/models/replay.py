"""Recorded model calls, played with their timing: for tests, demonstrations and benchmarks."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, cast

from dovetail.errors import ModelError, UsageError
from dovetail.models.protocol import Completion, Grammar, GrammarDialect, Message, Model, ModelStream, Usage
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Recorder", "Recording", "ReplayModel"]

_PREFIX = "FAILURE_REASON_"
_FIELDS = {"pieces", "finish_reason", "usage", "error"}


@dataclass(frozen=True, slots=True)
class Recording:
    """One model call: its pieces, each with the seconds since the one before, and how it ended."""

    pieces: Sequence[tuple[float, str]]
    """Seconds to wait, then text; an empty text only waits."""
    finish_reason: str | None = "stop"
    usage: Usage | None = None
    error: ModelError | None = None
    """What the call failed with after its pieces."""

    @classmethod
    def cut(cls, text: str, *, size: int = 4, delay: float = 0.0) -> Self:
        """A recording of a text in pieces of ``size`` characters, ``delay`` seconds apart."""
        return cls([(delay, text[start : start + size]) for start in range(0, len(text), size)])

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
        return cls(pieces, reason, _usage(fields.get("usage")), _error(fields.get("error")))

    def to_json(self) -> str:
        """Write one line of a recording file, without its line feed."""
        fields: dict[str, object] = {
            "pieces": [[round(delay, 6), text] for delay, text in self.pieces],
            "finish_reason": self.finish_reason,
            "usage": None if self.usage is None else asdict(self.usage),
        }
        if self.error is not None:
            reason = FailureReason.Name(self.error.reason).removeprefix(_PREFIX)
            fields["error"] = {"reason": reason, "message": str(self.error)}
        return json.dumps(fields, ensure_ascii=False)


class ReplayModel:
    """A model that answers one call after another as recorded, whatever it is asked.

    Args:
        recordings: the calls, in their order.
        speed: 1 plays as recorded, 2 twice as fast, 0 without any wait.
        name: the second half of `name`.

    Raises:
        UsageError: the speed is below 0.
    """

    def __init__(self, recordings: Iterable[Recording], *, speed: float = 1.0, name: str = "recording") -> None:
        if speed < 0:
            raise UsageError(f"speed {speed:g} of replay:{name} is below 0")
        self._recordings = list(recordings)
        self._speed = speed
        self._name = f"replay:{name}"
        self._played = 0

    @classmethod
    def from_file(cls, path: str | Path, *, speed: float = 1.0) -> Self:
        """A model that plays a recording file: one model call a line, as JSON.

        Raises:
            UsageError: the file cannot be read or a line of it is no recording.
        """
        recordings = []
        try:
            with Path(path).open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        try:
                            recordings.append(Recording.from_json(line))
                        except ValueError as problem:
                            raise UsageError(f"{path}, line {number}: {problem}") from problem
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"cannot read the recording {path}: {problem}") from problem
        return cls(recordings, speed=speed, name=str(path))

    @property
    def name(self) -> str:
        """The model, as ``replay:FILE``."""
        return self._name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """Empty: a recording follows no grammar."""
        return ()

    async def stream(
        self,
        messages: Sequence[Message],  # noqa: ARG002
        *,
        grammar: Grammar | None = None,  # noqa: ARG002
        stop: Sequence[str] = (),  # noqa: ARG002
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> ModelStream:
        """Play the next recording.

        Raises:
            ModelError: the recording says so, or all recordings have been played.
        """
        if self._played == len(self._recordings):
            raise ModelError(
                FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
                f"{self._name} is exhausted: it holds {self._played} model calls, and one more was made",
            )
        recording = self._recordings[self._played]
        self._played += 1
        due = monotonic()
        for delay, text in recording.pieces:
            if delay and self._speed:
                # Against the clock, so that the reader's own time does not add up.
                due += delay / self._speed
                if (wait := due - monotonic()) > 0:
                    await asyncio.sleep(wait)
            if text:
                yield text
        if recording.error is not None:
            raise ModelError(recording.error.reason, str(recording.error))
        yield Completion(recording.finish_reason, recording.usage)

    async def aclose(self) -> None:
        """Nothing to give back."""


class Recorder:
    """Passes a model's calls through and writes them to a recording file, each as it ends.

    Args:
        model: the model that answers; closed with the recorder.
        path: the file; what it held is replaced.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, model: Model, path: str | Path) -> None:
        self._model = model
        try:
            self._file = Path(path).open("w", encoding="utf-8")  # noqa: SIM115
        except OSError as problem:
            raise UsageError(f"cannot write the recording {path}: {problem}") from problem

    @property
    def name(self) -> str:
        """The name of the model that answers."""
        return self._model.name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which the model that answers takes grammars."""
        return self._model.grammar_dialects

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        grammar: Grammar | None = None,
        stop: Sequence[str] = (),
        max_tokens: int | None = None,
    ) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`) and record the answer.

        Raises:
            ModelError: the model's, recorded too.
        """
        pieces: list[tuple[float, str]] = []
        end = Completion(None, None)
        error: ModelError | None = None
        before = monotonic()
        stream = self._model.stream(messages, grammar=grammar, stop=stop, max_tokens=max_tokens)
        try:
            async with aclosing(stream):
                async for item in stream:
                    now = monotonic()
                    pieces.append((now - before, "" if isinstance(item, Completion) else item))
                    before = now
                    if isinstance(item, Completion):
                        end = item
                    yield item
        except ModelError as problem:
            pieces.append((monotonic() - before, ""))
            error = problem
            raise
        finally:
            recording = Recording(pieces, end.finish_reason, end.usage, error)
            self._file.write(recording.to_json() + "\n")
            self._file.flush()

    async def aclose(self) -> None:
        """Close the file and the model."""
        self._file.close()
        await self._model.aclose()


def _piece(value: object) -> tuple[float, str]:
    match value:
        case [int() | float() as delay, str(text)] if 0 <= delay < float("inf"):
            return float(delay), text
    raise ValueError(f"a piece is [seconds, text], not {value!r}")


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

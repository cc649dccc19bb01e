"""Recorded model calls, played with their timing: for tests, demonstrations and benchmarks."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from dovetail.errors import ModelError, UsageError
from dovetail.models.fallback import tool_calling_model
from dovetail.models.protocol import Completion, ToolRequest
from dovetail.models.recording import Recording
from dovetail.v1 import FailureReason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
    from typing import Unpack

    from dovetail.models.protocol import (
        GrammarDialect,
        Message,
        Model,
        ModelStream,
        StreamTerms,
        TurnMessage,
        TurnStream,
    )

__all__ = ["Recorder", "Recording", "ReplayModel"]


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

    async def stream(self, messages: Sequence[Message], **terms: Unpack[StreamTerms]) -> ModelStream:  # noqa: ARG002
        """Play the next recording.

        Raises:
            ModelError: the recording says so, it is a turn in which tools could be requested, or all recordings have
                been played.
        """
        recording = self._next()
        if recording.turn:
            raise self._unfit("is a turn in which tools could be requested, and a text is asked for")
        async with aclosing(self._play(recording)) as items:
            async for item in items:
                if not isinstance(item, ToolRequest):  # there is none in what is no turn
                    yield item

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],  # noqa: ARG002
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,  # noqa: ARG002
    ) -> TurnStream:
        """Play the next recording as a turn.

        Raises:
            ModelError: the recording says so, it is no turn or requests tools where there are none, or all recordings
                have been played.
        """
        recording = self._next()
        if not recording.turn:
            raise self._unfit("is a text, and a turn is asked for in which tools could be requested")
        if not tools and recording.requested is not None:
            raise self._unfit(f"requests {recording.requested}, and no tool may be called in this turn")
        async with aclosing(self._play(recording)) as items:
            async for item in items:
                yield item

    def _unfit(self, what: str) -> ModelError:
        message = (
            f"call {self._played} of {self._name} {what}: record the run again, with this strategy and these limits"
        )
        return ModelError(FailureReason.FAILURE_REASON_MODEL_PROTOCOL, message)

    def _next(self) -> Recording:
        if self._played == len(self._recordings):
            raise ModelError(
                FailureReason.FAILURE_REASON_MODEL_UNAVAILABLE,
                f"{self._name} is exhausted: it holds {self._played} model calls, and one more was made",
            )
        self._played += 1
        return self._recordings[self._played - 1]

    async def _play(self, recording: Recording) -> AsyncGenerator[str | ToolRequest | Completion, None]:
        due = monotonic()
        for delay, item in recording.pieces:
            if delay and self._speed:
                # Against the clock, so that the reader's own time does not add up.
                due += delay / self._speed
                if (wait := due - monotonic()) > 0:
                    await asyncio.sleep(wait)
            if item:
                yield item
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
    def models(self) -> tuple[Model, ...]:
        """The model that answers."""
        return (self._model,)

    @property
    def name(self) -> str:
        """The name of the model that answers."""
        return self._model.name

    @property
    def grammar_dialects(self) -> tuple[GrammarDialect, ...]:
        """The notations in which the model that answers takes grammars."""
        return self._model.grammar_dialects

    async def stream(self, messages: Sequence[Message], **terms: Unpack[StreamTerms]) -> ModelStream:
        """Answer a chat (see `dovetail.models.Model.stream`) and record the answer.

        Raises:
            ModelError: the model's, recorded too.
        """
        stream = self._model.stream(messages, **terms)
        async with aclosing(self._record(stream, turn=False)) as items:
            async for item in items:
                yield item

    async def stream_turn(
        self,
        messages: Sequence[TurnMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int | None = None,
    ) -> TurnStream:
        """Take one turn (see `dovetail.models.ToolCallingModel.stream_turn`) and record it.

        Raises:
            ModelError: the model's, recorded too.
            UsageError: the model has no tool calls of its own; `tool_calling_model` says so before.
        """
        stream = tool_calling_model(self._model).stream_turn(messages, tools, max_tokens=max_tokens)
        async with aclosing(self._record(stream, turn=True)) as items:
            async for item in items:
                yield item

    async def _record(self, stream: AsyncGenerator[Any, None], *, turn: bool) -> AsyncGenerator[Any, None]:
        pieces: list[tuple[float, str | ToolRequest]] = []
        end = Completion(None, None)
        error: ModelError | None = None
        before = monotonic()
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
            recording = Recording(pieces, end.finish_reason, end.usage, error, turn)
            self._file.write(recording.to_json() + "\n")
            self._file.flush()

    async def aclose(self) -> None:
        """Close the file and the model."""
        self._file.close()
        await self._model.aclose()

"""What an executor has for its server: results, kept until they are recorded, and the newest progress of each call."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Final

from dovetail.calls.progress_reports import ProgressReports
from dovetail.v1 import CallFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dovetail.v1 import AttachRequest, ToolModelCall

__all__ = ["Outbox"]

_MAX_ITEMS: Final = 256
_MAX_BYTES: Final = 2 * 1024 * 1024
# What a message may have besides outputs: names, numbers, a heartbeat.
_OVERHEAD: Final = 1_024


class Outbox:
    """Outlives the streams that carry its content. Belongs to the running event loop.

    Attributes:
        wake: set when there is something to write; whoever writes clears it.
        reports: the progress of its calls.
    """

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.reports = ProgressReports(self.wake.set)
        # By call: the session that it belongs to, its output or why there is none, and the model calls of its tool.
        self._kept: dict[str, tuple[int, str | CallFailure, Sequence[ToolModelCall]]] = {}
        self._unsent: deque[str] = deque()
        self._max_bytes = _MAX_BYTES
        # More than a server's usual limit cannot come: `max_output_bytes` is bounded where tools go over the wire.
        self._largest_result: float = math.inf

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def add(
        self,
        call_id: str,
        fencing_number: int,
        outcome: str | CallFailure,
        model_calls: Sequence[ToolModelCall] = (),
    ) -> None:
        """Keep how a call ended, and have it sent: its output as JSON text, or why there is none."""
        self._kept[call_id] = (fencing_number, outcome, model_calls)
        self._unsent.append(call_id)
        self.wake.set()

    def forget(self, call_id: str) -> None:
        """Let go of a result: the server has it, or does not want it."""
        self._kept.pop(call_id, None)

    def send_again(self) -> None:
        """Have everything sent that is kept: what an earlier stream carried may not have arrived."""
        self._unsent = deque(self._kept)
        if self._unsent:
            self.wake.set()

    def bound(self, max_message_bytes: int) -> None:
        """Send no message larger than this: the server takes none. A result that is larger alone becomes a failure."""
        self._largest_result = max(1, max_message_bytes - _OVERHEAD)
        self._max_bytes = min(self._max_bytes, int(self._largest_result))

    def fill(self, request: AttachRequest) -> bool:
        """Put what is at hand into a message, as far as it has room: true if there was anything."""
        size = self._fill_progress(request)
        return self._fill_results(request, size) or len(request.progress) > 0

    def _fill_progress(self, request: AttachRequest) -> int:
        size = 0
        # Half of a message at the most: the rest is for results.
        while len(request.progress) < _MAX_ITEMS and size <= self._max_bytes // 2:
            report = self.reports.next()
            if report is None:
                break
            progress = request.progress.add(call_id=report.call_id, message=report.message)
            if report.fraction is not None:
                progress.fraction = report.fraction
            size += len(report.call_id) + _bytes_of(report.message)
        if self.reports:
            self.wake.set()
        return size

    def _fill_results(self, request: AttachRequest, size: int) -> bool:
        unsent, kept, results = self._unsent, self._kept, request.results
        count = 0
        while unsent and count < _MAX_ITEMS:
            call_id = unsent[0]
            found = kept.get(call_id)
            if found is not None:
                fencing_number, outcome, model_calls = found
                own_size = _bytes_of(outcome) if isinstance(outcome, str) else outcome.ByteSize()
                if own_size > self._largest_result and isinstance(outcome, str):
                    outcome = _too_large(own_size, self._largest_result)
                    kept[call_id] = (fencing_number, outcome, model_calls)
                    own_size = outcome.ByteSize()
                size += len(call_id) + own_size + sum(made.ByteSize() for made in model_calls)
                # A larger one goes alone.
                if size > self._max_bytes and (count or request.progress):
                    break
                result = results.add()
                result.call_id = call_id
                result.fencing_number = fencing_number
                result.outcome.model_calls.extend(model_calls)
                if isinstance(outcome, str):
                    result.outcome.output_json = outcome
                else:
                    result.outcome.failure.CopyFrom(outcome)
                count += 1
            unsent.popleft()
        return count > 0


def _too_large(size: int, limit: float) -> CallFailure:
    message = f"the output has {size:,} bytes of JSON; the server takes {limit:,} at most"
    return CallFailure(kind=CallFailure.KIND_OUTPUT_TOO_LARGE, message=message)


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())

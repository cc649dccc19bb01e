"""Seconds as the wire carries them."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

__all__ = ["duration_of"]


def duration_of(seconds: float) -> Duration:
    """Seconds as a `google.protobuf.Duration`, to the nanosecond below."""
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration

"""What goes over the pipes between this process and a child: a length, a kind, a payload."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CALL",
    "END",
    "FAILURE",
    "LARGEST",
    "MODEL_CALL",
    "OUTPUT",
    "PROGRESS",
    "READY",
    "STARTED",
    "Frame",
    "FrameReader",
    "GarbledError",
    "send_frame",
]

# Down: a call, as JSON; the wish that the child ends.
CALL: Final = b"C"
END: Final = b"E"
# Up: the child waits for a call; the tool is entered; how far it is, as JSON; a model call that it made, as a
# `ToolModelCall`; its output, which is JSON; why there is none, as JSON.
READY: Final = b"R"
STARTED: Final = b"S"
PROGRESS: Final = b"P"
MODEL_CALL: Final = b"M"
OUTPUT: Final = b"O"
FAILURE: Final = b"F"

LARGEST: Final = 1 << 30
"""The largest frame that any reader takes, in bytes."""

_HEAD: Final = struct.Struct("!I1s")


class GarbledError(Exception):
    """What came is no frame, or a larger one than is taken."""


class Frame(NamedTuple):
    """One message."""

    kind: bytes
    payload: bytes


class FrameReader:
    """Puts frames together from pieces, however they were cut.

    Attributes:
        limit: how many bytes the payload of a frame may have: nothing is kept of a larger one.
    """

    def __init__(self, limit: int = LARGEST) -> None:
        self.limit = limit
        self._held = bytearray()
        self._wanted = _HEAD.size

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with this piece, also those before one that is none.

        Raises:
            GarbledError: a frame is larger than is taken.
        """
        self._held += data
        while len(self._held) >= self._wanted:
            length, kind = _HEAD.unpack_from(self._held)
            if length > self.limit:
                raise GarbledError(f"a frame of {length:,} bytes; {self.limit:,} at the most")
            self._wanted = _HEAD.size + length
            if len(self._held) < self._wanted:
                break
            frame = Frame(kind, bytes(self._held[_HEAD.size : self._wanted]))
            del self._held[: self._wanted]
            self._wanted = _HEAD.size
            yield frame


def send_frame(descriptor: int, kind: bytes, payload: bytes = b"") -> None:
    """Write a frame, and wait until all of it is written.

    Raises:
        OSError: nobody reads any more.
    """
    # In one piece where that is possible: a small frame is one system call.
    rest = memoryview(_HEAD.pack(len(payload), kind) + payload)
    while rest:
        rest = rest[os.write(descriptor, rest) :]

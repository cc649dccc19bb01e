"""Looks into a file of weights (GGUF) without loading it: what its model has learned to be asked."""

from __future__ import annotations

import mmap
import re
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["chat_templates", "knows_tools"]

_MAGIC: Final = b"GGUF"
_KEY: Final = b"tokenizer.chat_template"
# A template for tools alone may stand beside the one for everything else.
_ENDINGS: Final = (b"", b".tool_use")
_TEXT: Final = 8
# What is said of a model comes first in its file, before this tensor, which every one has.
_TENSOR: Final = b"token_embd.weight"
_FAR: Final = 64 * 1024 * 1024
_LONGEST: Final = 1024 * 1024
_TOOLS: Final = re.compile(r"\btools\b")


def chat_templates(path: Path) -> list[str]:
    """The chat templates in a file of weights; none if it has none, or is no such file."""
    try:
        with path.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as data:
            if data[: len(_MAGIC)] != _MAGIC:
                return []
            end = data.find(_TENSOR, 0, _FAR)
            found = (_text_of(data, _KEY + ending, end if end >= 0 else _FAR) for ending in _ENDINGS)
            return [text for text in found if text is not None]
    except (OSError, ValueError):  # an empty file cannot be mapped
        return []


def knows_tools(path: Path) -> bool:
    """Whether tools have a place in what the model is told, so that it can ask for their calls."""
    return any(_TOOLS.search(template) for template in chat_templates(path))


def _text_of(data: mmap.mmap, key: bytes, end: int) -> str | None:
    # A key with its length before it and the type of its value behind it: no token of a vocabulary looks like that.
    marked = struct.pack("<Q", len(key)) + key + struct.pack("<I", _TEXT)
    at = data.find(marked, 0, end)
    if at < 0:
        return None
    begin = at + len(marked) + 8
    size = int.from_bytes(data[begin - 8 : begin], "little")
    return data[begin : begin + min(size, _LONGEST)].decode(errors="replace")

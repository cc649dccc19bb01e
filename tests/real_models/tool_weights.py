"""The weights of the demo with another chat template, one that has a place for tools."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dovetail.models.local import LocalModel
from dovetail.models.weights import chat_templates

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["weights_with_template"]

_ALIGNMENT = 32


def weights_with_template(path: Path, template: str) -> Path:
    """Write such weights to a path. The model has not learned the template, but llama.cpp reads it all the same."""
    source = LocalModel().weights
    (known,) = chat_templates(source)
    old, new = known.encode(), template.encode()
    # What comes behind is found by its place, which is a multiple of the alignment: a comment fills the template up.
    new = b"{#" + b" " * ((len(old) - len(new) - 4) % _ALIGNMENT) + b"#}" + new
    content = source.read_bytes()
    was, becomes = (struct.pack("<Q", len(text)) + text for text in (old, new))
    assert content.count(was) == 1
    before, _, behind = content.partition(was)
    with path.open("wb") as file:
        file.write(before + becomes)
        file.write(behind)
    return path

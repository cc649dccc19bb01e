"""Writes ``dovetail/v1/__init__.py`` beside the generated modules: every message and enum, by its name."""

from __future__ import annotations

import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

_HEAD = '''"""The wire's shapes, generated from ``proto/dovetail/v1`` by ``make proto``. Do not edit."""

'''


def main(descriptors: Path, out: Path) -> None:
    """Write the module.

    Args:
        descriptors: a serialised `FileDescriptorSet` of the protos.
        out: where the generated modules are.
    """
    imports = {}
    for file in FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        module = f"{Path(file.name).stem}_pb2"
        imports[module] = sorted(shape.name for shape in (*file.message_type, *file.enum_type))
    lines = []
    for module, names in sorted(imports.items()):
        lines += [f"from dovetail.v1.{module} import (", *(f"    {name}," for name in names), ")"]
    exported = sorted(name for names in imports.values() for name in names)
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in exported), "]"]
    (out / "dovetail" / "v1" / "__init__.py").write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

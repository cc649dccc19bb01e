"""The schema of one place inside of what a schema describes, so that it stands by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dovetail.answer_schema import moved

__all__ = ["all_of", "schema_at"]

_Schema = Mapping[str, Any]

_TOOL: Final = "#/$defs/tool"
_DEEPEST: Final = 16
"""Schemas may refer to themselves."""
_REMARKS: Final = frozenset({"title", "description", "default", "examples", "deprecated", "$comment"})
"""What says nothing of values."""


def schema_at(schema: _Schema, path: Sequence[str | int]) -> dict[str, Any] | None:
    """The schema of a place; None if nothing is said of it.

    Args:
        schema: the schema of a tool's arguments.
        path: the way to the place: names of members, and numbers of items from 0.
    """
    # Whoever made the tool may have used mappings of any kind.
    root: dict[str, Any] = json.loads(json.dumps(schema, default=dict))
    places: list[Any] = [root]
    for step in path:
        places = [found for place in places for found in _inside(root, place, step, 0)]
    told = [place for place in places if not isinstance(place, bool) and place.keys() - _REMARKS]
    if not told:
        return None
    found = _together(told)
    if '"$ref"' in json.dumps(found):
        return {**moved(found, _TOOL), "$defs": {"tool": moved(root, _TOOL)}}
    return found


def all_of(schemas: Sequence[dict[str, Any]], keyword: str = "allOf") -> dict[str, Any]:
    """A schema of what fits all of these, or with ``anyOf`` any of them; each stands by itself."""
    if len(schemas) == 1:
        return schemas[0]
    return {keyword: [moved(one, f"#/{keyword}/{index}") for index, one in enumerate(schemas)]}


def _inside(root: _Schema, place: Any, step: str | int, depth: int) -> list[Any]:
    """What is demanded of a member or an item of what fits a place: all of these."""
    if not isinstance(place, Mapping) or depth > _DEEPEST:
        return []
    demanded = [] if (own := _own(place, step)) is None else [own]
    if (target := _target(root, place)) is not None:
        demanded += _inside(root, target, step, depth + 1)
    for one in place.get("allOf", ()):
        demanded += _inside(root, one, step, depth + 1)
    for keyword in ("anyOf", "oneOf"):
        options = [one for one in place.get(keyword, ()) if _may_hold(root, one, step)]
        further = [_inside(root, one, step, depth + 1) for one in options]
        if further and all(further):
            branches = [_together(one) for one in further]
            demanded.append(branches[0] if len(branches) == 1 else {"anyOf": branches})
    return demanded


def _own(place: _Schema, step: str | int) -> Any:
    if isinstance(step, str):
        properties = place.get("properties", {})
        if step in properties:
            return properties[step]
        return place.get("additionalProperties")
    first = place.get("prefixItems", ())
    return first[step] if step < len(first) else place.get("items")


def _target(root: _Schema, place: _Schema) -> Any:
    reference = place.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def _may_hold(root: _Schema, place: Any, step: str | int) -> bool:
    """Whether what fits a place can have members, or items."""
    for _ in range(_DEEPEST):
        if not isinstance(place, Mapping) or (target := _target(root, place)) is None:
            break
        place = target
    if not isinstance(place, Mapping):
        return place is not False
    types = place.get("type", [])
    types = [types] if isinstance(types, str) else types
    return not types or ("object" if isinstance(step, str) else "array") in types


def _together(schemas: Sequence[Any]) -> dict[str, Any]:
    return dict(schemas[0]) if len(schemas) == 1 else {"allOf": list(schemas)}

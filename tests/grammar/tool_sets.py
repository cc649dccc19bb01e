"""Tool sets that fight a grammar, and random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": name} for name in ("string", "integer", "number", "boolean"))


def tool(
    name: str, output: str | None = None, /, required: list[str] | None = None, **properties: Any
) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {"name": name, "inputSchema": schema} | ({} if output is None else {"outputSchema": {"type": output}})


def shaped(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", **schema}}


LOOKUP = tool("lookup", "number", name=STRING)
RATIO = tool("ratio", "number", a=NUMBER, b=NUMBER)
RICH = [
    LOOKUP,
    RATIO,
    tool("search", "array", required=["query"], query=STRING, limit=INTEGER, unit={"enum": ["km", 'it\'s "odd"']}),
    tool(
        "note", "string", required=["b"], a={"anyOf": [INTEGER, {"type": "null"}]}, b={"type": "array", "items": NUMBER}
    ),
    tool("any", x={}, y={"type": "object", "properties": {"z": NUMBER, "w": STRING}, "required": ["z"]}),
]

_TREE = {
    "type": "object",
    "properties": {
        "value": INTEGER,
        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        "left": {"$ref": "#/$defs/Tree"},
    },
    "required": ["value"],
}
_CIRCLE = {
    "type": "object",
    "properties": {"kind": {"const": "circle"}, "radius": NUMBER},
    "required": ["kind", "radius"],
}
_BOX = {
    "type": "object",
    "properties": {"kind": {"enum": ["box", "cube"]}, "side": NUMBER, "name": STRING},
    "required": ["kind", "side"],
    "additionalProperties": False,
}


def _from_to(least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most}


NASTY: dict[str, list[dict[str, Any]]] = {
    "rich": RICH,
    "unicode names": [
        tool("größe_messen", länge=NUMBER, 名前=STRING),
        tool("検索", required=[], 質問=STRING, anzahl=INTEGER),
    ],
    "definitions": [
        shaped(
            "convert",
            properties={"unit": {"$ref": "#/$defs/Unit"}, "odd": {"$ref": "#/$defs/a~1b%20c~0d"}, "n": NUMBER},
            required=["unit", "n"],
            **{"$defs": {"Unit": {"enum": ["km", "mi"]}, "a/b c~d": {"type": "integer", "minimum": 0}}},
        )
    ],
    "recursion": [
        shaped("grow", properties={"tree": {"$ref": "#/$defs/Tree"}}, required=["tree"], **{"$defs": {"Tree": _TREE}}),
        shaped(
            "list",
            properties={"x": {"$ref": "#/$defs/Nested"}},
            required=["x"],
            **{"$defs": {"Nested": {"anyOf": [INTEGER, {"type": "array", "items": {"$ref": "#/$defs/Nested"}}]}}},
        ),
        shaped(
            "chain",
            properties={"x": {"$ref": "#/$defs/Link"}},
            **{
                "$defs": {
                    "Link": {
                        "type": "object",
                        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Link"}, {"type": "null"}]}},
                        "required": ["next"],
                    }
                }
            },
        ),
        shaped("self", properties={"x": {"$ref": "#"}, "y": INTEGER}, required=["y"]),
    ],
    "arguments declared elsewhere": [
        {"name": "behind", "inputSchema": {"$ref": "#/$defs/Box", "$defs": {"Box": _BOX}}},
        shaped(
            "parts",
            properties={"first": STRING},
            required=["first"],
            allOf=[{"$ref": "#/$defs/Base"}, {"properties": {"last": INTEGER, "n": NUMBER}, "required": ["last"]}],
            **{"$defs": {"Base": {"type": "object", "properties": {"b": BOOLEAN}, "required": ["b"]}}},
        ),
        shaped(
            "either",
            anyOf=[
                {"properties": {"amount": NUMBER, "card": STRING}, "required": ["amount", "card"]},
                {
                    "properties": {"amount": STRING, "account": STRING, "note": STRING},
                    "required": ["amount", "account"],
                },
            ],
        ),
        {"name": "shape", "inputSchema": {"oneOf": [_CIRCLE | {"additionalProperties": False}, _BOX]}},
    ],
    "combined": [
        tool("any_of", x={"anyOf": [INTEGER, STRING, {"type": "array", "items": BOOLEAN}]}),
        tool("one_of", x={"oneOf": [_CIRCLE, _BOX]}),
        tool(
            "one_of_names",
            x={
                "type": "object",
                "properties": {"a": INTEGER, "b": INTEGER},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
        ),
        tool(
            "all_of",
            x={"allOf": [_CIRCLE, {"properties": {"radius": INTEGER, "label": STRING}, "required": ["label"]}]},
        ),
        tool(
            "all_of_closed", x={"allOf": [_BOX, {"type": "object", "properties": {"kind": {"enum": ["cube", "ball"]}}}]}
        ),
        tool("sibling", x={"type": ["string", "integer"], "anyOf": [{"type": "integer"}, {"type": "boolean"}]}),
        shaped(
            "root",
            properties={"a": INTEGER, "b": STRING, "c": NUMBER},
            anyOf=[{"required": ["a"]}, {"required": ["b", "c"]}],
        ),
        shaped("root_one", properties={"a": INTEGER, "b": STRING}, oneOf=[{"required": ["a"]}, {"required": ["b"]}]),
    ],
    "conditions": [
        tool("not_text", x={"not": STRING}),
        tool("not_some", x={"type": "string", "enum": ["a", "b", "c"], "not": {"enum": ["b"]}}),
        tool(
            "if_then",
            x={
                "type": "object",
                "properties": {"kind": {"enum": ["a", "b"]}, "size": INTEGER, "name": STRING},
                "required": ["kind"],
                "if": {"properties": {"kind": {"const": "a"}}},
                "then": {"required": ["size"]},
                "else": {"required": ["name"]},
            },
        ),
        shaped(
            "card",
            properties={"card": STRING, "address": STRING, "zip": INTEGER},
            dependentRequired={"card": ["address", "zip"]},
        ),
        shaped("old", properties={"card": STRING, "address": STRING}, dependencies={"card": ["address"]}),
        shaped("sub", properties={"a": INTEGER, "b": STRING}, dependentSchemas={"a": {"required": ["b"]}}),
        tool(
            "keys", x={"type": "object", "propertyNames": {"enum": ["a", "b c", '"']}, "additionalProperties": INTEGER}
        ),
        tool(
            "sized",
            x={
                "type": "object",
                "properties": {"a": INTEGER, "b": INTEGER, "c": INTEGER},
                "minProperties": 2,
                "maxProperties": 2,
            },
        ),
        tool("pattern_keys", x={"type": "object", "patternProperties": {"^x": INTEGER}, "additionalProperties": False}),
    ],
    "no properties": [
        shaped("now"),
        {"name": "later", "inputSchema": {}},
        shaped("empty", properties={}),
        shaped("closed", additionalProperties=False),
        shaped("open", additionalProperties=True, required=["extra"]),
        shaped("typed", additionalProperties=INTEGER, properties={"a": STRING}, required=["n", "a"]),
    ],
    "objects": [
        tool("map", x={"type": "object", "additionalProperties": NUMBER}),
        tool("free", x={"type": "object"}),
        tool("shut", x={"type": "object", "additionalProperties": False}),
        tool("undeclared", x={"type": "object", "properties": {"a": INTEGER}, "required": ["a", "b"]}),
        tool("implied", x={"properties": {"a": INTEGER}, "required": ["a"]}, y={"items": INTEGER}, z={"minLength": 2}),
        tool("wide", required=[], **{f"option_{index}": INTEGER for index in range(40)}),
        tool(
            "deep",
            x={
                "type": "object",
                "properties": {
                    "a": {
                        "type": "object",
                        "properties": {
                            "b": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "properties": {"c": {"type": "object", "properties": {"d": STRING}}},
                                },
                            }
                        },
                    }
                },
            },
        ),
        tool("forbidden", required=["b"], a=False, b=INTEGER, c=True),
    ],
    "tuples": [
        tool("pair", x={"type": "array", "prefixItems": [STRING, INTEGER], "minItems": 2, "items": False}),
        tool(
            "rest",
            x={"type": "array", "prefixItems": [STRING, INTEGER], "items": BOOLEAN, "minItems": 1, "maxItems": 5},
        ),
        tool("needed", x={"type": "array", "prefixItems": [STRING], "items": INTEGER, "minItems": 3, "maxItems": 3}),
        tool("empty", x={"type": "array", "maxItems": 0}, y={"type": "array", "items": False}),
    ],
    "two hundred": [tool(f"tool_{index}", q=STRING, n=NUMBER, required=["q"]) for index in range(200)],
    "prefixes": [
        tool("a", x=INTEGER),
        tool("ab", x=INTEGER, required=[]),
        tool("abc", x=INTEGER, xy=INTEGER, x_y=INTEGER, required=["x"]),
        tool("a.b", false={"type": "boolean"}, fa=BOOLEAN, null_ok={"type": ["null", "boolean"]}, required=[]),
        tool("a-b:c/d", t={"enum": ["t", "tr", "true", True, "tru"]}),
    ],
    "names that begin as join does": [tool("j", x=INTEGER), tool("jump", x=INTEGER), tool("join_all", x=STRING)],
    "five thousand values": [tool("pick", x={"enum": [f"value {index:04}" for index in range(5000)]}, n=NUMBER)],
    "lengths": [
        tool(
            "long", x={"type": "string", "maxLength": 10**9}, y={"type": "array", "items": INTEGER, "maxItems": 10**9}
        ),
        tool("short", x={"type": "string", "maxLength": 0}, y={"type": "string", "minLength": 3, "maxLength": 3}),
    ],
    "bounds": [
        tool("roll", required=["sides"], sides=_from_to(2, 100), count=_from_to(1, 10), seed=_from_to(0, 65_535)),
        tool("year", x=_from_to(1900, 2100), y={"type": ["integer", "null"], "minimum": 1}),
        tool("below", x={"type": "integer", "exclusiveMaximum": -17}, y=_from_to(-273, 1_000), z=_from_to(7, 7)),
    ],
    "patterns": [
        tool("ranged", required=[], x={"type": "string", "format": "date"}, n={"type": "integer", "minimum": 0})
    ],
    "names that are none": [
        tool("quoted", **{'a "b"': INTEGER, "c\nd": STRING, "e f": NUMBER}),
        tool("behind", required=["with space"], **{"plain": INTEGER, "with space": STRING, "after": NUMBER}),
        tool("optional", required=[], **{"plain": INTEGER, "1st": STRING, "$2": NUMBER}),
        tool(
            "inside",
            x={
                "type": "object",
                "properties": {'"': INTEGER, "\n": INTEGER, "$1": INTEGER, "$$": INTEGER, "\\": STRING, "": STRING},
            },
        ),
        tool("keywords", **{"from": STRING, "class": INTEGER, "None": NUMBER, "true": BOOLEAN, "lambda": {}}),
        tool("named", required=["from"], **{"to": STRING, "from": STRING, "true": BOOLEAN, "Null": INTEGER}),
    ],
    "constants": [
        tool("fixed", x={"const": 1}, y={"const": {"a": [1, "$1"]}}, z={"const": None}),
        tool(
            "dollars",
            x={"enum": ["$1", "$$1", "${1}", "$", "$x", "a$1b", "$1.name"]},
            y={"enum": [1.5, -2, 10**20, 1e300]},
        ),
        tool(
            "beside",
            a={"anyOf": [{"const": {"a": 1}}, {"type": "object"}]},
            b={"anyOf": [{"enum": [[1, 2], [], {}]}, {"type": "array", "items": INTEGER}]},
            c={"anyOf": [{"type": "object", "properties": {"a": INTEGER}, "required": ["a"]}, {"type": "object"}]},
        ),
        tool("escapes", x={"enum": ["\n", '"', "\\", "\x7f", "\u2028", "ä", "😀", "", "/"]}),
        tool(
            "half_empty",
            required=["y"],
            x={"type": "object", "properties": {"a": {"enum": []}}},
            y={"type": "integer", "enum": [1, "a", 2.0]},
        ),
    ],
    "nullable": [
        tool(
            "maybe",
            x={"type": ["integer", "null"]},
            y={"type": ["string", "null"]},
            z={"anyOf": [{"type": "null"}, STRING]},
        ),
        tool("enum_or_null", required=[], x={"enum": ["a", None]}, y={"type": ["string", "null"], "enum": ["b", None]}),
    ],
}


def random_tools(source: random.Random) -> list[dict[str, Any]]:
    """A few tools with schemas of all kinds."""
    return [
        _random_tool(f"{source.choice(['get', 'set', 'get_all', 'g', 'größe'])}_{index}", source)
        for index in range(source.randint(1, 4))
    ]


def _random_tool(name: str, source: random.Random) -> dict[str, Any]:
    names = source.sample(["a", "b", "ab", "query", "true", "with space", "ü", "x-y", "$1"], source.randint(0, 5))
    properties = {one: _random_schema(source, 3) for one in names}
    required = [one for one in names if source.random() < 0.6]
    made: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if source.random() < 0.2:
        made["anyOf"] = [{"required": [one]} for one in names] or [{}]
    shape: dict[str, Any] = {"name": name, "inputSchema": made}
    if source.random() < 0.5:
        shape["outputSchema"] = source.choice([STRING, NUMBER, INTEGER, BOOLEAN, {"type": "array"}, {"type": "object"}])
    return shape


def _random_schema(source: random.Random, depth: int) -> Any:
    kinds = ["scalar", "scalar", "scalar", "enum", "types", "free"]
    kinds += ["array", "object", "union", "all", "one", "tuple", "map", "not"] if depth else []
    deeper = depth - 1
    match source.choice(kinds):
        case "scalar":
            return {"type": source.choice(["string", "integer", "number", "boolean", "null"])}
        case "enum":
            return {
                "enum": source.sample(["a", "$1", "b c", 1, 2.5, True, None, [1], {"k": "v"}], source.randint(1, 4))
            }
        case "types":
            return {"type": source.sample(["string", "integer", "boolean", "null", "array"], 2)}
        case "free":
            return source.choice([{}, True])
        case "array":
            bounds = source.choice([{}, {"minItems": 1}, {"maxItems": 2}, {"minItems": 2, "maxItems": 3}])
            return {"type": "array", "items": _random_schema(source, deeper)} | bounds
        case "tuple":
            return {
                "type": "array",
                "prefixItems": [_random_schema(source, deeper) for _ in range(2)],
                "minItems": source.randint(0, 3),
            }
        case "map":
            return {"type": "object", "additionalProperties": _random_schema(source, deeper)}
        case "union":
            return {"anyOf": [_random_schema(source, deeper) for _ in range(source.randint(1, 3))]}
        case "one":
            # Branches of different types: what branches have in common is none of the grammar's business.
            return {"oneOf": [_random_object(source, deeper), {"type": source.choice(["string", "null"])}]}
        case "all":
            return {"allOf": [_random_object(source, deeper), _random_object(source, deeper)]}
        case "not":
            return {"not": {"type": source.choice(["string", "number", "object", "null"])}}
        case _:
            return _random_object(source, deeper)


def _random_object(source: random.Random, depth: int) -> dict[str, Any]:
    names = source.sample(["a", "b", "c d", '"', "$1"], source.randint(0, 3))
    found: dict[str, Any] = {
        "type": "object",
        "properties": {one: _random_schema(source, depth) for one in names},
        "required": [one for one in names if source.random() < 0.5],
    }
    if source.random() < 0.3:
        found["additionalProperties"] = False
    return found

"""An MCP server written by hand, which can break every rule. Speaks the handshake of 2025-06-18.

Its one argument is a JSON object: ``tools`` (a list of names or whole tools), ``pages`` (how many tools a page has),
``endless`` (``repeating`` or ``growing`` cursors), ``before`` (lines written first), ``stubborn`` (ignores SIGTERM and
the end of its input), ``notes`` (a file that is told its pid).

A call does what its tool's name says: see `CALLS`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

OPTIONS: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
tools: list[dict[str, Any]] = []


def write(message: Any) -> None:
    line = message if isinstance(message, str) else json.dumps(message)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def answer(request: Any, result: Any) -> None:
    write({"jsonrpc": "2.0", "id": request, "result": result})


def refuse(request: Any, code: int, message: str) -> None:
    write({"jsonrpc": "2.0", "id": request, "error": {"code": code, "message": message}})


def say(request: Any, *content: dict[str, Any], **fields: Any) -> None:
    answer(request, {"content": list(content), **fields})


def text(what: str) -> dict[str, Any]:
    return {"type": "text", "text": what}


def notify(method: str, **params: Any) -> None:
    write({"jsonrpc": "2.0", "method": method, "params": params})


def set_tools(given: list[Any]) -> None:
    tools[:] = [tool if isinstance(tool, dict) else {"name": tool, "inputSchema": TEXT} for tool in given]


def die_once(request: Any, params: dict[str, Any]) -> None:
    mark = Path(params["arguments"]["text"])
    if mark.exists():
        say(request, text("alive"))
        return
    mark.touch()
    sys.stderr.write("out of luck\n")
    sys.stderr.flush()
    os._exit(7)


def flood(request: Any, params: dict[str, Any]) -> None:
    token = params.get("_meta", {}).get("progressToken")
    for number in range(20_000):
        notify("notifications/progress", progressToken=token, progress=number, total=20_000)
        notify("notifications/message", level="info", data="x" * 50)
    for _ in range(200):
        notify("notifications/tools/list_changed")
    say(request, text("dry"))


def twice(request: Any, params: dict[str, Any]) -> None:
    say(request, text("first"))
    say(request, text("second"))


def noise(request: Any, params: dict[str, Any]) -> None:
    for line in ("INFO starting", "{", "[1, 2]", '{"jsonrpc": "2.0"}', "null", "\x00\x01", "ü", ""):
        write(line)
    sys.stdout.buffer.write(b"\xff\xfe broken\n")
    say(request, text("heard"))


def content(request: Any, params: dict[str, Any]) -> None:
    data = "AAAA"
    say(
        request,
        {"type": "image", "data": data, "mimeType": "image/png"},
        {"type": "audio", "data": data, "mimeType": "audio/wav"},
        {"type": "resource_link", "uri": "file:///a.txt", "name": "a", "mimeType": "text/plain"},
        {"type": "resource", "resource": {"uri": "file:///b.txt", "text": "inside"}},
        {"type": "resource", "resource": {"uri": "file:///c.bin", "blob": data}},
        text("end"),
    )


def change(request: Any, params: dict[str, Any]) -> None:
    """Other tools from now on, told or not."""
    wanted = json.loads(params["arguments"]["text"])
    set_tools(wanted["tools"])
    if wanted.get("told", True):
        notify("notifications/tools/list_changed")
    say(request, text("changed"))


CALLS = {
    "die": lambda request, params: os._exit(3),
    "die_once": die_once,
    "flood": flood,
    "never": lambda request, params: None,
    "twice": twice,
    "noise": noise,
    "content": content,
    "change": change,
    "wrong": lambda request, params: say(request, text("no luck"), isError=True),
    "wrong_without_a_word": lambda request, params: say(request, isError=True),
    "mismatched": lambda request, params: say(request, text("{}"), structuredContent={"height": "high"}),
    "unstructured": lambda request, params: say(request, text("high")),
    "no_result": lambda request, params: answer(request, "text"),
    "no_content": lambda request, params: answer(request, {"content": "text"}),
    "refused": lambda request, params: refuse(request, -32603, "it broke"),
}


def call(request: Any, params: dict[str, Any]) -> None:
    name = params["name"]
    if all(tool.get("name") != name for tool in tools):
        refuse(request, -32602, f"Unknown tool: {name}")
    elif name in CALLS:
        CALLS[name](request, params)
    else:
        say(request, text(f"{name}: {json.dumps(params['arguments'])}"))


def list_tools(request: Any, params: dict[str, Any]) -> None:
    if endless := OPTIONS.get("endless"):
        start = int(params.get("cursor", 0))
        cursor = "7" if endless == "repeating" else str(start + 1)
        answer(request, {"tools": [{"name": f"tool_{start}", "inputSchema": TEXT}], "nextCursor": cursor})
        return
    size = OPTIONS.get("pages", len(tools) or 1)
    start = int(params.get("cursor", 0))
    page: dict[str, Any] = {"tools": tools[start : start + size]}
    if start + size < len(tools):
        page["nextCursor"] = str(start + size)
    answer(request, page)


def handle(message: dict[str, Any]) -> None:
    method, request, params = message.get("method"), message.get("id"), message.get("params", {})
    if method == "initialize":
        answer(
            request,
            {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "raw", "version": "1"},
            },
        )
    elif method == "tools/list":
        list_tools(request, params)
    elif method == "tools/call":
        call(request, params)
    elif request is not None:
        refuse(request, -32601, "no such method")


def main() -> None:
    if notes := OPTIONS.get("notes"):
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(f"started {os.getpid()}\n")
    if OPTIONS.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for line in OPTIONS.get("before", []):
        write(line)
    set_tools(OPTIONS.get("tools", ["echo"]))
    for line in sys.stdin:
        handle(json.loads(line))
    while OPTIONS.get("stubborn"):
        time.sleep(60)


if __name__ == "__main__":
    main()

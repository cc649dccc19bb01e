"""Where MCP servers are: ``mcp:COMMAND``, ``mcp:NAME=URL``, and ``[mcp.NAME]`` in a TOML file."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dovetail.errors import UsageError
from dovetail.toml_file import read_toml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PREFIX", "McpAddress", "read_addresses"]

PREFIX: Final = "mcp:"

_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]{0,63})=(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_OPTIONS_BEFORE_PROGRAM: Final = ("-m", "-u", "-y", "--yes")
_KEYS: Final = ("command", "url", "env", "headers", "connect_timeout")

_LONGEST_SECONDS: Final = 86_400

CONNECT_SECONDS: Final = 60.0
"""How long a server may take to be ready: one that is fetched at its first start takes its time."""


@dataclass(frozen=True, slots=True)
class McpAddress:
    """Where an MCP server is, and how it is reached. One of `command` and `url` is given.

    Attributes:
        name: what stands before its tools' names, and a dot; empty for nothing.
        command: the command that is a server on its standard input and output.
        url: where a server speaks streamable HTTP.
        env: variables that the command gets besides the few that are safe to inherit.
        headers: sent with every request to the URL; may hold secrets.
        connect_timeout: how many seconds the server may take for the handshake, and again to list its tools.
    """

    name: str = ""
    command: tuple[str, ...] = ()
    url: str = ""
    env: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    connect_timeout: float = CONNECT_SECONDS

    @classmethod
    def parse(cls, spec: str) -> McpAddress:
        """Read a SPEC: ``mcp:COMMAND ARG ...``, ``mcp:http://host:port/mcp``, either with ``NAME=`` behind ``mcp:``.

        The command is split as a shell would split it, but no shell runs it.

        Raises:
            UsageError: it is none of these.
        """
        text = spec.removeprefix(PREFIX).strip()
        named = _NAMED.fullmatch(text)
        name, text = (named[1], named[2].strip()) if named else ("", text)
        if text.startswith(("http://", "https://")):
            return cls(name, url=_checked_url(text, f"tools {spec}"))
        try:
            command = tuple(shlex.split(text))
        except ValueError as error:
            raise UsageError(f"tools {spec}: the command cannot be split: {error}") from error
        if not command:
            raise UsageError(f"tools {spec}: a command or a URL is missing: 'mcp:COMMAND ARG', 'mcp:http://host/mcp'")
        return cls(name, command=command)

    @property
    def label(self) -> str:
        """What people know it by: never its variables or headers, nor what stands in a URL besides the place."""
        if self.name:
            return self.name
        if self.url:
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        # What is told of a command stops before its arguments: they may hold secrets.
        words = [PurePath(self.command[0]).name]
        rest = [word for word in self.command[1:3] if word not in _OPTIONS_BEFORE_PROGRAM]
        if rest and not rest[0].startswith("-"):
            words.append(PurePath(rest[0]).name)
        return " ".join(words)


def read_addresses(file: Path) -> list[McpAddress]:
    """The servers of a TOML file: its tables ``[mcp.NAME]``, with ``command`` and ``env``, or ``url`` and ``headers``.

    Raises:
        UsageError: the file cannot be read, or a table cannot be used; the message names file and key.
    """
    tables = read_toml(file).get("mcp")
    if not isinstance(tables, dict) or not tables:
        raise UsageError(f"{file}: there is no MCP server in it; begin one with [mcp.NAME]")
    return [_read(name, table, f"{file}: mcp.{name}") for name, table in tables.items()]


def _read(name: str, table: Any, where: str) -> McpAddress:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: the name must be letters, digits, _ and -, beginning with a letter or _")
    if not isinstance(table, dict):
        raise UsageError(f"{where}: is no table; begin it with [mcp.{name}]")
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{where}.{key}: there is no such key; keys are {', '.join(_KEYS)}")
    if ("command" in table) == ("url" in table):
        raise UsageError(f'{where}: give one of command = ["…"] and url = "…"')
    wrong = "headers" if "command" in table else "env"
    if wrong in table:
        raise UsageError(f"{where}.{wrong}: belongs to a server with {'a url' if wrong == 'headers' else 'a command'}")
    pairs = _pairs(table.get("env", table.get("headers", {})), f"{where}.{'env' if wrong == 'headers' else 'headers'}")
    timeout = table.get("connect_timeout", CONNECT_SECONDS)
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 < timeout < _LONGEST_SECONDS:
        raise UsageError(f"{where}.connect_timeout: is {timeout!r}; a number of seconds above 0 is needed")
    if "url" in table:
        url = _checked_url(table["url"], f"{where}.url")
        return McpAddress(name, url=url, headers=pairs, connect_timeout=timeout)
    command = table["command"]
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise UsageError(f'{where}.command: must be a list of words: ["npx", "-y", "server"]')
    return McpAddress(name, command=tuple(command), env=pairs, connect_timeout=timeout)


def _pairs(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UsageError(f'{where}: must be a table of texts: {{NAME = "value"}}')
    return tuple(value.items())


def _checked_url(url: Any, where: str) -> str:
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        try:
            if urlsplit(url).hostname and (urlsplit(url).port or 1):
                return url
        except ValueError:
            pass
    raise UsageError(f"{where}: {url!r} is no URL; write http://host:port/mcp")

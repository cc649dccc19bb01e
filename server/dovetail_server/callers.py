"""Who calls: names, roles and tools, and the file of tokens that gives them."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any

from dovetail.errors import UsageError
from dovetail.toml_file import read_toml
from dovetail.tools.tool_names import ToolFilter
from dovetail_server.log import server_log

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ANYONE", "ROLES", "Caller", "TokenFile", "hash_of", "read_tokens"]

ROLES = ("run", "execute", "read")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what they may do.

    Attributes:
        name: the token's name, or the client certificate's.
        roles: of ``run``, ``execute`` and ``read``; ``run`` includes ``read``.
        tools: names and patterns (``db.*``) of tools that may be used or served. None for all.
        deny: names and patterns of tools that may not, whatever ``tools`` says.
    """

    name: str
    roles: frozenset[str]
    tools: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()

    def has(self, role: str) -> bool:
        """Whether this role was given, by itself or with another."""
        return role in self.roles or (role == "read" and "run" in self.roles)

    def allows(self, tool: str) -> bool:
        """Whether this tool may be used, or served by an executor."""
        return ToolFilter(None if self.tools is None else tuple(self.tools), tuple(self.deny)).passes(tool)


ANYONE = Caller("anonymous", frozenset(ROLES))


def hash_of(token: str) -> str:
    """What the file holds of a token: its SHA-256. Tokens are random and long, so that no slower hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Token:
    caller: Caller
    expires: float | None


class TokenFile:
    """The tokens of a file, which may be edited while the server runs.

    Tokens are found by their hash, so that the time which that takes tells nothing of them.

    Args:
        path: the file.

    Raises:
        UsageError: it cannot be read, or an entry cannot be used; the message names the file and the entry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stamp_now()
        self._tokens = read_tokens(path)

    def caller_of(self, token: str) -> Caller | None:
        """Who has this token; None if nobody has, or not any more."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._reload(stamp)
        # A client may send any string, also one that cannot be encoded.
        found = self._tokens.get(hash_of(token)) if token.isascii() else None
        if found is None or (found.expires is not None and time.time() >= found.expires):
            return None
        return found.caller

    def _stamp_now(self) -> tuple[int, int, int] | None:
        """What changes with the file; None while there is none, as between two steps of an editor."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _reload(self, stamp: tuple[int, int, int] | None) -> None:
        self._stamp = stamp
        try:
            self._tokens = read_tokens(self._path)
        except UsageError as error:
            server_log().error("tokens kept as they were", reason=str(error))
        else:
            server_log().info("tokens read again", file=str(self._path), tokens=len(self._tokens))


def read_tokens(path: Path) -> dict[str, _Token]:
    """Read a file of tokens, by their hashes.

    Raises:
        UsageError: it cannot be read, or an entry cannot be used.
    """
    content = read_toml(path)
    entries = content.pop("token", [])
    if content or not isinstance(entries, list):
        raise UsageError(
            f"{path}: a file of tokens holds [[token]] entries and nothing else; see `dovetail token --help`"
        )
    tokens: dict[str, _Token] = {}
    for number, entry in enumerate(entries, 1):
        try:
            sha256, token = _token_of(entry)
            if sha256 in tokens:
                raise ValueError("another entry has the same sha256; make a token of its own for each")
        except ValueError as error:
            name = entry.get("name") if isinstance(entry, dict) else None
            which = f"token {name!r}" if isinstance(name, str) else f"token {number}"
            raise UsageError(f"{path}: {which}: {error}") from error
        tokens[sha256] = token
    return tokens


def _token_of(entry: Any) -> tuple[str, _Token]:
    if not isinstance(entry, dict):
        raise ValueError("it is no table; begin each with [[token]]")  # noqa: TRY004 - one kind for all entries
    if unknown := entry.keys() - {"name", "sha256", "roles", "tools", "deny", "expires"}:
        raise ValueError(f"there is no key {min(unknown)!r}; there are name, sha256, roles, tools, deny and expires")
    name, sha256 = entry.get("name"), entry.get("sha256")
    if not isinstance(name, str) or not name:
        raise ValueError("it has no name")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError("sha256 is not 64 digits of lower-case hexadecimal; `dovetail token` makes an entry")
    roles = _names(entry, "roles")
    if not roles or not roles <= set(ROLES):
        raise ValueError(f"roles is {entry.get('roles')!r}; a list is needed of {', '.join(ROLES)}")
    caller = Caller(name, roles, _names(entry, "tools"), _names(entry, "deny") or frozenset())
    return sha256, _Token(caller, _end_of(entry.get("expires")))


def _names(entry: dict[str, Any], key: str) -> frozenset[str] | None:
    names = entry.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{key} is no list of names")
    return frozenset(names)


def _end_of(expires: object) -> float | None:
    """When a token ends to be valid: a day is its last one, in UTC; a time is the first moment that is too late."""
    if expires is None:
        return None
    if isinstance(expires, datetime):
        return (expires if expires.tzinfo else expires.replace(tzinfo=UTC)).timestamp()
    if isinstance(expires, date):
        return datetime.combine(expires + timedelta(days=1), time_of_day(), UTC).timestamp()
    raise ValueError(f"expires is {expires!r}; a day such as 2027-12-31 is needed, without quotes")

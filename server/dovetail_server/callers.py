"""Who calls: names, roles and tools, and the file of tokens that gives them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANYONE", "ROLES", "Caller"]

ROLES = frozenset({"run", "execute", "read"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what they may do.

    Attributes:
        name: the token's name, or the client certificate's.
        roles: of ``run``, ``execute`` and ``read``; ``run`` includes ``read``.
        tools: names of tools that may be used or served; a trailing ``*`` stands for any rest. None for all.
    """

    name: str
    roles: frozenset[str]
    tools: frozenset[str] | None = None

    def has(self, role: str) -> bool:
        """Whether this role was given, by itself or with another."""
        return role in self.roles or (role == "read" and "run" in self.roles)

    def allows(self, tool: str) -> bool:
        """Whether this tool may be used, or served by an executor."""
        if self.tools is None or tool in self.tools:
            return True
        return any(name.endswith("*") and tool.startswith(name[:-1]) for name in self.tools)


ANYONE = Caller("anonymous", ROLES)

"""The tools that runs may use: those of the server's own process and those of its executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dovetail.tools.policy_file import Policies
from dovetail.tools.tool_names import ToolFilter
from dovetail.tools.tool_set import ToolSet
from dovetail_server.executors import Executors
from dovetail_server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dovetail.tools.definition import Tool
    from dovetail_server.callers import Caller
    from dovetail_server.settings import ServerSettings
    from dovetail_server.tool_pool import ToolPool

__all__ = ["Catalogue"]

_MOST_SETS = 256


class Catalogue:
    """Every tool by its name, and the sets that runs were given.

    Args:
        own: the tools of the server's own process.
        settings: the limits of executors.
        policies: what the server's owner says of the tools of executors.

    Attributes:
        executors: the executors, with the tools that they serve.
    """

    def __init__(self, own: ToolSet, settings: ServerSettings, policies: Policies | None = None) -> None:
        self._filter = ToolFilter(settings.allow or None, settings.deny)
        self._own = own.passing(self._filter)
        self.executors = Executors(settings, own, policies or Policies({}), self._changed)
        # Compiled schemas are worth keeping: runs ask for the same few sets again and again.
        self._sets: dict[tuple[tuple[str, ...], frozenset[str] | None, frozenset[str]], ToolSet] = {}

    @property
    def own(self) -> ToolSet:
        """The tools of the server's own process, as they are now."""
        current = self._own.current()
        if current is not self._own:
            self._own = current
            self._changed()
        return self._own

    def _changed(self) -> None:
        self._sets.clear()

    def allows(self, name: str, caller: Caller) -> bool:
        """Whether the server's owner and the caller's token let this tool be used."""
        return self._filter.passes(name) and caller.allows(name)

    def find(self, name: str) -> Tool | ToolPool | None:
        """A tool of this process, or one that executors serve."""
        own = self.own.get(name)
        if own is not None:
            return own
        return next((pool for pool in self.executors.pools() if pool.tool.name == name), None)

    def choose(self, names: Sequence[str], caller: Caller) -> ToolSet:
        """The tools that a caller asks for by name, or all that it may use.

        Raises:
            Refusal: there is no such tool, or the caller may not use it.
        """
        own = self.own  # first, because a change of it empties the sets
        key = (tuple(names), caller.tools, caller.deny)
        known = self._sets.get(key)
        if known is None:
            known = ToolSet(self._chosen(own, names, caller))
            if len(self._sets) >= _MOST_SETS:
                self._sets.clear()
            self._sets[key] = known
        return known

    def _chosen(self, own: ToolSet, names: Sequence[str], caller: Caller) -> list[Tool]:
        # A tool that came to this process later has its name before that of an executor.
        served = {pool.tool.name: pool.tool for pool in self.executors.pools() if pool.tool.name not in own}
        every = {**{tool.name: tool for tool in own}, **served}
        if not names:
            return [tool for name, tool in every.items() if self.allows(name, caller)]
        for index, name in enumerate(names):
            if not self.allows(name, caller):
                raise Refusal.tool_not_allowed(name)
            if name not in every:
                raise Refusal.tool_not_found(name, f"tools[{index}]")
        return [every[name] for name in dict.fromkeys(names)]

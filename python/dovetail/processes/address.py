"""Where another process finds a function: its module, and its name in there. Nothing is pickled."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from dovetail.errors import ToolDefinitionError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FILE_MODULE", "FunctionAddress"]

FILE_MODULE: Final = "dovetail_tools_"
"""What the names of modules begin with that a SPEC's path was imported as: nobody finds them by name."""

_REMEDY: Final = "move it to the top level of a module or a file, or leave isolation out"

# What is being imported by `FunctionAddress.find`: a script that does its work again would never come to an end.
_imports: list[FunctionAddress] = []


@dataclass(frozen=True, slots=True)
class FunctionAddress:
    """A function of a module.

    Attributes:
        module: the name by which the module is imported; empty if it is a file.
        file: the path of the file that is imported; empty if it is a module.
        name: the function's name in there, with dots.
    """

    module: str
    file: str
    name: str

    @classmethod
    def of(cls, function: Callable[..., Any], tool: str) -> FunctionAddress:
        """Where a function is.

        Raises:
            ToolDefinitionError: no other process could find it: a lambda, a function inside another, a method of an
                object, one that was typed in at a prompt.
        """
        if os.name != "posix":
            raise ToolDefinitionError(f"tool {tool!r}: isolation='process' needs a POSIX system", field="isolation")
        name = getattr(function, "__qualname__", None)
        home = getattr(function, "__module__", None)
        owner = getattr(function, "__self__", None)
        if not isinstance(name, str) or not isinstance(home, str):
            raise _lost(tool, f"a {type(function).__name__} has no name by which it could be found")
        if "<lambda>" in name:
            raise _lost(tool, "a lambda has no name by which it could be found")
        if "<locals>" in name:
            raise _lost(tool, f"{name.replace('.<locals>', '')} is made inside another function")
        if owner is not None and not isinstance(owner, ModuleType):
            raise _lost(tool, f"{name} is bound to an object, which stays in this process")
        module = sys.modules.get(home)
        if module is None:
            raise _lost(tool, f"its module {home!r} cannot be imported")
        spec = getattr(module, "__spec__", None)
        file = getattr(module, "__file__", None)
        if home == "__main__" and spec is not None:  # python -m package.module
            return cls(spec.name, "", name)
        if home in ("__main__", "__mp_main__") or home.startswith(FILE_MODULE):
            if not file:
                raise _lost(tool, f"{name} stands in no file")
            return cls("", os.path.abspath(file), name)  # noqa: PTH100 - a Path would follow symbolic links
        return cls(home, "", name)

    def check(self, function: Callable[..., Any], tool: str) -> None:
        """See that what another process will find is this function, now that its module is complete.

        Raises:
            ToolDefinitionError: something else has its name.
            UsageError: this is the other process, and the module calls its tools while it is imported there.
        """
        if _imports:
            raise UsageError(
                f"tool {tool!r} is called while the process of an isolated tool imports "
                f"{_imports[-1].file or _imports[-1].module}; put what a script does under "
                '`if __name__ == "__main__":`'
            )
        found = _inside(sys.modules.get(function.__module__), self.name)
        if not any(one is function for one in _behind(found)):
            what = "nothing" if found is None else "something else"
            raise ToolDefinitionError(
                f"tool {tool!r}: isolation='process': {what} is named {self.name!r} in {self.file or self.module}, "
                "where another process looks for its function; give the function a name of its own there"
            )

    def find(self) -> Any:
        """The function, or a tool that was made of it. To be called in the other process: it imports the module.

        Raises:
            ToolDefinitionError: there is none of the name.
            Exception: the module cannot be imported.
        """
        # Imported here because they import this.
        from dovetail.tools.definition import Tool
        from dovetail.tools.tool_spec import load_module

        _imports.append(self)
        try:
            module = load_module(self.file) if self.file else importlib.import_module(self.module)
        finally:
            _imports.pop()
        found = _inside(module, self.name)
        if found is None:
            raise ToolDefinitionError(f"{self.file or self.module} has no {self.name!r}; it may have been changed")
        # Other decorators may stand above that of the tool.
        return next((one for one in _behind(found) if isinstance(one, Tool)), found)


def _inside(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)
    return module


def _behind(found: Any) -> Iterator[Any]:
    """An object, and what it was made of, from the outermost to the innermost."""
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = getattr(found, "function", None) or getattr(found, "__wrapped__", None)


def _lost(tool: str, why: str) -> ToolDefinitionError:
    return ToolDefinitionError(f"tool {tool!r}: isolation='process': {why}; {_REMEDY}", field="isolation")

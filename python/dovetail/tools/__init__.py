"""What a tool is: its spec, its policy, the function behind it, and the call that a backend is asked for.

`dovetail.calls` decides when calls are made; what makes them outside of this process is in `dovetail.processes` and
`dovetail.mcp`.
"""

from dovetail.tools.definition import FunctionTool, Tool, tool

__all__ = ["FunctionTool", "Tool", "tool"]

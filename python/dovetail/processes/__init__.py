"""Tools in processes of their own: ``@tool(isolation="process")``.

A call goes through `pool` (which process is free?) to `process` (this end of one child), over its pipes (`frames`) to
`child` (the program of the child) and `child_calls` (the tool is called), and its outcome comes back the same way.
"""

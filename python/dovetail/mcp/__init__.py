"""MCP: the tools of MCP servers in a tool set, and Dovetail as an MCP server. Takes the extra ``dovetail[mcp]``."""

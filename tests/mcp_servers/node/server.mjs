// An MCP server written with the SDK of Node, on standard input and output.
import { appendFileSync } from "node:fs";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const note = (line) => process.env.NOTES && appendFileSync(process.env.NOTES, `${line}\n`);
const server = new McpServer({ name: "node", version: "1.0.0" });

server.registerTool(
  "add",
  {
    description: "Adds two numbers.",
    inputSchema: { a: z.number(), b: z.number() },
    outputSchema: { sum: z.number() },
    annotations: { readOnlyHint: true },
  },
  async ({ a, b }) => ({ content: [{ type: "text", text: `${a + b}` }], structuredContent: { sum: a + b } }),
);

server.registerTool("echo", { inputSchema: { text: z.string() } }, async ({ text }) => ({
  content: [{ type: "text", text }],
}));

server.registerTool("fail", { inputSchema: {} }, async () => ({
  content: [{ type: "text", text: "it went wrong" }],
  isError: true,
}));

server.registerTool("slow", { inputSchema: {} }, async (_, { signal, sendNotification, _meta }) => {
  await sendNotification({
    method: "notifications/progress",
    params: { progressToken: _meta.progressToken, progress: 1, total: 2, message: "half" },
  });
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  note("slow was cancelled");
  return { content: [] };
});

server.registerTool("die", { inputSchema: {} }, async () => {
  process.stderr.write("out of memory, or so\n");
  process.exit(9);
});

note(`started ${process.pid}`);
await server.connect(new StdioServerTransport());

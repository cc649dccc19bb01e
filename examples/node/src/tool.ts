// The tool that this executor serves.

import { setTimeout as sleep } from "node:timers/promises";

import type { CallOutcome } from "./generated/dovetail/v1/CallOutcome.js";
import type { ToolSpec } from "./generated/dovetail/v1/ToolSpec.js";

/**
 * What planners are told of the tool. All executors that serve it must give the same spec, byte for byte, in whatever
 * language they are written.
 */
export const wordCount = {
  name: "word_count",
  description: "How many words a text has.",
  input_schema_json: JSON.stringify({
    type: "object",
    properties: {
      text: { type: "string" },
      delay_ms: { type: "integer", minimum: 0, description: "how long to take over it" },
    },
    required: ["text"],
    additionalProperties: false,
  }),
  output_schema_json: JSON.stringify({ type: "integer" }),
  // It changes nothing: when its executor is lost, the call is made again elsewhere.
  read_only: true,
} satisfies ToolSpec;

/** Carries out a call. A failure is an outcome like any other: it reaches the model that joins the outputs. */
export async function carryOut(argumentsJson: string, signal: AbortSignal): Promise<CallOutcome> {
  try {
    return { output_json: await countWords(argumentsJson, signal) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!signal.aborted) return { failure: { kind: "KIND_ERROR", message } };
    const isLate = signal.reason instanceof Error && signal.reason.name === "TimeoutError";
    return { failure: { kind: isLate ? "KIND_TIMEOUT" : "KIND_CANCELLED", message } };
  }
}

/** Takes a JSON object and returns a JSON value, both as text. The server has checked the object against the schema. */
async function countWords(argumentsJson: string, signal: AbortSignal): Promise<string> {
  const { text, delay_ms: delay = 0 } = JSON.parse(argumentsJson) as { text: string; delay_ms?: number };
  await sleep(delay, undefined, { signal });
  return JSON.stringify(text.split(/\s+/).filter(Boolean).length);
}

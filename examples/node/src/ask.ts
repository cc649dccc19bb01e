// Puts a question to a Dovetail server and follows the run to its answer.
//
//   node build/ask.js --server 127.0.0.1:50051 --question "How high is Mount Everest in feet?"

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";

import { status } from "@grpc/grpc-js";

import { connection, explain, isServiceError, metadata, pause, v1 } from "./connection.js";
import type { CreateRunRequest } from "./generated/dovetail/v1/CreateRunRequest.js";
import type { Event__Output as Event } from "./generated/dovetail/v1/Event.js";
import type { RunServiceClient } from "./generated/dovetail/v1/RunService.js";

// How many attempts in a row may end without a new event before the server is given up.
const PATIENCE = 10;

/** What this client knows of its run. */
class Run {
  sequence = "0"; // of the last event seen
  answer?: string;
  failure = "the stream ended without an answer";

  constructor(
    readonly runs: RunServiceClient,
    readonly request: CreateRunRequest,
  ) {}

  /**
   * Creates the run unless that is known to be done, and watches it from where it was last seen. Returns behind the run's
   * last event.
   */
  async follow(): Promise<void> {
    if (this.sequence === "0") await this.create();
    const stream = this.runs.watchRun({ run_id: this.request.run_id, after_sequence: this.sequence }, metadata());
    // Events come in batches: as many as were at hand.
    for await (const { events } of stream) events.forEach((event: Event) => this.take(event));
  }

  private create(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.runs.createRun(this.request, metadata(), (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Remembers what matters of an event, and prints it. */
  private take(event: Event): void {
    this.sequence = event.sequence;
    if (event.run_answered) this.answer = event.run_answered.answer;
    if (event.run_ended?.failure) this.failure = `${event.run_ended.failure.reason}: ${event.run_ended.failure.message}`;
    // A later version of the server may record facts that we do not know.
    console.log(`${event.sequence.padStart(3)} ${event.fact ?? "unknown"} ${detail(event)}`.trimEnd());
  }
}

/** What is worth reading of some facts. */
function detail(event: Event): string {
  switch (event.fact) {
    case "thought_written":
      return event.thought_written!.text;
    case "task_planned":
      return `${event.task_planned!.task_id} ${event.task_planned!.tool}`;
    case "task_ready":
      return `${event.task_ready!.task_id} ${event.task_ready!.arguments_json}`;
    case "call_started":
      return `${event.call_started!.task_id} ${event.call_started!.executor_id}`;
    case "task_succeeded":
      return `${event.task_succeeded!.task_id} ${event.task_succeeded!.output_json}`;
    case "task_failed":
      return `${event.task_failed!.task_id} ${event.task_failed!.failure?.message}`;
    case "answer_text":
      return event.answer_text!.text;
    default:
      return "";
  }
}

async function ask(server: string, authorities: string | undefined, question: string): Promise<string> {
  const runs = new v1.RunService(...connection(server, authorities));
  // The name of the run is ours to choose, so a request whose reply was lost can be repeated: it returns the same run.
  const run = new Run(runs, { run_id: `node-${randomUUID()}`, question });
  for (let failures = 0; ; failures++) {
    const before = run.sequence;
    try {
      await run.follow();
      break;
    } catch (error) {
      if (run.sequence !== before) failures = 0;
      // A run belongs to the server and goes on without us. Of all codes only UNAVAILABLE may be different next time.
      const isLost = isServiceError(error) && error.code === status.UNAVAILABLE;
      if (!isLost || failures >= PATIENCE) throw error;
      console.error(`attaching again behind event ${run.sequence}: ${explain(error)}`);
      await pause(failures);
    }
  }
  runs.close();
  if (run.answer === undefined) throw new Error(`the run has no answer: ${run.failure}`);
  return run.answer;
}

const { values } = parseArgs({
  options: {
    server: { type: "string", default: "127.0.0.1:50051" },
    ca: { type: "string" }, // PEM file of the authorities to trust; turns TLS on
    question: { type: "string", default: "" },
  },
});
try {
  console.log(await ask(values.server, values.ca, values.question));
} catch (error) {
  console.error(`ask: ${explain(error)}`);
  process.exitCode = 1;
}

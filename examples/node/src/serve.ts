// An executor: attaches to a Dovetail server and serves the tool word_count to its plans.
//
//   node build/serve.js --server 127.0.0.1:50051
//
// SIGTERM and Ctrl-C drain it: what it is doing is finished, then it leaves. A second one ends it at once.

import { hostname } from "node:os";
import { parseArgs } from "node:util";

import { status } from "@grpc/grpc-js";

import { connection, explain, isServiceError, pause, reason, v1 } from "./connection.js";
import { Executor } from "./executor.js";

// With these codes the same hello would meet the same refusal again.
const FINAL = new Set([
  status.INVALID_ARGUMENT,
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
]);

function isFinal(error: unknown): boolean {
  if (isServiceError(error) && FINAL.has(error.code)) return true;
  // Another process attached under our executor id: to fight it for the session would help nobody.
  return reason(error) === "SESSION_TAKEN_OVER";
}

/** Attaches, and attaches again whenever the stream breaks, until the executor is drained. */
async function serve(server: string, authorities: string | undefined, parallel: number): Promise<void> {
  const service = new v1.ExecutorService(...connection(server, authorities));
  // The same as long as the process lives, so that a broken session can be resumed, and another one in each process.
  const executor = new Executor(`${hostname()}-node-${process.pid}`, parallel);
  let isDraining = false;
  const drain = () => {
    process.off("SIGTERM", drain).off("SIGINT", drain); // from now on a signal does what it does to any process
    console.log("draining");
    isDraining = true;
    executor.drain();
  };
  process.on("SIGTERM", drain).on("SIGINT", drain);

  for (let failures = 0; ; failures++) {
    try {
      await executor.attach(service);
      break;
    } catch (error) {
      if (isFinal(error)) throw error;
      if (isDraining && executor.isIdle) break;
      if (executor.wasWelcomed) failures = 0;
      console.error(`attaching again: ${explain(error)}`);
      await pause(failures);
    }
  }
  service.close();
}

const { values } = parseArgs({
  options: {
    server: { type: "string", default: "127.0.0.1:50051" },
    ca: { type: "string" }, // PEM file of the authorities to trust; turns TLS on
    "max-parallel": { type: "string", default: "8" },
  },
});
try {
  await serve(values.server, values.ca, Number(values["max-parallel"]));
  process.exit();
} catch (error) {
  console.error(`serve: ${explain(error)}`);
  process.exit(1);
}

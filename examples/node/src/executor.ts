// What outlives a stream: the calls that are being carried out, and the results that the server has not recorded.

import type { ClientDuplexStream } from "@grpc/grpc-js";

import { metadata } from "./connection.js";
import type { AttachRequest } from "./generated/dovetail/v1/AttachRequest.js";
import type { AttachResponse__Output as AttachResponse } from "./generated/dovetail/v1/AttachResponse.js";
import type { CallResult } from "./generated/dovetail/v1/CallResult.js";
import type { ExecutorCall__Output as ExecutorCall } from "./generated/dovetail/v1/ExecutorCall.js";
import type { ExecutorServiceClient } from "./generated/dovetail/v1/ExecutorService.js";
import type { Welcome__Output as Welcome } from "./generated/dovetail/v1/Welcome.js";
import type { Duration__Output as Duration } from "./generated/google/protobuf/Duration.js";
import { carryOut, wordCount } from "./tool.js";

/** The stream ended in a way that another one may heal. */
export class LostError extends Error {}

export class Executor {
  private readonly running = new Map<string, AbortController>();
  private readonly results = new Map<string, CallResult>();
  wasWelcomed = false; // on the latest stream
  private fencingNumber = "0";
  private isDraining = false;
  private isQuiet = false; // no further call will come
  private isLeaving = false;
  private stream?: ClientDuplexStream<AttachRequest, AttachResponse>;

  constructor(
    readonly id: string,
    readonly maxParallel: number,
  ) {}

  get isIdle(): boolean {
    return this.running.size === 0 && this.results.size === 0;
  }

  /** Serves on one stream. Returns once the executor was drained and has left; throws if the stream broke or was refused. */
  async attach(service: ExecutorServiceClient): Promise<void> {
    const stream = (this.stream = service.attach(metadata()));
    this.wasWelcomed = this.isQuiet = this.isLeaving = false;
    let pulse: NodeJS.Timeout | undefined;
    let silence: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const listen = (lease: number) => {
          clearTimeout(silence);
          silence = setTimeout(() => reject(new LostError(`the server was not heard for ${lease} ms`)), lease);
        };
        let lease = 10_000; // until the welcome says better
        listen(lease);
        stream.on("data", (message: AttachResponse) => {
          if (message.welcome) {
            this.enter(message.welcome);
            lease = milliseconds(message.welcome.lease) || lease;
            const interval = milliseconds(message.welcome.heartbeat_interval) || 2_000;
            pulse = setInterval(() => this.send({ heartbeat: this.heartbeat() }), interval);
          }
          listen(lease);
          this.take(message);
        });
        stream.on("error", reject);
        stream.on("end", () => (this.isLeaving ? resolve() : reject(new LostError("the server ended the stream"))));
        // The server sends again what it had given out and we never saw.
        stream.write({
          hello: {
            executor_id: this.id,
            tools: [wordCount],
            max_parallel_calls: this.maxParallel,
            fencing_number: this.fencingNumber,
            known_call_ids: [...this.running.keys(), ...this.results.keys()],
          },
        });
      });
    } finally {
      clearInterval(pulse);
      clearTimeout(silence);
      this.stream = undefined;
      stream.on("error", () => {}).cancel();
    }
  }

  /** Takes no further calls, and leaves when those that are out are finished and recorded. */
  drain(): void {
    this.isDraining = true;
    if (this.wasWelcomed) this.sayDrain();
  }

  /** When this heartbeat has come back, the server has read the drain, and no further call is on its way. */
  private sayDrain(): void {
    this.send({ drain: {}, heartbeat: this.heartbeat() });
  }

  private heartbeat() {
    return { number: this.isDraining ? 1 : 0 };
  }

  private send(message: AttachRequest): void {
    this.stream?.write(message);
  }

  /** Begins a session, or resumes the one that there was. What we know and the server does not want any more it cancels. */
  private enter(welcome: Welcome): void {
    this.fencingNumber = welcome.fencing_number;
    this.wasWelcomed = true;
    console.log(`serving ${wordCount.name} as ${this.id}, resumed: ${welcome.resumed}`);
    this.send({ results: [...this.results.values()] });
    if (this.isDraining) this.sayDrain();
  }

  /** Does what a message says. */
  private take(message: AttachResponse): void {
    for (const id of message.cancelled_call_ids) {
      this.running.get(id)?.abort();
      this.running.delete(id);
      this.results.delete(id);
    }
    for (const call of message.calls) void this.carryOut(call);
    for (const id of message.recorded_call_ids) this.results.delete(id);
    for (const refused of message.refused_results) this.results.delete(refused.call_id);
    if (message.heartbeat?.number === "1") this.isQuiet = true;
    this.leaveIfDone();
  }

  /** Carries out a call beside the others. The server never has more out than `max_parallel_calls`. */
  private async carryOut(call: ExecutorCall): Promise<void> {
    if (this.running.has(call.call_id) || this.results.has(call.call_id)) return; // comes again because a stream broke
    const controller = new AbortController();
    this.running.set(call.call_id, controller);
    const signals = [controller.signal];
    if (call.timeout) signals.push(AbortSignal.timeout(milliseconds(call.timeout)));
    const outcome = await carryOut(call.arguments_json, AbortSignal.any(signals));
    if (!this.running.delete(call.call_id)) return; // stopped: nobody wants the result
    const result = { call_id: call.call_id, fencing_number: call.fencing_number, outcome };
    this.results.set(call.call_id, result); // kept until it is recorded: the stream may break now
    if (this.wasWelcomed) this.send({ results: [result] });
  }

  private leaveIfDone(): void {
    if (!this.isQuiet || !this.isIdle || this.isLeaving) return;
    this.isLeaving = true;
    this.send({ goodbye: { reason: "drained" } });
    this.stream?.end();
  }
}

function milliseconds(duration: Duration | null): number {
  return duration ? Math.ceil(Number(duration.seconds) * 1_000 + duration.nanos / 1_000_000) : 0;
}

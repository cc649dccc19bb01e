// Reaches a Dovetail server, and reads why it refuses something.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

import { credentials, loadPackageDefinition, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import protobuf from "protobufjs";

import type { ProtoGrpcType as ExecutorTypes } from "./generated/executor_service.js";
import type { ProtoGrpcType as RunTypes } from "./generated/run_service.js";

// The options are those that the types were generated with. 64-bit integers are strings: a number would lose digits.
const definition = loadSync(["dovetail/v1/run_service.proto", "dovetail/v1/executor_service.proto"], {
  includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});
export const v1 = (loadPackageDefinition(definition) as unknown as RunTypes & ExecutorTypes).dovetail.v1;

/** How each stub is made: `new v1.RunService(...connection(server, ca))`. The connection is made at the first call. */
export function connection(server: string, authorities?: string) {
  // With the PEM file of the authorities to trust it speaks TLS.
  const security = authorities ? credentials.createSsl(readFileSync(authorities)) : credentials.createInsecure();
  const options = {
    // Without pings a server that vanished looks like one that has nothing to say.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 5_000,
  };
  return [server, security, options] as const;
}

/** What goes along with every call: the token, if the server asks for one, from DOVETAIL_TOKEN. */
export function metadata(): Metadata {
  const metadata = new Metadata();
  const token = process.env.DOVETAIL_TOKEN;
  if (token) metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}

// A refusal carries a google.rpc.Status, which grpc-js leaves as bytes.
const { root } = protobuf.parse(
  `syntax = "proto3";
  message Status { repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message ErrorInfo { string reason = 1; string domain = 2; }`,
  { keepCase: true },
);
const Status = root.lookupType("Status");
const ErrorInfo = root.lookupType("ErrorInfo");

/**
 * The reason of a refusal, a name of the enum ErrorReason in error.proto without its prefix, such as RUN_NOT_FOUND;
 * "" if the error is no refusal of a Dovetail server.
 */
export function reason(error: unknown): string {
  const bytes = isServiceError(error) ? error.metadata.get("grpc-status-details-bin")[0] : undefined;
  if (!(bytes instanceof Uint8Array)) return "";
  const { details } = Status.toObject(Status.decode(bytes), { arrays: true });
  for (const detail of details) {
    if (detail.type_url !== "type.googleapis.com/google.rpc.ErrorInfo") continue;
    const info = ErrorInfo.toObject(ErrorInfo.decode(detail.value), { defaults: true });
    if (info.domain === "dovetail") return info.reason;
  }
  return "";
}

/** What went wrong: the code and the reason for programs, the message for people. */
export function explain(error: unknown): string {
  if (!isServiceError(error)) return error instanceof Error ? error.message : String(error);
  const why = reason(error);
  return `${status[error.code]}${why && ` (${why})`}: ${error.details}`;
}

/**
 * Waits before another attempt, longer after each failure. How long is random, so that many clients which lost a server
 * together do not come back together.
 */
export async function pause(failures: number): Promise<void> {
  await sleep(Math.random() * Math.min(100 * 2 ** failures, 5_000));
}

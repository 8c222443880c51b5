// A thread of the runner child that ends it once the parent is gone, even while the main thread is
// blocked in the kernel for ever. Reads nothing: end-of-file on the lifeline is the word.
import { Socket } from "node:net";
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { LIFELINE_FD } from "./messages.ts";
import { removeScratch } from "./scratch.ts";
import { unstick } from "./stuck-child.ts";

const directory: unknown = workerData;

function die(): void {
  if (typeof directory === "string") removeScratch(directory);
  // Not even a kill ends a wait that goes round in the kernel.
  unstick("self");
  process.kill(process.pid, "SIGKILL");
}

new Socket({ fd: LIFELINE_FD, readable: true, writable: false }).on("error", die).on("end", die).on("close", die).resume();
// From here on this thread opens no file: descriptors are the programs' own.
parentPort?.postMessage("watching");

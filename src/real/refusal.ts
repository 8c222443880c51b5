// Why this machine refuses io_uring, in a sentence that says what to do: reads what /proc tells.
import { readFileSync } from "node:fs";
import { EACCES, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM } from "../spec/constants.gen.ts";

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** /proc/sys/kernel/io_uring_disabled: 0, 1 (unprivileged processes), 2 (all); undefined before Linux 6.6. */
export function ioUringDisabled(): number | undefined {
  const text = readText("/proc/sys/kernel/io_uring_disabled");
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/** The `Seccomp:` field of /proc/self/status: 0 none, 1 strict, 2 filtered. */
export function seccompMode(): number | undefined {
  const field = /^Seccomp:\s*(\d+)/m.exec(readText("/proc/self/status") ?? "");
  return field?.[1] === undefined ? undefined : Number.parseInt(field[1], 10);
}

/** The soft limit of locked memory in bytes; Infinity where there is none. */
export function memlockBytes(): number | undefined {
  const field = /^Max locked memory\s+(\S+)/m.exec(readText("/proc/self/limits") ?? "");
  if (field?.[1] === undefined) return undefined;
  return field[1] === "unlimited" ? Infinity : Number.parseInt(field[1], 10);
}

/** The container that this process seems to run in. */
export function container(): string | undefined {
  if (readText("/.dockerenv") !== undefined) return "docker";
  if (readText("/run/.containerenv") !== undefined) return "podman";
  const named = process.env["container"];
  if (named !== undefined && named !== "") return named;
  return /docker|kubepods|containerd|lxc/.exec(readText("/proc/1/cgroup") ?? "")?.[0];
}

/** What an errno of io_uring_setup means here. */
export function explainRefusal(errno: number): string {
  const where = container();
  const inContainer = where === undefined ? "" : ` (this is a ${where} container: its default seccomp profile forbids io_uring; run it with --security-opt seccomp=unconfined or a profile that allows io_uring_setup, io_uring_enter and io_uring_register)`;
  if (errno === ENOSYS) return `this kernel was built without io_uring, is older than 5.1, or a seccomp filter hides it${inContainer}`;
  if (errno === EPERM || errno === EACCES) {
    const disabled = ioUringDisabled();
    if (disabled === 2) return "io_uring is switched off for everyone; sysctl kernel.io_uring_disabled=0 turns it on";
    if (disabled === 1) {
      return "io_uring is switched off for unprivileged processes; sysctl kernel.io_uring_disabled=0, or join the group that kernel.io_uring_group names";
    }
    if (seccompMode() === 2) return `a seccomp filter forbids io_uring${inContainer}`;
    return `io_uring is not permitted to this process (a security module?)${inContainer}`;
  }
  if (errno === ENOMEM) {
    const limit = memlockBytes();
    return `out of memory or over the limit of locked memory (${limit ?? "unknown"} bytes; rings count against it until they are torn down): ulimit -l`;
  }
  if (errno === EMFILE || errno === ENFILE) return "too many open descriptors: ulimit -n";
  return `errno ${errno}`;
}

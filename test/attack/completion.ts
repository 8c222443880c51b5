// Changes inside one completion: its result, its flags, its user_data.
import {
  EAGAIN, EALREADY, EBADF, ECANCELED, EFAULT, EINVAL, ENOENT, ETIME, IORING_CQE_F_32, IORING_CQE_F_BUF_MORE, IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE, IORING_CQE_F_NOTIF, IORING_CQE_F_SOCK_NONEMPTY, IORING_CQE_BUFFER_SHIFT,
} from "../../src/spec/constants.gen.ts";
import type { Draw } from "./draw.ts";
import type { Mutator } from "./mutate.ts";
import { completions, withCqe } from "./place.ts";

const ERRNOS = [EAGAIN, EALREADY, EBADF, ECANCELED, EFAULT, EINVAL, ENOENT, ETIME];
const FLAGS = [
  IORING_CQE_F_BUFFER, IORING_CQE_F_MORE, IORING_CQE_F_SOCK_NONEMPTY, IORING_CQE_F_NOTIF, IORING_CQE_F_BUF_MORE, IORING_CQE_F_32,
  1 << IORING_CQE_BUFFER_SHIFT,
];

/** Another result than this: a near one, none, or another errno. */
export function otherResult(draw: Draw, old: number): number {
  const near = [old + 1, old - 1, 0, -old];
  const others = [...near, ...near, ...ERRNOS.map((errno) => -errno)].map((n) => n | 0).filter((n) => n !== old);
  return draw.pick(others) ?? old + 1;
}

export const res: Mutator = (events, draw) => {
  const place = draw.pick(completions(events));
  if (place === undefined) return undefined;
  const { cqe } = place;
  const other = otherResult(draw, cqe.res);
  return withCqe(events, place, { ...cqe, res: other }, `res: ${cqe.res} is now ${other}`);
};

export const flags: Mutator = (events, draw) => {
  const place = draw.pick(completions(events));
  if (place === undefined) return undefined;
  const { cqe } = place;
  const other = (cqe.flags ^ (draw.pick(FLAGS) ?? IORING_CQE_F_MORE)) >>> 0;
  return withCqe(events, place, { ...cqe, flags: other }, `flags: 0x${cqe.flags.toString(16)} is now 0x${other.toString(16)}`);
};

export const userData: Mutator = (events, draw) => {
  const places = completions(events);
  const place = draw.pick(places);
  if (place === undefined) return undefined;
  const { cqe } = place;
  const given = places.map((p) => p.cqe.userData).filter((u) => u !== cqe.userData);
  const made = [cqe.userData + 1n, cqe.userData ^ (1n << 63n)].map((u) => BigInt.asUintN(64, u));
  const other = (draw.below(2) === 0 ? draw.pick(given) : undefined) ?? draw.pick(made) ?? 0n;
  return withCqe(events, place, { ...cqe, userData: other }, `userData: 0x${cqe.userData.toString(16)} is now 0x${other.toString(16)}`);
};

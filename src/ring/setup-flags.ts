// Which IORING_SETUP_* flags a driver may be opened with. The others change what the rings look like or
// how they are used in ways that this driver does not follow yet; a raw ring (kernel.setup) takes them all.
import {
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQPOLL,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  SETUP_FLAGS,
} from "../spec/constants.gen.ts";

const SUPPORTED =
  IORING_SETUP_SQPOLL |
  IORING_SETUP_CQSIZE |
  IORING_SETUP_CLAMP |
  IORING_SETUP_SUBMIT_ALL |
  IORING_SETUP_COOP_TASKRUN |
  IORING_SETUP_TASKRUN_FLAG |
  IORING_SETUP_SINGLE_ISSUER |
  IORING_SETUP_DEFER_TASKRUN |
  IORING_SETUP_NO_SQARRAY;

/** Throws where `flags` holds a bit that the driver does not support, and names it. */
export function checkSetupFlags(flags: number): void {
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xffff_ffff)
    throw new RangeError(`flags must be IORING_SETUP_* bits, an integer from 0 to 2**32 - 1, not ${String(flags)}`);
  const refused = (flags & ~SUPPORTED) >>> 0;
  if (refused === 0) return;
  const names = SETUP_FLAGS.filter(({ value }) => (refused & value) !== 0).map(({ name }) => name);
  const what = names.length > 0 ? names.join(", ") : `0x${refused.toString(16)}`;
  throw new Error(`the driver does not support ${what}: leave it out, or use a raw ring of kernel.setup()`);
}

// What a user who may lock little memory is refused: run under a small RLIMIT_MEMLOCK and without CAP_IPC_LOCK.
// Prints one line of JSON.
import { createRealKernel } from "../../../src/real/linux-kernel.ts";
import { memlockAnswers } from "../rule/memlock-answers.ts";

console.log(JSON.stringify(memlockAnswers(createRealKernel())));

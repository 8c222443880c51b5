// The part of an emitted C program that is the same for all: a ring by raw system calls, and what program/interpreter.ts
// does for each operation. It names no header of io_uring's, so that it compiles wherever there is a C compiler.
import { CQE, GETEVENTS_ARG, KERNEL_TIMESPEC, PARAMS, SQE, SYNC_CANCEL_REG } from "../../spec/codec.gen.ts";
import {
  IORING_ASYNC_CANCEL_ANY, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_OFF_SQES, IORING_OFF_SQ_RING, IORING_REGISTER_SYNC_CANCEL,
  IORING_SETUP_CQE32, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128,
} from "../../spec/constants.gen.ts";
import { SETTLE_ROUNDS, WAIT_NS } from "../interpreter.ts";

/** Longer than the timers that a settling waits for, and shorter than those that it cancels. */
const QUIET_NS = 40_000_000;

export const RUNTIME = `#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#define __NR_io_uring_register 427
#endif

enum {
  GETEVENTS = ${IORING_ENTER_GETEVENTS}, EXT_ARG = ${IORING_ENTER_EXT_ARG},
  NO_SQARRAY = ${IORING_SETUP_NO_SQARRAY}, SQE128 = ${IORING_SETUP_SQE128}, CQE32 = ${IORING_SETUP_CQE32},
  REGISTER_SYNC_CANCEL = ${IORING_REGISTER_SYNC_CANCEL}, CANCEL_ANY = ${IORING_ASYNC_CANCEL_ANY},
  ROUNDS = ${SETTLE_ROUNDS}
};

struct sqe {
  uint8_t opcode, flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t off, addr;
  uint32_t len, op_flags;
  uint64_t user_data;
  uint16_t buf_index, personality;
  int32_t splice_fd_in;
  uint64_t addr3, pad;
};
struct cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};
struct params {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
  struct { uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1; uint64_t user_addr; } sq;
  struct { uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1; uint64_t user_addr; } cq;
};
struct timespec64 { int64_t seconds, nanoseconds; };
_Static_assert(sizeof(struct sqe) == ${SQE.size} && sizeof(struct cqe) == ${CQE.size} && sizeof(struct params) == ${PARAMS.size}, "structs of the kernel's");

int ring = -1;
struct params p;
uint8_t *ring_memory, *sqes, *fault;
uint32_t sq_tail, sq_published, sq_head, cq_head, seen_tail;
int opened[64], opened_count;
int is_open(uint64_t user_data);

uint32_t load(uint32_t at) { return __atomic_load_n((uint32_t *)(ring_memory + at), __ATOMIC_ACQUIRE); }
void store(uint32_t at, uint32_t value) { __atomic_store_n((uint32_t *)(ring_memory + at), value, __ATOMIC_RELEASE); }
long result(long value) { return value < 0 ? -errno : value; }
uint64_t at(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

void die(const char *what) {
  fprintf(stderr, "%s: %s\\n", what, strerror(errno));
  exit(2);
}

/* FNV-1a */
uint32_t digest(const uint8_t *bytes, long size) {
  uint32_t sum = 0x811c9dc5u;
  for (long i = 0; i < size; i++) sum = (sum ^ bytes[i]) * 0x01000193u;
  return sum;
}

/* "read 8 1a2b3c4d": what a call returned, and what it read. */
void say(const char *what, long value, const uint8_t *bytes) {
  if (bytes != NULL && value > 0) printf("%s %ld %08x\\n", what, value, digest(bytes, value));
  else printf("%s %ld\\n", what, value);
}

/* Prints the completions that came since the last look. */
void peek(void) {
  uint32_t tail = load(p.cq.tail);
  uint32_t fresh = tail - seen_tail;
  if (fresh > p.cq_entries) fresh = p.cq_entries;
  for (uint32_t i = tail - fresh; i != tail; i++) {
    const struct cqe *cqe = (const struct cqe *)(ring_memory + p.cq.cqes) + (size_t)(i & (p.cq_entries - 1)) * ((p.flags & CQE32) ? 2 : 1);
    if (is_open(cqe->user_data) && cqe->res >= 0) {
      if (opened_count < 64) opened[opened_count++] = cqe->res;
      printf("cqe 0x%llx fd 0x%x\\n", (unsigned long long)cqe->user_data, cqe->flags);
    } else {
      printf("cqe 0x%llx %d 0x%x\\n", (unsigned long long)cqe->user_data, cqe->res, cqe->flags);
    }
  }
  seen_tail = tail;
}

int opened_fd(int n, int otherwise) { return opened_count == 0 ? otherwise : opened[n % opened_count]; }

/* 0 where the ring was refused. */
int setup(uint32_t entries, struct params asked) {
  p = asked;
  ring = (int)syscall(__NR_io_uring_setup, entries, &p);
  printf("setup %d\\n", ring < 0 ? -errno : 0);
  if (ring < 0) return 0;
  size_t size = p.cq.cqes + (size_t)p.cq_entries * sizeof(struct cqe) * ((p.flags & CQE32) ? 2 : 1);
  size_t array = p.sq.array + (size_t)p.sq_entries * 4;
  if (!(p.flags & NO_SQARRAY) && array > size) size = array;
  ring_memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, ${IORING_OFF_SQ_RING});
  sqes = mmap(NULL, (size_t)p.sq_entries * sizeof(struct sqe) * ((p.flags & SQE128) ? 2 : 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, ${IORING_OFF_SQES});
  if (ring_memory == MAP_FAILED || sqes == MAP_FAILED) die("mmap");
  if (!(p.flags & NO_SQARRAY))
    for (uint32_t i = 0; i < p.sq_entries; i++) store(p.sq.array + 4 * i, i);
  sq_tail = sq_published = load(p.sq.tail);
  sq_head = load(p.sq.head);
  cq_head = load(p.cq.head);
  seen_tail = load(p.cq.tail);
  return 1;
}

void *memory(size_t size) {
  void *bytes = calloc(1, size == 0 ? 1 : size);
  if (bytes == NULL) die("calloc");
  return bytes;
}

long enter(uint32_t to_submit, uint32_t min_complete, uint32_t flags, const void *arg, size_t size) {
  peek();
  long value = result(syscall(__NR_io_uring_enter, ring, to_submit, min_complete, flags, arg, size));
  return value;
}

/* struct io_uring_getevents_arg, and the time behind it */
uint8_t wait_arg[${GETEVENTS_ARG.size + KERNEL_TIMESPEC.size}] __attribute__((aligned(16)));
const void *bound(int64_t seconds, int64_t nanoseconds, const void *time) {
  struct timespec64 ts = { seconds, nanoseconds };
  uint64_t where = at(time != NULL ? time : wait_arg + ${GETEVENTS_ARG.size});
  memset(wait_arg, 0, ${GETEVENTS_ARG.size});
  memcpy(wait_arg + ${GETEVENTS_ARG.ts}, &where, sizeof where);
  memcpy(wait_arg + ${GETEVENTS_ARG.size}, &ts, sizeof ts);
  return wait_arg;
}

uint8_t *slot_at(uint32_t slot) { return sqes + (size_t)(slot & (p.sq_entries - 1)) * sizeof(struct sqe) * ((p.flags & SQE128) ? 2 : 1); }
void fill(uint32_t slot, struct sqe sqe) { memcpy(slot_at(slot), &sqe, sizeof sqe); }

void submit(uint32_t wait, uint32_t flags) {
  if (sq_tail != sq_published) store(p.sq.tail, sq_tail);
  sq_published = sq_tail;
  sq_head = load(p.sq.head);
  uint32_t queued = sq_tail - sq_head;
  long value = wait == 0 ? enter(queued, 0, flags, NULL, 0) : enter(queued, wait, GETEVENTS | EXT_ARG, bound(0, ${WAIT_NS}, NULL), ${GETEVENTS_ARG.size});
  say("enter", value, NULL);
  peek();
}

/* The head is loaded anew only where the queue looks full. */
int is_full(void) {
  if (sq_tail - sq_head >= p.sq_entries) sq_head = load(p.sq.head);
  return sq_tail - sq_head >= p.sq_entries;
}

/* The next slot, zeroed; where the queue is full it is submitted first. -1: that made no room. */
int next_slot(void) {
  if (is_full()) submit(0, 0);
  if (is_full()) return -1;
  memset(slot_at(sq_tail), 0, sizeof(struct sqe) * ((p.flags & SQE128) ? 2 : 1));
  return (int)(sq_tail++ & (p.sq_entries - 1));
}

void reap(uint32_t max) {
  peek();
  uint32_t visible = seen_tail - load(p.cq.head);
  if (max > visible) max = visible;
  if (max > p.cq_entries) max = p.cq_entries;
  if (max > seen_tail - cq_head) max = seen_tail - cq_head;
  cq_head += max;
  if (max > 0) store(p.cq.head, cq_head);
}

/* Waits until nothing has come for a while. */
void settle(void) {
  peek();
  for (;;) {
    uint32_t visible = seen_tail - load(p.cq.head);
    if (visible >= p.cq_entries) {
      uint32_t head = load(p.cq.head);
      reap(p.cq_entries);
      /* a head that was stored beyond the tail makes no room */
      if (load(p.cq.head) == head) return;
      continue;
    }
    uint32_t before = seen_tail;
    enter(0, visible + 1, GETEVENTS | EXT_ARG, bound(0, ${QUIET_NS}, NULL), ${GETEVENTS_ARG.size});
    peek();
    if (seen_tail == before) return;
  }
}

/* Cancels what is left, and takes out what comes of it. */
void finish(void) {
  uint8_t arg[${SYNC_CANCEL_REG.size}] __attribute__((aligned(16))) = { 0 };
  uint32_t any = CANCEL_ANY;
  struct timespec64 forever = { -1, -1 };
  memcpy(arg + ${SYNC_CANCEL_REG.flags}, &any, sizeof any);
  memcpy(arg + ${SYNC_CANCEL_REG.timeout}, &forever, sizeof forever);
  for (int round = 0; round < ROUNDS; round++) {
    settle();
    reap(p.cq_entries);
    if (result(syscall(__NR_io_uring_register, ring, REGISTER_SYNC_CANCEL, arg, 1)) < 0 && round > 0) return;
  }
}

/* read(2) and write(2) that never wait */
long move_bytes(int fd, void *bytes, size_t size, int write_it) {
  struct stat status;
  struct iovec vector = { bytes, size };
  int waits = fstat(fd, &status) < 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
  if (waits) {
    long moved = write_it ? pwritev2(fd, &vector, 1, -1, RWF_NOWAIT) : preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
    if (moved >= 0 || errno != EOPNOTSUPP) return result(moved);
    /* an eventfd, which can't be written that way */
    struct pollfd asked = { fd, write_it ? POLLOUT : POLLIN, 0 };
    if (poll(&asked, 1, 0) != 1) return -EAGAIN;
  }
  return result(write_it ? write(fd, bytes, size) : read(fd, bytes, size));
}

void call_read(int fd, size_t size) {
  if (fd < 0) return;
  peek();
  uint8_t *bytes = memory(size);
  say("read", move_bytes(fd, bytes, size, 0), bytes);
  free(bytes);
  peek();
}

void call_write(int fd, size_t size, int byte) {
  if (fd < 0) return;
  peek();
  uint8_t *bytes = memory(size);
  memset(bytes, byte, size);
  say("write", move_bytes(fd, bytes, size, 1), NULL);
  free(bytes);
  peek();
}

void call_close(int fd) {
  if (fd < 0) return;
  peek();
  say("close", result(close(fd)), NULL);
  peek();
}

/* What is there at the end: "look f0 16 1a2b3c4d". Not of what was closed. */
void look(const char *name, int fd, size_t size, int positioned) {
  if (fcntl(fd, F_GETFD) < 0) return;
  uint8_t *bytes = memory(size);
  char what[16];
  snprintf(what, sizeof what, "look %s", name);
  say(what, positioned ? result(pread(fd, bytes, size, 0)) : move_bytes(fd, bytes, size, 0), bytes);
  free(bytes);
}

void look_at_buffer(const char *name, const uint8_t *bytes, size_t size) {
  char what[16];
  snprintf(what, sizeof what, "look %s", name);
  say(what, (long)size, bytes);
}

/* A time so many microseconds from now, by CLOCK_MONOTONIC. */
struct timespec64 *deadline(int64_t microseconds) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + microseconds * 1000;
  struct timespec64 *ts = memory(sizeof *ts);
  ts->seconds = ns / 1000000000;
  ts->nanoseconds = ns % 1000000000;
  return ts;
}
`;

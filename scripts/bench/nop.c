// The baseline of nop.ts: NOPs through an io_uring by raw system calls, nothing else between them and
// the kernel. Reads `batch microseconds` lines on stdin, runs that slice, answers `nops nanoseconds`.
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ENTRIES = 256 };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(void) {
  struct io_uring_params p;
  memset(&p, 0, sizeof p);
  int fd = (int)syscall(__NR_io_uring_setup, ENTRIES, &p);
  if (fd < 0) return perror("io_uring_setup"), 1;
  size_t length = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  size_t sq_length = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
  if (sq_length > length) length = sq_length;
  char *ring = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
  struct io_uring_sqe *sqes = mmap(0, ENTRIES * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
  if (ring == MAP_FAILED || sqes == MAP_FAILED) return perror("mmap"), 1;
  uint32_t *sq_tail = (uint32_t *)(ring + p.sq_off.tail), *array = (uint32_t *)(ring + p.sq_off.array);
  uint32_t *cq_head = (uint32_t *)(ring + p.cq_off.head), *cq_tail = (uint32_t *)(ring + p.cq_off.tail);
  struct io_uring_cqe *cqes = (struct io_uring_cqe *)(ring + p.cq_off.cqes);
  uint32_t sq_mask = p.sq_entries - 1, cq_mask = p.cq_entries - 1;
  for (uint32_t i = 0; i < p.sq_entries; i++) array[i] = i;

  uint32_t batch, micros;
  while (scanf("%u %u", &batch, &micros) == 2) {
    uint64_t nops = 0, sum = 0, start = now_ns(), end = start + (uint64_t)micros * 1000, now = start;
    while (now < end) {
      // The clock is read every 256 NOPs or so, as nop.ts does.
      for (uint32_t round = 0; round < 256; round += batch) {
        uint32_t tail = *sq_tail;
        for (uint32_t i = 0; i < batch; i++, tail++) {
          struct io_uring_sqe *sqe = &sqes[tail & sq_mask];
          memset(sqe, 0, sizeof *sqe);
          sqe->opcode = IORING_OP_NOP;
          sqe->user_data = tail;
        }
        __atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
        if (syscall(__NR_io_uring_enter, fd, batch, 0, 0, 0, 0) != (long)batch) return perror("io_uring_enter"), 1;
        uint32_t head = *cq_head, posted = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE);
        for (; head != posted; head++, nops++) sum += cqes[head & cq_mask].user_data + (uint32_t)cqes[head & cq_mask].res;
        __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
      }
      now = now_ns();
    }
    printf("%llu %llu %llu\n", (unsigned long long)nops, (unsigned long long)(now - start), (unsigned long long)(sum & 1));
    fflush(stdout);
  }
  return 0;
}

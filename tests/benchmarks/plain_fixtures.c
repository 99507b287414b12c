/* The bare system calls of the fixtures: what each of them cannot do without. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { POPULATE_READ = 22, POPULATE_WRITE = 23, BLOCK = 1 << 20, HUGE = 2 << 20, BIND = 2 };

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* Each returns its nanoseconds of CPU, or -1 where a call failed. */

/* Map so many bytes at a multiple of 2 MiB, give the advice, place them on a node where there is one (-1 for none), have
 * every page, and unmap them. */
long plain_memory(size_t size, int flags, int advice, int node)
{
    long begin = now();
    int flagged = flags & MAP_HUGETLB;
    size_t room = size + (flagged ? 0 : HUGE);
    char *start = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    char *memory = flagged ? start : (char *)(((uintptr_t)start + HUGE - 1) / HUGE * HUGE);
    unsigned long nodes = 1UL << (node < 0 ? 0 : node);

    if (start == MAP_FAILED)
        return -1;
    if (advice >= 0 && madvise(memory, size, advice) != 0)
        return -1;
    if (node >= 0 && syscall(SYS_mbind, memory, size, BIND, &nodes, 64UL, 0U) != 0)
        return -1;
    if (madvise(memory, size, POPULATE_WRITE) != 0 || munmap(start, room) != 0)
        return -1;
    return now() - begin;
}

/* Take a file out of the page cache, read it in again where it is to be warm, map and unmap it. */
long plain_file(const char *path, int warm)
{
    struct stat status;
    void *memory, *buffer = NULL;
    long begin = now();
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) != 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        return -1;
    if (warm) {
        if (posix_memalign(&buffer, 4096, BLOCK) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0)
            return -1;
        for (off_t place = 0; place < status.st_size; place += BLOCK)
            if (pread(fd, buffer, BLOCK, place) < 0)
                return -1;
        free(buffer);
        posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
    }
    memory = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED || munmap(memory, status.st_size) != 0 || close(fd) != 0)
        return -1;
    return now() - begin;
}

/* Run on one processor, and then again where it ran before. */
long plain_pinning(int cpu)
{
    cpu_set_t former, wanted;
    long begin = now();

    CPU_ZERO(&wanted);
    CPU_SET(cpu, &wanted);
    if (sched_getaffinity(0, sizeof(former), &former) != 0 || sched_setaffinity(0, sizeof(wanted), &wanted) != 0)
        return -1;
    if (sched_setaffinity(0, sizeof(former), &former) != 0)
        return -1;
    return now() - begin;
}

/* A perf event that counts how often threads enter system calls; see perf_event_open(2). */
#ifndef CYX_SYSTEM_CALLS_H
#define CYX_SYSTEM_CALLS_H

#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What each of the events of a thread counts: every call, or those of one number. */
static const long call_numbers[] = {-1, SYS_brk, SYS_mmap, SYS_munmap, SYS_madvise};

/* Bits of the flags of perf_event_attr, which headers older than the kernel do not name; they follow read_format. */
static const uint64_t CALLS_DISABLED = UINT64_C(1) << 0;
static const uint64_t CALLS_INHERIT = UINT64_C(1) << 1;
static const uint64_t CALLS_INHERIT_THREAD = UINT64_C(1) << 35; /* threads alone, no processes: Linux 5.13 */

/* Return the descriptor of an event, or a negative errno.
   leader: the first event of the thread's group, with which this one is switched on and off; -1 for the first. */
static int open_call_event(int thread, int leader, long tracepoint, int kind) {
    struct perf_event_attr attributes;
    char filter[32];
    uint64_t flags = CALLS_INHERIT | CALLS_INHERIT_THREAD | (leader < 0 ? CALLS_DISABLED : 0);
    int fd, error;
    memset(&attributes, 0, sizeof attributes);
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.size = sizeof attributes;
    attributes.config = (uint64_t)tracepoint;
    memcpy((char *)&attributes.read_format + sizeof attributes.read_format, &flags, sizeof flags);
    do {
        fd = (int)syscall(SYS_perf_event_open, &attributes, thread, -1, leader, PERF_FLAG_FD_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return -errno;
    if (call_numbers[kind] >= 0) {
        snprintf(filter, sizeof filter, "id == %ld", call_numbers[kind]);
        if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter)) {
            error = errno;
            close(fd);
            return -error;
        }
    }
    return fd;
}

/* Return the number by which the kernel knows the event; 0 for a descriptor that is of none. */
static uint64_t event_number(int fd) {
    uint64_t number = 0;
    return ioctl(fd, PERF_EVENT_IOC_ID, &number) ? 0 : number;
}

#endif

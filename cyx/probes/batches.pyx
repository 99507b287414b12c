# cython: language_level=3, embedsignature=True, cdivision=True
"""What the CPUs hold back of the kernel's resident-set counters, and how to find out.

Since Linux 6.2 a process has one counter for each type of resident page (anonymous, file, shared memory), and each CPU
collects changes in a *pending* number of its own. Where that would reach a batch in either direction it is folded into
the counter and becomes 0 (``percpu_counter_add_batch``, lib/percpu_counter.c). So

    exact = total of the counters + sum of all pending,   |pending| <= batch - 1 for each pair of type and CPU

The high-water mark is kept from totals (``update_hiwater_rss``, include/linux/mm.h), and so are ``ru_maxrss`` and field
24 of /proc/self/stat; statm and status show exact sums (``get_mm_counter_sum``). Their difference is the sum of all
pending. ``settle`` finds the parts: on a CPU it touches fresh pages of one type until the total is *seen* to jump; then
nothing is pending there, so what the difference lost is what was. Giving the pages back leaves -1. A type that moved
meanwhile is recognised by it: memory that came, by a batch or more, was folded on the way, and where it is given back
at once it is folded again and leaves 0.

For older kernels see thread_counters.pyx.
"""

from libc.limits cimport LONG_MAX

from cyx.linux cimport (
    CPU_COUNT,
    CPU_ISSET,
    CPU_SET,
    CPU_SETSIZE,
    CPU_ZERO,
    RUSAGE_SELF,
    RUSAGE_THREAD,
    cpu_set_t,
    getpid,
    getrusage,
    munmap,
    rusage,
    sched_getaffinity,
    sched_getcpu,
    sched_setaffinity,
)
from cyx.probes cimport procfs, thread_counters
from cyx.probes.scratch cimport AROUND, TYPES, Scratch, give_back, map_scratch, open_sources, touch

import os

cdef enum:
    VISITED = 8       # settle goes round at most so many CPUs: some 200 us each
    LEFT = -1         # what a visit leaves pending
    UNKNOWN = 10_000  # no pending number
    MOST_CPUS = 1024
    FAILED = -1

cdef long page = procfs.page_size()
cdef long cpus = os.cpu_count() or 1
cdef long batch = max(32, 2 * cpus)  # compute_batch_value, lib/percpu_counter.c; corrected by what a jump shows
cdef short left[TYPES][MOST_CPUS]    # what was left pending by the last visit, or by a charge
cdef int checked = -1                # the process that all this was found for
cdef bint exact = False


cdef long batch_pages() noexcept nogil:
    return batch


cdef long cpu_count() noexcept nogil:
    return cpus


cdef bint statm_is_exact() noexcept nogil:
    return exact


cdef long most_pages() noexcept nogil:
    return 3 * batch + 2 * AROUND


cdef long total(bint by_maximum) noexcept nogil:
    """The total without what is pending, in pages; cheaply by ru_maxrss, where this shows it since the last reset."""
    cdef rusage usage
    cdef long pages = -1
    if by_maximum:
        getrusage(RUSAGE_SELF, &usage)
        return usage.ru_maxrss * 1024 // page
    procfs.read_approximate(&pages)
    return pages


cdef long pending_everywhere(bint by_maximum) noexcept nogil:
    cdef procfs.Statm memory
    memory.resident = 0
    procfs.read_statm(&memory)
    return memory.resident - total(by_maximum)


cdef int touch_until_fold(int type, Scratch* scratch, bint by_maximum) noexcept nogil:
    global batch
    cdef long before = total(by_maximum)
    cdef long now
    while scratch.used < scratch.pages:
        touch(scratch, type)
        now = total(by_maximum)
        if now > before:
            if type == 0:  # one page a fault: the jump is the batch
                batch = now - before
            return 0
    return FAILED


cdef int drain(int type, int cpu, bint by_maximum, Pending* into) noexcept nogil:
    """Find what is pending of a type on this CPU, and leave LEFT behind."""
    cdef Scratch scratch
    cdef procfs.Statm memory
    cdef long pending, mapped
    cdef long before
    cdef bint failed
    if procfs.reset_high_water_mark() or procfs.read_statm(&memory) or map_scratch(type, most_pages(), &scratch):
        return FAILED
    before = pending_everywhere(by_maximum)
    mapped = -memory.resident
    if touch_until_fold(type, &scratch, by_maximum):
        give_back(&scratch)
        return FAILED
    pending = before - pending_everywhere(by_maximum)
    procfs.read_statm(&memory)
    mapped += memory.resident
    failed = mapped <= batch and touch_until_fold(type, &scratch, by_maximum)
    into.of_type[type] += pending
    if not 0 <= cpu < MOST_CPUS:
        into.moved |= 1 << type
    else:
        if pending != left[type][cpu]:
            into.moved |= 1 << type
        left[type][cpu] = UNKNOWN if failed else LEFT
    # All but the first page at once, which folds, as it is a batch or more; then that one.
    munmap(scratch.start + page, (scratch.pages - 1) * page)
    munmap(scratch.start, page)
    return FAILED if failed else 0


cdef int drain_here(int cpu, bint by_maximum, Pending* into) noexcept nogil:
    cdef int type
    for type in range(TYPES):
        if drain(type, cpu, by_maximum, into):
            return FAILED
    return 0


cdef int drain_everywhere(bint by_maximum, Pending* into) noexcept nogil:
    cdef cpu_set_t allowed, one
    cdef int cpu
    cdef int failed = 0
    if sched_getaffinity(0, sizeof(cpu_set_t), &allowed) or CPU_COUNT(&allowed) > VISITED:
        return FAILED
    for cpu in range(CPU_SETSIZE):
        if not CPU_ISSET(cpu, &allowed):
            continue
        CPU_ZERO(&one)
        CPU_SET(cpu, &one)
        failed = sched_setaffinity(0, sizeof(cpu_set_t), &one) or drain_here(cpu, by_maximum, into)
        if failed:
            break
    sched_setaffinity(0, sizeof(cpu_set_t), &allowed)
    return failed


cdef long faults_of_others() noexcept nogil:
    cdef rusage process, thread
    getrusage(RUSAGE_SELF, &process)
    getrusage(RUSAGE_THREAD, &thread)
    return process.ru_minflt + process.ru_majflt - thread.ru_minflt - thread.ru_majflt


cdef int settle(bint everywhere, Pending* into) noexcept nogil:
    """Find what is pending on this CPU, or on each, by type.

    Costs 0.1 to 0.3 ms a CPU and some 100 faults of the calling thread, and moves the high-water mark: reset it
    afterwards. Returns 0, or -1 where it could not be found, as where another thread grew at the same time.
    """
    cdef procfs.Statm before, after
    cdef long approximate
    cdef bint by_maximum
    cdef long others = faults_of_others()
    cdef int type
    cdef int failed
    into.moved = ANONYMOUS
    for type in range(TYPES):
        into.of_type[type] = 0
    if not exact or checked != getpid() or procfs.reset_high_water_mark():
        return FAILED
    if procfs.read_statm(&before) or procfs.read_approximate(&approximate):
        return FAILED
    into.everything = before.resident - approximate
    # After the reset the mark is the total, and ru_maxrss is the mark, unless an exec left a higher one (kernel/sys.c).
    by_maximum = total(True) == approximate
    if everywhere:
        failed = drain_everywhere(by_maximum, into)
    else:
        failed = drain_here(sched_getcpu(), by_maximum, into)
    if failed or others != faults_of_others() or procfs.read_statm(&after):
        return FAILED
    # Whatever else moved meanwhile could have made the jump: then nothing is known.
    return 0 if after.resident == before.resident and after.shared == before.shared else FAILED


cdef int fill_up(int cpu, bint by_maximum) noexcept nogil:
    """Leave batch - 1 pending of each type on this CPU: touch pages here, and give them back on another."""
    cdef Scratch folded[TYPES]
    cdef Scratch filling[TYPES]
    cdef cpu_set_t others
    cdef int type, other, place
    cdef int failed = 0
    CPU_ZERO(&others)
    for place in range(CPU_SETSIZE):
        if place != cpu:
            CPU_SET(place, &others)
    for type in range(TYPES):
        left[type][cpu] = UNKNOWN
        filling[type].pages = folded[type].pages = 0
        failed = (
            failed
            or map_scratch(type, most_pages(), &folded[type])
            or touch_until_fold(type, &folded[type], by_maximum)
            or map_scratch(type, batch - 1, &filling[type])
        )
        while not failed and filling[type].used < filling[type].pages:
            touch(&filling[type], type)
    failed = sched_setaffinity(0, sizeof(cpu_set_t), &others) or failed  # the kernel leaves out what is not there
    other = sched_getcpu()
    for type in range(TYPES):  # the larger part last: whatever was pending there before is folded with it
        if filling[type].pages:
            give_back(&filling[type])
        if folded[type].pages:
            give_back(&folded[type])
    if 0 <= other < MOST_CPUS:
        for type in range(TYPES):
            left[type][other] = UNKNOWN if failed else 0
    return FAILED if failed else 0


cdef int charge() noexcept nogil:
    """Leave as much pending on this CPU as there can be: then one page more of any type shows in the total.

    Moves the high-water mark. Returns 0, or -1 where it cannot be done, as on a machine of one CPU. The other CPU
    need not be one that the process is confined to.
    """
    cdef cpu_set_t allowed, one
    cdef Pending found
    cdef long approximate
    cdef bint by_maximum
    cdef int type
    cdef int failed = FAILED
    cdef int cpu = sched_getcpu()
    if not exact or not 0 <= cpu < MOST_CPUS or sched_getaffinity(0, sizeof(cpu_set_t), &allowed):
        return FAILED
    CPU_ZERO(&one)
    CPU_SET(cpu, &one)
    if sched_setaffinity(0, sizeof(cpu_set_t), &one) == 0:
        # Twice, with a visit in between: it may find less than batch - 1, for a total below 0 is shown as 0.
        if procfs.reset_high_water_mark() == 0 and procfs.read_approximate(&approximate) == 0:
            by_maximum = total(True) == approximate
            failed = fill_up(cpu, by_maximum)
            failed = sched_setaffinity(0, sizeof(cpu_set_t), &one) or failed
            for type in range(TYPES):
                found.of_type[type] = 0
            failed = failed or drain_here(cpu, by_maximum, &found) or procfs.reset_high_water_mark()
            failed = failed or fill_up(cpu, by_maximum)
            failed = sched_setaffinity(0, sizeof(cpu_set_t), &one) or failed
        for type in range(TYPES):
            left[type][cpu] = UNKNOWN if failed else found.of_type[type]
    sched_setaffinity(0, sizeof(cpu_set_t), &allowed)
    return failed


cdef bint prepare() noexcept nogil:
    """Look, once for each process, whether statm shows every page at once; return whether that was now.

    To be called before a window: it faults.
    """
    global checked, exact
    cdef procfs.Statm before, after
    cdef Scratch scratch
    cdef Pending ignored
    cdef int type, cpu
    cdef int pid = getpid()
    cdef bint first = checked == -1
    if checked == pid:
        return False
    if first:
        open_sources(most_pages())
        thread_counters.prepare()
    checked = pid
    exact = False
    for type in range(TYPES):
        for cpu in range(MOST_CPUS):
            left[type][cpu] = UNKNOWN
    if map_scratch(0, most_pages(), &scratch):
        return True
    touch(&scratch, 0)
    procfs.read_statm(&before)  # a fork maps the code of this anew: after the kernel has written the figure
    thread_counters.add_up()
    if procfs.read_statm(&before) == 0:
        touch(&scratch, 0)
        touch(&scratch, 0)
        exact = procfs.read_statm(&after) == 0 and after.resident == before.resident + 2
    give_back(&scratch)
    if first:  # brings its own code and the pages of the sources into memory
        settle(False, &ignored)
    if settle(True, &ignored):
        settle(False, &ignored)
    return True


def pending(bint everywhere=True):
    """Return (pages pending in all, pages by type on the CPUs visited, the types that moved as flags), or None."""
    cdef Pending found
    procfs.prepare()
    prepare()
    if settle(everywhere, &found):
        return None
    return found.everything, tuple(found.of_type[i] for i in range(TYPES)), found.moved


def batch_size():
    """Return the pages that a CPU may collect of one type before the kernel's total moves."""
    return batch


def counter_error():
    """Return the bytes by which the figure of one type of page in statm or status may be off: 0 where it is a sum."""
    cdef procfs.Status now
    procfs.prepare()
    prepare()
    if exact:
        return 0
    if thread_counters.hold_back():
        procfs.read_status(&now)
        return thread_counters.most_held(now.threads, LONG_MAX) * page
    return (batch - 1) * cpus * page

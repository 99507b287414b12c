# cython: language_level=3, embedsignature=True
"""The process's own memory as /proc tells it.

The C functions of ``procfs.pxd`` read through descriptors opened beforehand into buffers on the stack: nothing is
allocated between the start and the stop of a window. They return 0 or an ``errno`` value. The Python functions read
the same files below any root, so that a saved or made-up /proc can be read too.
"""

from libc.errno cimport ENODATA, errno
from libc.stdlib cimport strtol
from libc.string cimport strchr, strlen, strrchr, strstr

from cyx.linux cimport (
    _SC_PAGESIZE,
    O_CLOEXEC,
    O_DIRECTORY,
    O_RDONLY,
    O_WRONLY,
    SYS_getdents64,
    close,
    getpid,
    open,
    pread,
    syscall,
    sysconf,
    write,
)
from cyx.probes.descriptor cimport Descriptor, is_ours, keep

import os

cdef enum:
    # /proc/self/status has about 1,500 bytes; what grows with the machine (the CPU masks) stands at its end.
    BUFFER = 4096

cdef struct Entry:  # linux_dirent64 (getdents(2)), as far as it is needed
    unsigned long inode
    long offset
    unsigned short length

cdef struct Source:
    const char* path
    int mode
    Descriptor kept  # or the errno value of opening it, negative

cdef enum:
    STATM = 0
    STATUS = 1
    STAT = 2
    SCHED = 3
    CLEAR_REFS = 4
    SOURCES = 5

cdef int owner = -1  # the process that opened the descriptors: after a fork they would show the parent
cdef Source[SOURCES] sources
sources[STATM] = Source(b"/proc/self/statm", O_RDONLY, Descriptor(-1))
sources[STATUS] = Source(b"/proc/self/status", O_RDONLY, Descriptor(-1))
sources[STAT] = Source(b"/proc/self/stat", O_RDONLY, Descriptor(-1))
sources[SCHED] = Source(b"/proc/self/sched", O_RDONLY, Descriptor(-1))
sources[CLEAR_REFS] = Source(b"/proc/self/clear_refs", O_WRONLY, Descriptor(-1))
cdef long bytes_per_page = sysconf(_SC_PAGESIZE)


cdef long page_size() noexcept nogil:
    return bytes_per_page


cdef void open_source(Source* source) noexcept nogil:
    cdef int fd = open(source.path, source.mode | O_CLOEXEC)
    if fd < 0:
        source.kept.fd = -errno
    else:
        keep(&source.kept, fd)


cdef void prepare() noexcept nogil:
    """Open the files, once for each process; to be called before a window, as opening allocates in the kernel."""
    global owner
    cdef int i
    cdef int pid = getpid()
    if owner == pid:
        return
    for i in range(SOURCES):
        if is_ours(&sources[i].kept):  # after a fork: a copy of the parent's
            close(sources[i].kept.fd)
        open_source(&sources[i])
    owner = pid


cdef int descriptor_of(int which) noexcept nogil:
    """Return the descriptor, opened anew where need be, or a negative errno value."""
    cdef Source* source = &sources[which]
    if not is_ours(&source.kept):
        open_source(source)
    return source.kept.fd


cdef int read_text(int which, char* text) noexcept nogil:
    cdef int fd = descriptor_of(which)
    cdef long length
    if fd < 0:
        return -fd
    length = pread(fd, text, BUFFER - 1, 0)
    if length < 0:
        return errno
    text[length] = 0
    return 0


cdef int parse_statm(const char* text, Statm* into) noexcept nogil:
    cdef char* place = <char*>text
    strtol(place, &place, 10)  # the size of the address space
    into.resident = strtol(place, &place, 10)
    into.shared = strtol(place, &place, 10)
    return 0 if into.resident > 0 else ENODATA


cdef long field(const char* text, const char* name) noexcept nogil:
    cdef const char* place = strstr(text, name)
    return strtol(place + strlen(name), NULL, 10) if place != NULL else -1


cdef int parse_status(const char* text, Status* into) noexcept nogil:
    into.high_water_mark = field(text, b"VmHWM:") * 1024
    into.resident = field(text, b"VmRSS:") * 1024
    into.anonymous = field(text, b"RssAnon:") * 1024
    into.file = field(text, b"RssFile:") * 1024
    into.shared = field(text, b"RssShmem:") * 1024
    into.page_tables = field(text, b"VmPTE:") * 1024
    into.swapped = field(text, b"VmSwap:") * 1024
    into.locked = field(text, b"VmLck:") * 1024
    into.threads = field(text, b"Threads:")
    return 0 if into.high_water_mark > 0 and into.resident > 0 else ENODATA


cdef int read_statm(Statm* into) noexcept nogil:
    cdef char text[BUFFER]
    cdef int error = read_text(STATM, text)
    return error or parse_statm(text, into)


cdef int read_status(Status* into) noexcept nogil:
    cdef char text[BUFFER]
    cdef int error = read_text(STATUS, text)
    return error or parse_status(text, into)


cdef int read_approximate(long* pages) noexcept nogil:
    """The resident set without what the CPUs hold back: field 24 of proc_pid_stat(5) (fs/proc/array.c, get_mm_rss)."""
    cdef char text[BUFFER]
    cdef const char* place
    cdef int _field
    cdef int error = read_text(STAT, text)
    if error:
        return error
    place = strrchr(text, c")")  # the name of the program may hold blanks and parentheses
    for _field in range(22):
        if place == NULL:
            return ENODATA
        place = strchr(place + 1, c" ")
    if place == NULL:
        return ENODATA
    pages[0] = strtol(place, NULL, 10)
    return 0


cdef int read_migrations(long* count) noexcept nogil:
    """How often the main thread changed its CPU so far; see se.nr_migrations of proc_pid_sched(5)."""
    cdef char text[BUFFER]
    cdef const char* place
    cdef int error = read_text(SCHED, text)
    if error:
        return error
    place = strstr(text, b"nr_migrations")
    place = strchr(place, c":") if place != NULL else NULL
    if place == NULL:
        return ENODATA
    count[0] = strtol(place + 1, NULL, 10)
    return 0


cdef int count_entries(const char* folder, long* count) noexcept nogil:
    cdef char room[BUFFER]
    cdef long length, place
    cdef int error = 0
    cdef int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if fd < 0:
        return errno
    count[0] = -2  # . and ..
    while True:
        length = syscall(SYS_getdents64, fd, room, BUFFER)
        if length <= 0:
            break
        place = 0
        while place < length:
            count[0] += 1
            place += (<Entry*>(room + place)).length
    if length < 0:
        error = errno
    close(fd)
    return error


cdef int count_descriptors(long* count) noexcept nogil:
    cdef int error = count_entries(b"/proc/self/fd", count)
    count[0] -= 1  # the one that lists them
    return error


cdef int write_clear_refs(const char* command) noexcept nogil:
    cdef int fd = descriptor_of(CLEAR_REFS)
    if fd < 0:
        return -fd
    return 0 if write(fd, command, 1) == 1 else errno


cdef int reset_high_water_mark() noexcept nogil:
    return write_clear_refs(b"5")


cdef int clear_referenced() noexcept nogil:
    return write_clear_refs(b"1")


def read_below(root, str name):
    """Return the bytes of ``root/self/name``. OSError where it cannot be read."""
    with os.fdopen(os.open(os.path.join(root, "self", name), os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
        return file.read()


cdef object check(int error, str path):
    if error:
        raise OSError(error, os.strerror(error), path)


def statm(root="/proc"):
    """Return (resident, file and shared) memory of this process in bytes; see proc_pid_statm(5).

    Exact on kernels that sum the per-CPU counters (6.16 and newer, and stable ones that took it over), else up to a
    batch per CPU and type off. OSError where it cannot be read.
    """
    cdef Statm reading
    check(parse_statm(read_below(root, "statm"), &reading), os.path.join(root, "self", "statm"))
    return reading.resident * bytes_per_page, reading.shared * bytes_per_page


def status(root="/proc"):
    """Return the memory figures of proc_pid_status(5) as a dict: bytes, but ``threads``. OSError if it cannot be read.

    A figure that this kernel does not give is left out.
    """
    cdef Status reading
    check(parse_status(read_below(root, "status"), &reading), os.path.join(root, "self", "status"))
    figures = reading
    return {name: figure for name, figure in figures.items() if figure >= 0}


def high_water_mark(root="/proc"):
    """Return VmHWM in bytes: the peak of the resident set since the last reset; see proc_pid_status(5)."""
    return status(root)["high_water_mark"]


def block_reads(root="/proc"):
    """Return the bytes that this process, its threads and its reaped children fetched from storage (proc_pid_io(5)).

    OSError where it cannot be read; LookupError where the kernel does not count them.
    """
    for line in read_below(root, "io").splitlines():
        name, _, figure = line.partition(b":")
        if name == b"read_bytes":
            return int(figure)
    raise LookupError("the kernel was built without CONFIG_TASK_IO_ACCOUNTING")


def open_descriptors():
    """Return how many descriptors this process has open. OSError where /proc/self/fd cannot be listed."""
    cdef long count
    check(count_descriptors(&count), "/proc/self/fd")
    return count


def reset_peak():
    """Let VmHWM start again from what is resident now (``5`` to /proc/self/clear_refs, proc_pid_clear_refs(5))."""
    check(reset_high_water_mark(), "/proc/self/clear_refs")


def clear_accessed():
    """Clear the accessed bit of every page of this process (``1`` to /proc/self/clear_refs).

    The TLB is not flushed by it: a page that is hot at this moment may be missed later.
    """
    check(clear_referenced(), "/proc/self/clear_refs")

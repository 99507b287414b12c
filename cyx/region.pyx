# cython: language_level=3, embedsignature=True
"""A range of mapped memory with a buffer interface: anonymous, of a file, of a memory file, on huge pages.

Every mapping begins at a multiple of 2 MiB (or of its larger pages), so that faults and huge pages do not depend on
where the kernel would have put it, and stands between two pages that cannot be touched: neighbours never become one
mapping for the kernel, so what it says of this range is of this region alone.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport EFAULT, EINVAL, ENOMEM, errno
from libc.stdint cimport uintptr_t

from cyx.linux cimport (
    F_DUPFD_CLOEXEC,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    _SC_PAGESIZE,
    close,
    fcntl,
    fstatfs,
    ftruncate,
    madvise,
    mincore,
    mmap,
    munmap,
    statfs,
    sysconf,
)

import operator
import os
import resource
import stat
import weakref

from cyx import hugepages, mappings, numa, page_cache, page_map, patterns

cdef extern from "<sys/mman.h>" nogil:
    int MAP_HUGETLB
    int MAP_HUGE_SHIFT "(26)"
    int MFD_CLOEXEC
    int MFD_HUGETLB
    int MREMAP_MAYMOVE
    int MREMAP_FIXED
    int MS_ASYNC
    int MS_SYNC
    int MS_INVALIDATE
    int memfd_create(const char* name, unsigned int flags)
    int mlock(const void* address, size_t length)
    int munlock(const void* address, size_t length)
    int mprotect(void* address, size_t length, int protection)
    void* mremap(void* address, size_t length, size_t new_length, int flags, ...)
    int msync(void* address, size_t length, int flags)

cdef extern from "<fcntl.h>" nogil:
    long readahead(int fd, long offset, size_t count)

cdef enum:
    # The kernel maps the cached neighbours of a page that faults, in blocks that are aligned by address (64 KiB as it
    # stands, filemap_map_pages): only a mapping that always begins at such a block always takes the same faults.
    ALIGNMENT = 2 * 1024 * 1024

cdef unsigned int HUGETLBFS = 0x958458F6  # as statfs(2) calls it
cdef size_t page = sysconf(_SC_PAGESIZE)
cdef size_t LARGEST = <size_t>1 << 62  # bytes; rounding up to whole pages cannot overflow

KINDS = ("anonymous", "file", "memfd", "hugetlb", "thp")

# The numbers of asm-generic/mman-common.h: C libraries name the later ones late. The two that take memory of the whole
# machine out of service, to try how errors of the hardware are handled, are left out.
ADVICE = {
    "normal": 0,
    "random": 1,
    "sequential": 2,
    "willneed": 3,
    "dontneed": 4,
    "free": 8,             # Linux 4.5
    "remove": 9,
    "dontfork": 10,
    "dofork": 11,
    "mergeable": 12,
    "unmergeable": 13,
    "hugepage": 14,
    "nohugepage": 15,
    "dontdump": 16,
    "dodump": 17,
    "wipeonfork": 18,      # Linux 4.14
    "keeponfork": 19,
    "cold": 20,            # Linux 5.4
    "pageout": 21,
    "populate_read": 22,   # Linux 5.14
    "populate_write": 23,
    "dontneed_locked": 24,  # Linux 5.18
    "collapse": 25,        # Linux 6.1
    "guard_install": 102,  # Linux 6.13
    "guard_remove": 103,
}

PROTECTIONS = {"none": PROT_NONE, "read": PROT_READ, "read-write": PROT_READ | PROT_WRITE}


cdef object refuse(str what=""):
    """Raise the kernel's refusal."""
    cdef int error = errno
    raise OSError(error, f"{what}: {os.strerror(error)}" if what else os.strerror(error))


cdef unsigned char* reserve(size_t mapped, size_t alignment) except NULL:
    """Reserve addresses for so many bytes, with a page on either side that stays so; return where the bytes begin."""
    cdef size_t room = mapped + alignment + 2 * page
    cdef unsigned char* start
    cdef unsigned char* address
    cdef unsigned char* end
    start = <unsigned char*>mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if start == MAP_FAILED:
        refuse()
    address = <unsigned char*>((<uintptr_t>start + page + alignment - 1) // alignment * alignment)
    end = address + mapped + page
    if address - page > start:
        munmap(start, address - page - start)
    if start + room > end:
        munmap(end, start + room - end)
    return address


cdef void give_back(unsigned char* address, size_t mapped) noexcept nogil:
    """Give back what was reserved, and all that is mapped there."""
    munmap(address - page, mapped + 2 * page)


cdef size_t in_whole(size_t size, size_t unit) noexcept:
    return (size + unit - 1) // unit * unit


cdef object chosen(str name, value, words):
    """Return one of the words, or raise the ValueError that names the argument and them all."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name}={value!r}: choose from {', '.join(map(repr, words))}")
    return str(value)


cdef size_t checked_size(str name, value) except? 0:
    """Return a size, or raise the ValueError that names the argument."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={value!r}: give a whole number of bytes") from None
    if not 0 < number <= LARGEST:
        raise ValueError(f"{name}={value!r}: give a number of bytes from 1 to 2**62")
    return number


cdef class Region:
    """Memory of one kind. ValueError names a wrong argument, OSError is the kernel's refusal.

    While a view or an array looks at it, ``close`` is a BufferError; without one the memory also goes with the object.

    Args:
        size: bytes; what is mapped is whole pages. Of a file, all from ``offset`` on where it is left out.
        kind: ``"anonymous"``; ``"file"``, of the descriptor ``fd``, which may be closed afterwards; ``"memfd"``, a file
            without a name in memory, whose descriptor ``fd`` others may map; ``"hugetlb"``, on reserved huge pages;
            ``"thp"``, anonymous, aligned, and advised to be put on transparent huge pages.
        offset: where in the file it begins, a multiple of the page size.
        shared: whether what is written shows in the file and in forks; a private region keeps it to itself. A memory
            file is shared always.
        writable: whether it can be written.
        page_size: bytes of the pages of ``"hugetlb"``, or of a ``"memfd"`` that is on huge pages; the machine's usual
            huge page where it is left out.
    """

    cdef unsigned char* start
    cdef readonly size_t mapped  # bytes of whole pages
    cdef readonly Py_ssize_t size
    cdef readonly str kind
    cdef readonly bint shared
    cdef readonly bint writable
    cdef readonly size_t page_size  # what every page is at least
    cdef readonly int fd            # -1 without a file
    cdef readonly size_t offset
    cdef readonly bint closed
    cdef size_t first_mapped        # what the kernel made of shared memory, which stays so
    cdef Py_ssize_t exports
    cdef bint forbidden             # protected from any touch
    cdef list guards                # (begin, end) of what was guarded: a touch is the end of the process
    cdef object array_alive         # a weak reference, so that an array is alive only where someone else wants it to be

    def __cinit__(
        self,
        size=None,
        *,
        kind="anonymous",
        fd=-1,
        offset=0,
        bint shared=False,
        bint writable=True,
        page_size=None,
    ):
        self.start = NULL
        self.closed = True
        self.fd = -1
        self.page_size = page
        self.guards = []
        self.kind = chosen("kind", kind, KINDS)
        if kind != "file" and (fd != -1 or offset != 0):
            raise ValueError(f"fd, offset: kind={kind!r} is not of a file of yours")
        if kind not in ("hugetlb", "memfd") and page_size is not None:
            raise ValueError(f"page_size={page_size!r}: kind={kind!r} has pages of the usual size")
        self.shared = shared or kind == "memfd"
        self.writable = writable
        if kind == "file":
            self._take_file(size, fd, offset)
        else:
            self.size = checked_size("size", size)
        if kind == "hugetlb" or page_size is not None:
            self.page_size = _huge_page_size(page_size)
        self.mapped = in_whole(self.size, hugepages.thp_size() if kind == "thp" else self.page_size)
        if kind == "memfd":
            self._make_file(page_size is not None)
        try:
            self._map()
        except BaseException:
            self._close_file()
            raise
        self.closed = False
        if kind == "thp" and madvise(self.start, self.mapped, ADVICE["hugepage"]) != 0:
            refuse("this kernel has no transparent huge pages")

    def __dealloc__(self):
        if self.start != NULL:
            give_back(self.start, self.mapped)
        self._close_file()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.discard()  # the frames of the exception keep views alive, and it is what the user has to see

    def __len__(self):
        return self.size

    def __repr__(self):
        return f"<{type(self).__name__} of {self.size:,} bytes, {'closed' if self.closed else self.kind}>"

    def __getbuffer__(self, Py_buffer* view, int flags):
        self._require_open()
        if self.forbidden or self.guards:
            raise BufferError("the region is protected or has guards: no view of it can be taken")
        PyBuffer_FillInfo(view, self, self.start, self.size, not self.writable, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self._unpin()

    # --- what it is made of ------------------------------------------------------------------------------------------

    cdef int _take_file(self, size, given, offset) except -1:
        cdef statfs status
        cdef size_t begin
        cdef int fd
        try:
            fd = -1 if isinstance(given, bool) else operator.index(given)
            file_status = os.fstat(fd)
        except (TypeError, OverflowError, OSError):
            raise ValueError(f"fd={given!r}: give the descriptor of an open file") from None
        if not stat.S_ISREG(file_status.st_mode):
            raise ValueError(f"fd={given!r}: give that of a regular file, no folder, pipe or device")
        file_size = file_status.st_size
        if file_size == 0:
            raise ValueError(f"fd={given!r}: an empty file cannot be mapped")
        if fstatfs(fd, &status) == 0 and <unsigned int>status.f_type == HUGETLBFS:
            self.page_size = status.f_bsize
            if not self.writable:
                self.shared = True  # a private mapping would take pages of the pool for copies that nobody can make
        try:
            place = operator.index(offset)
        except TypeError:
            raise ValueError(f"offset={offset!r}: give a whole number of bytes") from None
        if place % self.page_size or not 0 <= place < file_size:
            raise ValueError(f"offset={offset!r}: give a multiple of {self.page_size} that lies in the file")
        begin = place
        self.size = file_size - begin if size is None else checked_size("size", size)
        if self.size > file_size - begin:
            raise ValueError(f"size={size!r}: the file has {file_size - begin} bytes from there on")
        self.offset = begin
        self.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)
        if self.fd < 0:
            refuse()
        return 0

    cdef int _make_file(self, bint huge) except -1:
        cdef unsigned int flags = MFD_CLOEXEC
        if huge:
            flags |= <unsigned int>MFD_HUGETLB | <unsigned int>(self.page_size.bit_length() - 1) << MAP_HUGE_SHIFT
        self.fd = memfd_create(b"cyx.region", flags)
        if self.fd < 0:
            refuse()
        if ftruncate(self.fd, self.mapped) != 0:
            error = errno
            self._close_file()
            raise OSError(error, os.strerror(error))
        return 0

    cdef int _map(self) except -1:
        cdef unsigned char* address = reserve(self.mapped, self._alignment())
        cdef int flags = MAP_FIXED | (MAP_SHARED if self.shared else MAP_PRIVATE)
        if self.fd < 0:
            flags |= MAP_ANONYMOUS
        if self.kind == "hugetlb":
            flags |= MAP_HUGETLB | <int>(self.page_size.bit_length() - 1) << MAP_HUGE_SHIFT
        if mmap(
            address, self.mapped, PROT_READ | (PROT_WRITE if self.writable else 0), flags, self.fd, self.offset
        ) == MAP_FAILED:
            error = errno
            give_back(address, self.mapped)
            if error == ENOMEM and self.page_size > page:
                raise OSError(error, hugepages.shortage(self.mapped, self.page_size))
            raise OSError(error, os.strerror(error))
        self.start = address
        self.first_mapped = self.mapped
        return 0

    cdef size_t _alignment(self) except 0:
        return max(<size_t>ALIGNMENT, self.page_size, <size_t>hugepages.thp_size() if self.kind == "thp" else page)

    cdef void _close_file(self) noexcept:
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1

    cdef int _require_open(self) except -1:
        if self.closed:
            raise ValueError("the region is closed")
        return 0

    cdef int _require_alone(self, str what) except -1:
        self._require_open()
        if self.exports:
            raise BufferError(f"{what}: a view or an array still looks at the region: release it first")
        return 0

    cdef void _unpin(self) noexcept:
        self.exports -= 1
        if self.closed and self.exports == 0:
            give_back(self.start, self.mapped)
            self.start = NULL

    # --- closing -----------------------------------------------------------------------------------------------------

    def close(self):
        """Unmap the memory; a second call does nothing. BufferError while a view or an array looks at it."""
        if not self.closed:
            self._require_alone("close")
            self.discard()

    def discard(self):
        """Give the memory back at once, whatever looks at it: that finds zeros from now on, and its addresses stay."""
        if self.closed:
            return
        if self.exports == 0:
            give_back(self.start, self.mapped)
            self.start = NULL
        elif mmap(
            self.start,
            self.mapped,
            PROT_READ | (PROT_WRITE if self.writable else 0),
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
            -1,
            0,
        ) == MAP_FAILED:
            refuse()
        self._close_file()
        self.closed = True

    # --- acts --------------------------------------------------------------------------------------------------------

    def advise(self, advice, offset=0, length=None):
        """Give a piece of advice of madvise(2), one of ADVICE, for all of the region or for a part in whole pages.

        It does what the kernel does: some of it drops contents (``"dontneed"``, ``"free"``, ``"remove"``). While there
        are guards no view can be taken, and none may be there when they are installed (BufferError).
        """
        cdef size_t begin
        cdef size_t count
        cdef int number
        cdef int answer
        self._require_open()
        number = ADVICE[chosen("advice", advice, ADVICE)]
        begin, count = self._part(offset, length)
        if advice == "guard_install":
            self._require_alone(advice)
            self.guards.append((begin, begin + count))
        self.exports += 1  # the memory stays where it is, whatever another thread does
        try:
            with nogil:
                answer = madvise(self.start + begin, count, number)
            if answer != 0:
                error = errno
                if advice == "guard_install" and error == EINVAL:  # an older kernel, or locked memory: none was made
                    self.guards.remove((begin, begin + count))
                raise OSError(error, f"madvise({advice}): {os.strerror(error)}")
        finally:
            self._unpin()
        if advice == "guard_remove":
            self._forget_guards(begin, begin + count)

    cdef int _forget_guards(self, size_t begin, size_t end) except -1:
        """Take a part out of what is known to be guarded."""
        left = [piece for start, stop in self.guards for piece in ((start, min(stop, begin)), (max(start, end), stop))]
        self.guards = [(start, stop) for start, stop in left if start < stop]
        return 0

    def _part(self, offset, length):
        """Return where the part of this length begins, and its length in whole pages."""
        try:
            begin = operator.index(offset)
            count = self.mapped - begin if length is None else operator.index(length)
        except TypeError:
            raise ValueError(f"offset={offset!r}, length={length!r}: give whole numbers of bytes") from None
        if begin % page or not 0 <= begin < self.mapped:
            raise ValueError(f"offset={offset!r}: give a multiple of {page} below {self.mapped}")
        if not 0 < count <= self.mapped - begin:
            raise ValueError(f"length={length!r}: give a number of bytes from 1 to {self.mapped - begin}")
        return begin, in_whole(count, page)

    def forget(self):
        """Let go of the pages, so that each is faulted in again when next touched (MADV_DONTNEED).

        What was written to private memory is lost; a file, and shared memory, keep their contents.
        """
        self.advise("dontneed")

    def populate(self, write=None):
        """Have every page now (MADV_POPULATE_WRITE, MADV_POPULATE_READ), or learn by an OSError that it cannot be had.

        Args:
            write: whether each page is to be there for writing; where it is left out: a private mapping of a file, and
                what cannot be written, is read.
        """
        if write is None:
            write = self.writable and (self.shared or self.kind != "file")
        try:
            self.advise("populate_write" if write else "populate_read")
        except OSError as error:
            if error.errno == EFAULT and self.page_size > page:
                raise OSError(
                    ENOMEM, "no more huge pages can be had: a limit of the control group, or of the nodes allowed"
                ) from None
            if error.errno != EINVAL or self.forbidden or self.guards:
                raise
            self._touch(write)

    def _touch(self, bint write):
        """Touch each page, on kernels before Linux 5.14; an OSError where a page of the file is not there any more."""
        if write:  # the first byte, with what it holds, after a first touch of all pages that changes nothing
            patterns.touch_write(self, LARGEST, patterns.touch(self, LARGEST).checksum, first_touch=True)
        else:
            patterns.touch(self, page)

    def collapse(self):
        """Put what is there on transparent huge pages now (MADV_COLLAPSE, Linux 6.1); OSError where it cannot be."""
        self.advise("collapse")

    def lock(self):
        """Keep every page in memory (mlock(2)). OSError names the limit that is too low."""
        cdef int error = 0
        self._require_open()
        self.exports += 1
        with nogil:
            if mlock(self.start, self.mapped) != 0:
                error = errno
        self._unpin()
        if error:
            reason = os.strerror(error)
            allowed = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
            locked = mappings.locked()
            if allowed != resource.RLIM_INFINITY and allowed < self.mapped + locked:
                others = f", of which {locked:,} are taken" if locked else ""
                reason = f"RLIMIT_MEMLOCK allows {allowed:,}{others}: raise it by ulimit -l"
            raise OSError(error, f"mlock of {self.mapped:,} bytes: {reason}")

    def unlock(self):
        """Let the pages be reclaimed again (munlock(2))."""
        self._require_open()
        if munlock(self.start, self.mapped) != 0:
            refuse("munlock")

    def sync(self, *, bint wait=True, bint invalidate=False):
        """Write what was changed to the file (msync(2)); with ``invalidate``, also have other mappings see it."""
        cdef int answer
        cdef int flags = (MS_SYNC if wait else MS_ASYNC) | (MS_INVALIDATE if invalidate else 0)
        self._require_open()
        self.exports += 1
        try:
            with nogil:
                answer = msync(self.start, self.mapped, flags)
            if answer != 0:
                refuse("msync")
        finally:
            self._unpin()

    def protect(self, rights):
        """Allow ``"none"``, ``"read"`` or ``"read-write"`` of the memory from here on (mprotect(2)).

        BufferError while something looks at it: what it may do must not change under it.
        """
        number = PROTECTIONS[chosen("rights", rights, PROTECTIONS)]
        self._require_alone("protect")
        if mprotect(self.start, self.mapped, number) != 0:
            refuse("mprotect")
        self.writable = rights == "read-write"
        self.forbidden = rights == "none"

    def resize(self, size):
        """Make the region larger or smaller (mremap(2)); its pages are kept, its address changes.

        A memory file is resized along; of a file there can be as much as it has by now, and of shared anonymous memory
        as much as it began with. Reserved huge pages cannot grow (OSError). BufferError while something looks at it.
        """
        cdef size_t wanted = checked_size("size", size)
        cdef size_t mapped
        cdef size_t alignment
        cdef unsigned char* address
        self._require_alone("resize")
        mapped = in_whole(wanted, hugepages.thp_size() if self.kind == "thp" else self.page_size)
        alignment = self._alignment()
        if self.kind == "file" and wanted > os.fstat(self.fd).st_size - self.offset:
            raise ValueError(f"size={size!r}: the file has {os.fstat(self.fd).st_size - self.offset} bytes")
        self._require_alone("resize")  # again, for other threads ran meanwhile; from here on none does
        if self.shared and self.fd < 0 and mapped > self.first_mapped:
            most = self.first_mapped
            raise ValueError(f"size={size!r}: shared memory cannot grow beyond {most} bytes: use kind='memfd'")
        if self.kind == "memfd" and mapped > self.mapped and ftruncate(self.fd, mapped) != 0:
            refuse("ftruncate")
        address = reserve(mapped, alignment)
        if mremap(
            self.start, self.mapped, mapped, MREMAP_MAYMOVE | MREMAP_FIXED, <void*>address
        ) == MAP_FAILED:
            error = errno
            give_back(address, mapped)
            raise OSError(error, f"mremap: {os.strerror(error)}")
        give_back(self.start, self.mapped)
        if self.kind == "memfd" and mapped < self.mapped:  # not before, lest pages that are mapped have no file
            ftruncate(self.fd, mapped)
        self.start, self.mapped, self.size = address, mapped, wanted
        self._forget_guards(mapped, LARGEST)

    def readahead(self):
        """Have the file's part read into the page cache (readahead(2)). ValueError without a file."""
        cdef long answer
        self._require_file("readahead")
        self.exports += 1
        try:
            with nogil:
                answer = readahead(self.fd, self.offset, self.size)
            if answer != 0:
                refuse("readahead")
        finally:
            self._unpin()

    def drop(self):
        """Let go of the pages, and take the whole file out of the page cache; verified, see ``page_cache.drop``.

        What was written to a private region is lost, as by ``forget``.
        """
        self._require_file("drop")
        self.forget()
        page_cache.drop(self.fd)

    cdef int _require_file(self, str what) except -1:
        self._require_open()
        if self.fd < 0:
            raise ValueError(f"{what}: kind={self.kind!r} has no file")
        return 0

    # --- questions ---------------------------------------------------------------------------------------------------

    @property
    def address(self):
        """Where the memory begins."""
        self._require_open()
        return <uintptr_t>self.start

    @property
    def alignment(self):
        """The largest power of two that divides the address."""
        self._require_open()
        return <uintptr_t>self.start & -<uintptr_t>self.start

    @property
    def array(self):
        """The memory as a NumPy array of bytes; the same one as long as there is one."""
        alive = None if self.array_alive is None else self.array_alive()
        if alive is None:
            import numpy as np

            alive = np.frombuffer(self, np.uint8)
            self.array_alive = weakref.ref(alive)
        return alive

    def usage(self):
        """Return what the kernel says of the region now, all from one look."""
        self._require_open()
        return mappings.usage(<uintptr_t>self.start, <uintptr_t>self.start + self.mapped)

    @property
    def resident(self):
        """Bytes that are in memory and mapped here."""
        return self.usage().resident

    @property
    def huge(self):
        """Bytes of them on huge pages, transparent or reserved."""
        return self.usage().huge

    @property
    def huge_coverage(self):
        """The share of the resident bytes that is on huge pages; 0.0 where none is resident."""
        self._require_open()
        return page_map.huge_coverage(<uintptr_t>self.start, <uintptr_t>self.start + self.mapped)

    @property
    def dirty(self):
        """Bytes that were written, and not written out since."""
        return self.usage().dirty

    @property
    def swapped(self):
        """Bytes that are in swap."""
        return self.usage().swapped

    @property
    def locked(self):
        """Bytes that are locked into memory."""
        return self.usage().locked

    @property
    def vm_flags(self):
        """The kernel's flags of two letters, see VmFlags in proc_pid_smaps(5), that hold for all of it."""
        return self.usage().flags

    @property
    def page_cache_share(self):
        """How much of the file's part is in the page cache now, 0.0 to 1.0. ValueError without a file."""
        self._require_file("page_cache_share")
        return page_cache.share(self.fd, self.offset, self.size)

    @property
    def pages_by_node(self):
        """How many of the pages, of the usual size, are on each NUMA node; see ``numa.pages_by_node``."""
        self._require_open()
        return numa.pages_by_node(<uintptr_t>self.start, self.mapped)

    def map(self):
        """Return a picture of the region to print: one character for a page, or for several, by where they are."""
        cdef uintptr_t begin
        cdef unsigned char* cached
        cdef size_t i
        self._require_open()
        begin = <uintptr_t>self.start
        pages = page_map.states(begin, begin + self.mapped)
        if self.fd >= 0 and self.page_size == page:
            vector = bytearray(len(pages))
            cached = vector
            if mincore(self.start, self.mapped, cached) != 0:
                refuse("mincore")
            for i in range(len(pages)):
                if pages[i] == page_map.NOWHERE and cached[i] & 1:
                    pages[i] = page_map.CACHED
        return page_map.picture(pages, f"{self.size:,} bytes, {self.kind}, at {begin:#x}")


def _huge_page_size(page_size):
    """Return the size of huge page to use, or raise the ValueError that names those of this machine."""
    sizes = hugepages.sizes()
    if not sizes:
        raise ValueError("page_size: this kernel has no reserved huge pages: use one with CONFIG_HUGETLBFS")
    if page_size is None:
        return hugepages.default_size()
    if page_size not in sizes or not hasattr(page_size, "__index__"):
        raise ValueError(f"page_size={page_size!r}: this machine has {', '.join(map(str, sizes))}")
    return operator.index(page_size)

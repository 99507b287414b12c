# cython: language_level=3
"""System calls, constants and structs of Linux that the other modules share."""

cdef extern from "<sys/resource.h>" nogil:
    struct timeval:
        long tv_sec
        long tv_usec

    struct rusage:
        timeval ru_utime
        timeval ru_stime
        long ru_minflt
        long ru_majflt
        long ru_inblock

    int RUSAGE_SELF
    int RUSAGE_CHILDREN
    int RUSAGE_THREAD
    int getrusage(int who, rusage* usage)

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec

    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* time)

cdef extern from "<fcntl.h>" nogil:
    int O_RDONLY
    int O_WRONLY
    int O_CLOEXEC
    int open(const char* path, int flags)

cdef extern from "<unistd.h>" nogil:
    int close(int fd)
    long pread(int fd, void* buffer, size_t count, long offset)
    long write(int fd, const void* buffer, size_t count)
    int getpid()
    long sysconf(int name)
    int _SC_PAGESIZE
    int _SC_NPROCESSORS_CONF

cdef extern from "<sys/mman.h>" nogil:
    int PROT_READ
    int PROT_WRITE
    int MAP_PRIVATE
    int MAP_SHARED
    int MAP_ANONYMOUS
    int MAP_FIXED
    int MAP_NORESERVE
    int PROT_NONE
    int MADV_NORMAL
    int MADV_RANDOM
    int MADV_SEQUENTIAL
    int MADV_WILLNEED
    int MADV_DONTNEED
    void* MAP_FAILED
    void* mmap(void* address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t length)
    int madvise(void* address, size_t length, int advice)
    int mincore(void* address, size_t length, unsigned char* vector)

cdef extern from "<sys/vfs.h>" nogil:
    struct statfs:
        long f_type

    int fstatfs(int fd, statfs* status)

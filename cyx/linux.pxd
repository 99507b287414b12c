# cython: language_level=3
"""System calls, constants and structs of Linux that the other modules share."""

cdef extern from "<sys/resource.h>" nogil:
    struct timeval:
        long tv_sec
        long tv_usec

    struct rusage:
        timeval ru_utime
        timeval ru_stime
        long ru_maxrss
        long ru_minflt
        long ru_majflt
        long ru_inblock
        long ru_nvcsw
        long ru_nivcsw

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
    int O_DIRECTORY
    int F_DUPFD_CLOEXEC
    int open(const char* path, int flags)
    int fcntl(int fd, int command, ...)

cdef extern from "<unistd.h>" nogil:
    int ftruncate(int fd, long length)
    int close(int fd)
    long read(int fd, void* buffer, size_t count)
    long pread(int fd, void* buffer, size_t count, long offset)
    long write(int fd, const void* buffer, size_t count)
    int getpid()
    long syscall(long number, ...)
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
    int MADV_NOHUGEPAGE
    int MADV_POPULATE_READ "(22)"  # Linux 5.14; older libraries do not name it
    void* MAP_FAILED
    void* mmap(void* address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void* address, size_t length)
    int madvise(void* address, size_t length, int advice)
    int mincore(void* address, size_t length, unsigned char* vector)

cdef extern from "<sys/vfs.h>" nogil:
    struct statfs:
        long f_type
        long f_bsize

    int fstatfs(int fd, statfs* status)

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_gettid
    long SYS_memfd_create
    long SYS_getdents64
    long SYS_perf_event_open

cdef extern from "<sched.h>" nogil:
    ctypedef struct cpu_set_t:
        pass
    int CPU_SETSIZE
    void CPU_ZERO(cpu_set_t* set)
    void CPU_SET(int cpu, cpu_set_t* set)
    int CPU_ISSET(int cpu, const cpu_set_t* set)
    int CPU_COUNT(const cpu_set_t* set)
    int sched_getcpu()
    int sched_getaffinity(int thread, size_t size, cpu_set_t* set)
    int sched_setaffinity(int thread, size_t size, const cpu_set_t* set)

cdef extern from "<dlfcn.h>" nogil:
    ctypedef struct Dl_info:
        const char* dli_fname
        void* dli_fbase
    int dladdr(const void* address, Dl_info* info)

cdef extern from "<sys/stat.h>" nogil:
    ctypedef struct file_status "struct stat":
        unsigned long st_dev
        unsigned long st_ino
        long st_size
    int fstat(int fd, file_status* status)

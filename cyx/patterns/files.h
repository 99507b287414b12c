/* Reading a file by offset. */
#ifndef CYX_PATTERNS_FILES_H
#define CYX_PATTERNS_FILES_H

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Read until the buffer is full or the file ends; a signal or a short read in between is gone on from. */
static inline int read_at(int fd, void *buffer, size_t wanted, size_t offset, size_t *got)
{
    *got = 0;
    while (*got < wanted) {
        ssize_t length = pread(fd, (char *)buffer + *got, wanted - *got, (off_t)(offset + *got));
        if (length == 0)
            break;
        if (length > 0)
            *got += (size_t)length;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

#endif

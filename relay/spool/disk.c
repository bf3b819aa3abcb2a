/* pread, pwritev and positions everywhere: no file has a position that two readers could disturb, and a write names the place
 * that the caller has reasoned about. Short transfers and EINTR are dealt with here, once.
 *
 * A failed write says nothing about what is on the disk, and a failed sync says less: the kernel may mark pages clean that never
 * arrived. So errors are only passed on; what to do about them (abandon the segment, keep the log's entries) is decided where
 * the promise was made. close() is the exception, since everything that counts was synced before.
 *
 * O_NOFOLLOW: the folder belongs to the queue alone, and a link in it is not of our making.
 *
 * The table of calls is for tests: tests/unit/spool fails each call in turn, tests/crash records what reached the disk and
 * replays power cuts. It is a pointer to constants, read by every thread and written by tests only. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int kernel_openat(int folder, const char *name, int flags, mode_t mode)
{
    return openat(folder, name, flags, mode);
}

static int kernel_unlinkat(int folder, const char *name)
{
    return unlinkat(folder, name, 0);
}

const struct disk disk_kernel = {
    .openat = kernel_openat,
    .pread = pread,
    .pwritev = pwritev,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .ftruncate = ftruncate,
    .fstat = fstat,
    .flock = flock,
    .renameat = renameat,
    .unlinkat = kernel_unlinkat,
    .close = close,
};

static const struct disk *calls = &disk_kernel;

void disk_replace(const struct disk *disk)
{
    calls = disk ? disk : &disk_kernel;
}

const struct disk *disk_calls(void)
{
    return calls;
}

int disk_open(int folder, const char *name, int flags)
{
    return calls->openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

void disk_close(int fd)
{
    int before = errno;
    calls->close(fd);
    errno = before;
}

ssize_t disk_read(int fd, void *bytes, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = calls->pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Takes N written bytes off the front of PARTS. Returns how many parts are wholly written. */
static size_t parts_skip(struct iovec *parts, size_t count, size_t n)
{
    size_t done = 0;
    while (done < count && n >= parts[done].iov_len)
        n -= parts[done++].iov_len;
    if (done < count) {
        parts[done].iov_base = (char *)parts[done].iov_base + n;
        parts[done].iov_len -= n;
    }
    return done;
}

bool disk_write(int fd, struct iovec *parts, size_t count, uint64_t offset)
{
    size_t done = parts_skip(parts, count, 0);
    while (done < count) {
        size_t left = count - done;
        ssize_t n = calls->pwritev(fd, parts + done, left < IOV_MAX ? (int)left : IOV_MAX, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n ? errno : ENOSPC; /* no file system should write nothing and say so; if one does, it is full */
            return false;
        }
        offset += (uint64_t)n;
        done += parts_skip(parts + done, left, (size_t)n);
    }
    return true;
}

bool disk_write_bytes(int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
    return disk_write(fd, &part, 1, offset);
}

bool disk_size(int fd, uint64_t *ret_size)
{
    struct stat stat;
    if (calls->fstat(fd, &stat) < 0)
        return false;
    *ret_size = (uint64_t)stat.st_size;
    return true;
}

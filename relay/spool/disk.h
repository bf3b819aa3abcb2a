/* The system calls of the spool, all of them, behind one small table: tests put their own in its place, to fail the n-th call, to
 * record what reaches the disk, or to kill the process between two calls. */
#ifndef POSTERN_SPOOL_DISK_H
#define POSTERN_SPOOL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Each as its system call, with errno. */
struct disk {
    int (*openat)(int folder, const char *name, int flags, mode_t mode);
    ssize_t (*pread)(int fd, void *bytes, size_t size, off_t offset);
    ssize_t (*pwritev)(int fd, const struct iovec *parts, int count, off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*fstat)(int fd, struct stat *ret_stat);
    int (*flock)(int fd, int operation);
    int (*renameat)(int folder, const char *name, int new_folder, const char *new_name);
    int (*unlinkat)(int folder, const char *name);
    int (*close)(int fd);
};

/* The kernel's own. */
extern const struct disk disk_kernel;

/* Tests: every call goes through DISK from here on (NULL: the kernel's again). No spool thread may run meanwhile. */
void disk_replace(const struct disk *disk);

/* The table in use. */
const struct disk *disk_calls(void);

/* Opens NAME in FOLDER, close-on-exec, mode 0600. -1 with errno. */
int disk_open(int folder, const char *name, int flags);

/* Closes FD and keeps errno. What close() says is of no use: what matters was synced before. */
void disk_close(int fd);

/* Reads SIZE bytes at OFFSET, over short reads and EINTR; fewer only at the end of the file. -1 with errno. */
ssize_t disk_read(int fd, void *bytes, size_t size, uint64_t offset);

/* Writes all COUNT parts at OFFSET, over short writes and EINTR. PARTS is used up. False with errno: any part of it may have been
 * written. */
bool disk_write(int fd, struct iovec *parts, size_t count, uint64_t offset);

/* As disk_write for one run of bytes. */
bool disk_write_bytes(int fd, const void *bytes, size_t size, uint64_t offset);

/* The size of the file; false with errno. */
bool disk_size(int fd, uint64_t *ret_size);

#endif

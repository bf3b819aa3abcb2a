/* A window over a file: a bounded piece of it in memory that moves along, for reading records whose ends are not known yet. */
#ifndef POSTERN_SPOOL_WINDOW_H
#define POSTERN_SPOOL_WINDOW_H

#include "../base/span.h"

#include <stdint.h>

#define WINDOW_SIZE 65536

struct window {
    int fd;
    uint64_t start; /* offset in the file of bytes[0] */
    size_t size;    /* bytes that are there */
    bool last;      /* the file ended here when it was read */
    char *bytes;
};

/* A window over FD, which stays the caller's. Takes WINDOW_SIZE bytes of memory. */
void window_init(struct window *window, int fd);

/* Frees the memory. */
void window_fini(struct window *window);

/* The bytes of the file from OFFSET on, at least NEED (at most WINDOW_SIZE) of them unless the file ends before. Valid until the
 * next call. False, with errno, where the disk says no. */
bool window_at(struct window *window, uint64_t offset, size_t need, struct span *ret_bytes);

#endif

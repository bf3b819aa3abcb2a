/* For readers that go forward by steps whose size they learn from what they read: a record's header, the next multiple of 8, an
 * outcome. One pread of 64 KiB serves all steps within it; a step back or beyond reads anew. The buffer is the window's own for
 * its life, so a walk over a spool of any size needs 64 KiB.
 *
 * `last` keeps the end of a file from being read again and again: what a growing file has got since is seen by a window that is
 * made anew, which suits recovery, where the writer has been looked for first. */
#include "window.h"

#include "../base/text.h"
#include "disk.h"

#include <stdlib.h>

void window_init(struct window *window, int fd)
{
    *window = (struct window){ .fd = fd, .bytes = text_zalloc(WINDOW_SIZE) };
}

void window_fini(struct window *window)
{
    free(window->bytes);
    *window = (struct window){ .fd = -1 };
}

bool window_at(struct window *window, uint64_t offset, size_t need, struct span *ret_bytes)
{
    bool inside = offset >= window->start && offset - window->start <= window->size;
    if (!inside || (!window->last && window->size - (size_t)(offset - window->start) < need)) {
        ssize_t n = disk_read(window->fd, window->bytes, WINDOW_SIZE, offset);
        window->start = offset;
        window->size = n < 0 ? 0 : (size_t)n;
        window->last = n >= 0 && n < WINDOW_SIZE;
        if (n < 0)
            return false;
    }
    size_t skip = (size_t)(offset - window->start);
    *ret_bytes = span_make(window->bytes + skip, window->size - skip);
    return true;
}

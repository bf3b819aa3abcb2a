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

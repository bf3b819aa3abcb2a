#include "line.h"

enum line_progress line_next(struct span input, size_t max, struct span *ret_line, size_t *ret_used)
{
    struct span seen = span_head(input, max);
    size_t end = span_find(seen, '\n');
    if (end == seen.n)
        return seen.n == max ? LINE_TOO_LONG : LINE_MORE;
    struct span line = span_head(seen, end);
    bool clean = line.n && line.p[line.n - 1] == '\r';
    if (clean)
        line.n--;
    *ret_line = line;
    *ret_used = end + 1;
    return clean && span_find(line, '\r') == line.n ? LINE_DONE : LINE_BARE;
}

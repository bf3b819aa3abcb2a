/* Lines of a connection: CRLF and nothing else ends one. */
#ifndef POSTERN_SMTP_LINE_H
#define POSTERN_SMTP_LINE_H

#include "../base/span.h"

enum line_progress {
    LINE_MORE,    /* no CRLF yet, and no limit passed */
    LINE_DONE,    /* *ret_line is the line without CRLF, *ret_used what to consume */
    LINE_BARE,    /* as LINE_DONE, but the line is not clean: it ends in LF alone, or holds a bare CR: 500 5.5.2 */
    LINE_TOO_LONG /* MAX bytes and no end of line */
};

/* Looks for the first line in INPUT, at most MAX bytes with its CRLF. */
enum line_progress line_next(struct span input, size_t max, struct span *ret_line, size_t *ret_used);

#endif

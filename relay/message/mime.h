/* The parts of a message (RFC 2045, RFC 2046), found while its content comes: for reading a report, not for showing a message.
 *
 * All of it is bounded: MIME_BYTES_MAX of content are looked at, MIME_DEPTH_MAX multiparts may lie in each other, a line and a part's
 * header are cut at their maximum; what is beyond is skipped. A multipart that never ends, ends twice, or has a boundary that nobody
 * could use is no error: what was found until then counts. */
#ifndef POSTERN_MESSAGE_MIME_H
#define POSTERN_MESSAGE_MIME_H

#include "../base/span.h"

#define MIME_BYTES_MAX  (256 * 1024)
#define MIME_DEPTH_MAX  4
#define MIME_LINE_MAX   4096        /* bytes of a line; the rest of it is left out */
#define MIME_HEADER_MAX (16 * 1024) /* bytes of a part's header */
#define MIME_TYPE_SIZE  80          /* room for a type, and for a parameter that is asked for, with a NUL */

/* A part whose header is complete. */
struct mime_part {
    unsigned depth;                   /* 0: the message itself; 1: a part of it … */
    char type[MIME_TYPE_SIZE];        /* "text/plain" where there is none; lower case */
    char report_type[MIME_TYPE_SIZE]; /* the parameter report-type, lower case, or "" */
};

/* Who looks at them. */
struct mime_visitor {
    /* A part begins. True: its lines are wanted (never given for a multipart). */
    bool (*part)(void *context, const struct mime_part *part);
    /* A line of that part's body without its end, its encoding (quoted-printable, base64) undone. */
    void (*line)(void *context, struct span line);
};

struct mime;

/* Begins a message for VISITOR (static), which gets CONTEXT. */
struct mime *mime_new(const struct mime_visitor *visitor, void *context);

/* Frees *MIME and nulls it. NULL is fine. */
void mime_free(struct mime **mime);

/* More of the content in wire form: CRLF lines, dot-stuffed, cut anywhere. */
void mime_add(struct mime *mime, struct span wire);

/* The content has ended: a last line without CRLF and a last part without body are given out. Nothing may be added any more. */
void mime_end(struct mime *mime);

#endif

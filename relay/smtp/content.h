/* The content of a message as it travels behind DATA: wire form, CRLF lines, dot-stuffed (RFC 5321 4.5.2).
 *
 * postern keeps content in wire form from client to spool to server, so intake only checks and finds the end. The end is
 * CRLF "." CRLF (or "." CRLF at the very start) and nothing else. A bare CR or LF anywhere makes the whole message bad: it is
 * drained to its true end and refused, never ended early (SMTP smuggling, CVE-2023-51764 and its like). */
#ifndef POSTERN_SMTP_CONTENT_H
#define POSTERN_SMTP_CONTENT_H

#include "../base/buffer.h"

#include <stdint.h>

enum content_progress {
    CONTENT_MORE, /* all of the input was taken, no end yet */
    CONTENT_END   /* the end was found: *ret_used bytes were taken, the rest is the next command */
};

/* A scan in progress; all zero is its start. */
struct content {
    unsigned state;
    bool bare_cr;          /* a CR without LF was seen */
    bool bare_lf;          /* a LF without CR was seen */
    bool nul;              /* a NUL byte was seen */
    bool eight_bit;        /* a byte above 127 was seen */
    uint64_t size;         /* bytes of wire form so far, without the final "." CRLF */
    uint64_t longest_line; /* bytes without CRLF */
    uint64_t line_size;    /* of the current line */
};

/* Goes through INPUT, cut anywhere. *ret_body is the part of INPUT that belongs to the message: a span at INPUT's front,
 * with the terminating dot line left out even where that began in an earlier call.
 *
 * To make that possible the scan holds back what could still turn out to be the end: up to 3 bytes (CRLF is given out at
 * once; "." behind CRLF, and a CR behind that, are held back). *ret_held is what was held back by an earlier call and turned
 * out to be content: it goes before *ret_body. It points to static bytes. */
enum content_progress content_scan(struct content *content, struct span input, struct span *ret_held, struct span *ret_body,
                                   size_t *ret_used);

/* Appends PLAIN (CRLF lines, not dot-stuffed) to OUT in wire form: dots doubled at line starts, CRLF at the end added where
 * missing. For messages that postern writes itself. False where OUT is full, or PLAIN has a bare CR or LF. */
bool content_stuff(struct span plain, struct buffer *out);

/* Appends WIRE to OUT without its dot-stuffing. False where OUT is full. */
bool content_unstuff(struct span wire, struct buffer *out);

#endif

/* Replies of a server (RFC 5321 4.2): parse what a remote says, bounded. */
#ifndef POSTERN_SMTP_REPLY_H
#define POSTERN_SMTP_REPLY_H

#include "../base/span.h"
#include "limits.h"

enum reply_progress {
    REPLY_MORE,     /* "250-…": another line follows */
    REPLY_DONE,     /* the last line was taken */
    REPLY_MALFORMED /* not a reply: code not [2-5][0-5][0-9], differs from the first line's, too many lines, a NUL or bare CR */
};

struct reply {
    unsigned code;                     /* 0 until the first line */
    char enhanced[SMTP_ENHANCED_SIZE]; /* "4.7.1" where the last line has one and its class fits the code; else "" */
    char text[SMTP_REPLY_TEXT_SIZE];   /* all lines' text, joined by " / ", escaped to one printable line, cut with "…" */
    unsigned lines;
    bool cut;
};

/* Makes REPLY ready for a new reply. */
void reply_init(struct reply *reply);

/* Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 * One call takes one line without its CRLF. */
enum reply_progress reply_feed(struct reply *reply, struct span line);

/* The text behind the code of one reply line (for EHLO keywords): LINE must have passed reply_feed. */
struct span reply_line_text(struct span line);

#endif

/* The text of a report: multipart/report (RFC 3462) with words for people, a message/delivery-status (RFC 3464), and the original
 * message or its header. Bytes only: no disk, no clock. */
#ifndef POSTERN_QUEUE_REPORT_H
#define POSTERN_QUEUE_REPORT_H

#include "../message/envelope.h"
#include "cause.h"

#define REPORT_SIZE_MAX    (16 * 1024 * 1024)
#define REPORT_SPELLED_MAX 200 /* recipients that the words for people name; the status part has all */

enum report_kind {
    REPORT_FAILED,
    REPORT_DELAYED,
    REPORT_RELAYED /* handed on to a server that reports nothing itself (RFC 3461 5.2.2) */
};

struct report_recipient {
    const struct envelope_recipient *recipient;
    const struct cause *cause; /* why it failed or is late, or what the server said that took it */
};

struct report {
    const char *hostname;
    const char *postmaster;
    struct uid id;                /* of the report */
    const struct envelope *about; /* the original's; its id is the original's */
    enum report_kind kind;
    int64_t now_ms;
    int64_t until_ms;     /* of a late one: when it is given up */
    struct span original; /* unstuffed, CRLF lines: the whole message, or its header lines without the empty line */
    bool whole;
    const struct report_recipient *recipients;
    size_t nrecipients;
};

/* Appends the report, CRLF lines, not dot-stuffed, to OUT. Returns the flags of its envelope (ENVELOPE_8BIT, ENVELOPE_SMTPUTF8). All that
 * is foreign but the original is escaped. What does not fit in OUT is left off (OUT's overflow tells).
 *
 * Addresses that are not ASCII: the words for people have them in UTF-8, the status part in the ASCII form of RFC 6533 (utf-8; with
 * \x{…}), so that every reader of message/delivery-status can read it. */
unsigned report_write(const struct report *report, struct buffer *out);

#endif

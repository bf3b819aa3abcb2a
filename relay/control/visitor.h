/* Administrators on the admin socket: postern(1) connects, sends one line of JSON, and gets lines of JSON.
 *
 *     {"command": "queue list", "filters": {"account": "alice"}}
 *     {"value": {…}}                                              none, one, or one an element
 *     {"done": true, "exit": 0, "reason": ""}                     always the last line
 *
 * Who may connect is said by the socket's file: root, the daemon's user, and the members of its group. */
#ifndef POSTERN_CONTROL_VISITOR_H
#define POSTERN_CONTROL_VISITOR_H

#include "control.h"

#include <jansson.h>

#define VISITORS_MAX        64
#define VISITOR_LINE_MAX    (64 * 1024)
#define VISITOR_OUTPUT_MAX  (64 * 1024 * 1024) /* of an answer that is not read */
#define VISITOR_OUTPUT_SLOW (1024 * 1024)      /* from here on whoever answers is asked to rest */

struct visitors;
struct visitor;

/* Serves whoever connects to FD, which it owns from here on. */
struct visitors *visitor_listen(struct control *control, int fd);

/* Drops all visitors, frees *VISITORS and nulls it. NULL is fine. */
void visitor_close_all(struct visitors **visitors);

/* The parent's answer to the command whose ticket is TICKET. */
void visitor_parent_answer(struct visitors *visitors, uint64_t ticket, bool done, const char *text);

/* For the orders: writes a whole VALUE (taken over). VISITOR may be gone afterwards, where too much waits unread. */
void visitor_value(struct visitor *visitor, json_t *value);

/* Writes a PIECE of a value's text as it comes from another role; one that ENDS completes it. Not one with a line feed or other control
 * byte: it would forge a line of the answer, so the answer ends refused. Else as visitor_value. */
void visitor_piece(struct visitor *visitor, struct span piece, bool ends);

/* Ends the answer; VISITOR is gone afterwards. DONE is what exit status 0 says, REASON a sentence or "". */
void visitor_end(struct visitor *visitor, bool done, const char *reason);

/* What VISITOR waits for beside what it asked (asking.h) is freed with it. */
struct visitor_waits {
    struct overview *overview;
    struct trace *trace;
    uint64_t ticket; /* of a command to the parent, or 0 */
};

/* Those of VISITOR, for the orders to set and null. */
struct visitor_waits *visitor_waits(struct visitor *visitor);

/* The control role that VISITOR visits. */
struct control *visitor_control(const struct visitor *visitor);

/* The user id at the other end, as the kernel tells it (SO_PEERCRED). */
unsigned visitor_user(const struct visitor *visitor);

#endif

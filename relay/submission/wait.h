/* What a session waits for: an answer, a delay, or its client with a deadline. One thing at a time.
 *
 * While a session waits for an answer its input stays where it is, so that replies keep their order; the answer then sets it going
 * again. Whatever is asked ends: with its answer, with a NULL answer when the asked process goes or takes too long, or unheard
 * when the session ends first. */
#ifndef POSTERN_SUBMISSION_WAIT_H
#define POSTERN_SUBMISSION_WAIT_H

#include "../base/loop.h"

#include <stdint.h>

struct front;
struct session;

enum wait_kind {
    WAIT_NOTHING, /* the session works through its input */
    WAIT_POLICY,
    WAIT_POLICY_RCPT, /* the same, with an answer for each recipient */
    WAIT_DNS,
    WAIT_AUTH,
    WAIT_STORE, /* the message is being made durable */
    WAIT_ROOM,  /* the writer has enough of this message for now */
    WAIT_DELAY, /* what was said is held back on purpose */
    WAIT_KINDS
};

/* Goes on with ANSWER, whose type the asker knows; NULL: there is none. */
typedef void (*wait_then)(struct session *session, const void *answer);

/* Inside struct session. */
struct wait {
    enum wait_kind kind;
    uint32_t slot; /* in front->tickets */
    wait_then then;
    int64_t deadline_ms; /* on the monotonic clock; 0: none */
    int64_t timer_ms;    /* when the timer fires; 0: not set. It may fire before the deadline and is set again then. */
    struct timer timer;
};

/* SESSION waits for nothing yet. */
void wait_init(struct session *session);

/* Whatever SESSION waits for, its answer finds nobody from here on. */
void wait_fini(struct session *session);

/* SESSION waits for an answer of KIND, which goes to THEN. Returns the ticket that the question carries. */
uint64_t wait_ask(struct session *session, enum wait_kind kind, wait_then then);

/* The same within a dialogue whose ticket lasts (SASL). */
void wait_more(struct session *session, enum wait_kind kind, wait_then then);

/* Takes the last wait_ask or wait_more back: the question could not be sent. */
void wait_stop(struct session *session);

/* The session that waits for an answer of KIND to TICKET, or NULL: it has gone, gave up, or waits for something else. */
struct session *wait_find(const struct front *front, enum wait_kind kind, uint64_t ticket);

/* The ticket of SESSION's last question is void. */
void wait_void(struct session *session);

/* Gives ANSWER (may be NULL) to SESSION, which must wait for one, and lets it run. SESSION may be gone. */
void wait_answer(struct session *session, const void *answer);

/* Holds back what was said, and everything after it, for DELAY_MS (at most WAIT_DELAY_MAX_MS). Nothing happens for 0. */
void wait_delay(struct session *session, uint32_t delay_ms);
#define WAIT_DELAY_MAX_MS 60000

/* The same, and goes on with THEN afterwards, for 0 ms too. */
void wait_delay_then(struct session *session, uint32_t delay_ms, wait_then then);

/* The client has DELAY_MS from now on for what comes next. What happens at the end depends on the phase: 421 4.4.2, or just the
 * end. */
void wait_deadline(struct session *session, int64_t delay_ms);

/* The same with a moment on the monotonic clock. */
void wait_until(struct session *session, int64_t when_ms);

#endif

/* One timer a session serves every deadline. Deadlines mostly move on (each command has a new one), so the timer is not set anew
 * each time: it fires when the earliest deadline it was set for is due, looks at the one that holds now, and is set for the rest.
 * That makes a new deadline an assignment. */
#include "wait.h"

#include "../base/clock.h"
#include "session.h"
#include "tickets.h"

#include <assert.h>

/* How long an answer may take. The asked roles have bounds of their own, shorter ones; these keep a session from hanging on one
 * that is stuck. A message that is being stored is waited for without a bound: its fate is known for certain only then. */
static const int64_t patience_ms[WAIT_KINDS] = {
    [WAIT_POLICY] = 30000, [WAIT_POLICY_RCPT] = 30000, [WAIT_DNS] = 60000, [WAIT_AUTH] = 60000, [WAIT_STORE] = 0, [WAIT_ROOM] = 0,
};

static void timer_fired(void *context);

void wait_init(struct session *session)
{
    session->wait.slot = tickets_enter(session->front->tickets, session);
}

void wait_fini(struct session *session)
{
    tickets_leave(session->front->tickets, session->wait.slot);
    timer_fini(&session->wait.timer);
}

void wait_until(struct session *session, int64_t when_ms)
{
    struct wait *wait = &session->wait;
    wait->deadline_ms = when_ms;
    if (wait->timer_ms && wait->timer_ms <= when_ms)
        return;
    int64_t delay_ms = when_ms - clock_monotonic_ms();
    wait->timer_ms = when_ms;
    if (wait->timer.event)
        timer_again(&wait->timer, delay_ms);
    else
        timer_set(&wait->timer, session->front->role->loop, delay_ms, timer_fired, session);
}

void wait_deadline(struct session *session, int64_t delay_ms)
{
    wait_until(session, clock_monotonic_ms() + delay_ms);
}

/* The client took too long. */
static void client_timed_out(struct session *session)
{
    if (session->phase == SESSION_HANDSHAKE) {
        session_free(session);
        return;
    }
    session_close(session, "421 4.4.2 too slow; the connection is closed");
    session_run(session);
}

static void timer_fired(void *context)
{
    struct session *session = context;
    struct wait *wait = &session->wait;
    int64_t now = clock_monotonic_ms();
    wait->timer_ms = 0;
    if (!wait->deadline_ms)
        return;
    if (now < wait->deadline_ms) {
        wait_until(session, wait->deadline_ms);
        return;
    }
    wait->deadline_ms = 0;
    if (wait->kind == WAIT_NOTHING)
        client_timed_out(session);
    else
        wait_answer(session, NULL);
}

void wait_more(struct session *session, enum wait_kind kind, wait_then then)
{
    struct wait *wait = &session->wait;
    assert(wait->kind == WAIT_NOTHING && kind != WAIT_NOTHING);
    wait->kind = kind;
    wait->then = then;
    wait->deadline_ms = 0;
    stream_pause(session->stream);
    if (patience_ms[kind])
        wait_deadline(session, patience_ms[kind]);
}

uint64_t wait_ask(struct session *session, enum wait_kind kind, wait_then then)
{
    wait_more(session, kind, then);
    return tickets_renew(session->front->tickets, session->wait.slot);
}

void wait_stop(struct session *session)
{
    session->wait.kind = WAIT_NOTHING;
    session->wait.then = NULL;
    session->wait.deadline_ms = 0;
    wait_void(session);
}

struct session *wait_find(const struct front *front, enum wait_kind kind, uint64_t ticket)
{
    struct session *session = tickets_find(front->tickets, ticket);
    return session && session->wait.kind == kind ? session : NULL;
}

void wait_void(struct session *session)
{
    tickets_renew(session->front->tickets, session->wait.slot);
}

void wait_answer(struct session *session, const void *answer)
{
    struct wait *wait = &session->wait;
    wait_then then = wait->then;
    assert(wait->kind != WAIT_NOTHING);
    wait->kind = WAIT_NOTHING;
    wait->then = NULL;
    wait->deadline_ms = 0;
    if (then)
        then(session, answer);
    session_run(session);
}

void wait_delay_then(struct session *session, uint32_t delay_ms, wait_then then)
{
    wait_ask(session, WAIT_DELAY, then);
    wait_deadline(session, delay_ms < WAIT_DELAY_MAX_MS ? delay_ms : WAIT_DELAY_MAX_MS);
}

void wait_delay(struct session *session, uint32_t delay_ms)
{
    if (delay_ms)
        wait_delay_then(session, delay_ms, NULL);
}

/* How much a site takes: connections at once and messages a second, found out by what it refuses. Knows no site and no clock: times are
 * the caller's, in milliseconds of one clock that never jumps.
 *
 * Connections grow by ones with success and shrink by halves when one breaks. A site that says "too many connections" has told its limit:
 * one less than were open; after that, one more is tried but rarely.
 *
 * No rate is kept to as long as a site refuses none. A refusal sets one below what was achieved; then the rate goes up half the way to where
 * it was refused, again and again, and stays just below. Where more is refused behind a refusal, the pause doubles. Where on the whole much
 * less was taken than the rate that was refused, what was taken is the better guess, and each rate is tried for longer: the site counts
 * over minutes, not seconds. What is known ages: after a minute, later after an hour, a little more is tried. */
#ifndef POSTERN_QUEUE_PACE_H
#define POSTERN_QUEUE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_FIRST         2           /* connections to a site that nothing is known of */
#define PACE_HOLD_MS       (60 * 1000) /* no more is tried for so long after a refusal; doubles with each attempt that failed … */
#define PACE_HOLD_MAX_MS   (60 * 60 * 1000) /* … to so long */
#define PACE_PAUSE_MS      1000             /* nothing is sent for so long after a refusal; doubles with each in a row … */
#define PACE_CUTS_MAX      7                /* … and after so many the site had better rest */
#define PACE_LEAD_MS       1000             /* how long before its turn a message may get a connection opened for it */
#define PACE_REMEMBERED_MS (60 * 60 * 1000) /* how long after the last refusal it matters */

/* What the settings allow at most. */
struct pace_bounds {
    unsigned connections;
    double rate; /* messages a second; 0: any */
};

struct pace {
    unsigned limit;    /* connections that there may be now */
    unsigned refused;  /* so many were open when one more was refused; 0: never, or forgotten */
    int64_t growth_ms; /* no more connections before */
    int64_t growth_hold_ms;
    bool reaching;         /* there are more than were refused once */
    int64_t last_ms;       /* of the last refusal of any kind; 0: none */
    double rate;           /* messages a second; 0: none is kept to */
    double good;           /* the highest that was kept without a refusal; 0: none yet */
    double bad;            /* that was refused; 0: none, or forgotten */
    int64_t step_ms;       /* since when `rate` is tried */
    unsigned step_count;   /* messages taken, or refused for themselves, since */
    unsigned patience;     /* a step takes twice as long for each of these */
    int64_t hold_until_ms; /* `bad` is believed until then */
    int64_t hold_ms;
    bool probing;         /* `rate` is above what was ever good, after `bad` was forgotten */
    unsigned cuts;        /* refusals in a row */
    unsigned last_cuts;   /* in the row before */
    int64_t cut_ms;       /* of the last refusal that counted; 0: none */
    int64_t pause_ms;     /* nothing is sent before */
    double next_ms;       /* when the next message may go */
    int64_t fresh_ms;     /* of the last refusal behind a good step; 0: none */
    unsigned since_fresh; /* messages taken since */
    int64_t window_ms;    /* begin of the second in which `taken` counts */
    unsigned taken;
    unsigned taken_before; /* in the second before that */
};

/* A site that nothing is known of. */
void pace_init(struct pace *pace);

/* How many connections there may be now. */
unsigned pace_connections(const struct pace *pace, const struct pace_bounds *bounds);

/* In how many milliseconds the next message may be sent; 0: now. */
int64_t pace_delay(const struct pace *pace, const struct pace_bounds *bounds, int64_t now_ms);

/* How many connections there should be now, where there is much to send, BUSY are in use and none waits for a message: as many as may be, or
 * with a rate one more than are in use; none in a pause, and for a message whose turn is more than PACE_LEAD_MS away. */
unsigned pace_wanted(const struct pace *pace, const struct pace_bounds *bounds, unsigned busy, int64_t now_ms);

/* The rate that is kept to now, in messages a second; 0: none. */
double pace_rate(const struct pace *pace, const struct pace_bounds *bounds);

/* A message is sent now. */
void pace_sent(struct pace *pace, const struct pace_bounds *bounds, int64_t now_ms);

/* One was taken; OPEN connections are there. */
void pace_taken(struct pace *pace, const struct pace_bounds *bounds, unsigned open, int64_t now_ms);

/* One was answered, and not for the rate: it counts for the rate all the same. */
void pace_answered(struct pace *pace, int64_t now_ms);

/* One that was begun at BEGUN_MS was refused because there are too many in a time. False where that is no news: it was begun before the
 * last refusal, and the rate is lower already. */
bool pace_too_fast(struct pace *pace, const struct pace_bounds *bounds, int64_t begun_ms, int64_t now_ms);

/* One connection more than others was refused: OPEN are there, with it. */
void pace_too_many(struct pace *pace, unsigned open, int64_t now_ms);

/* The only connection was refused in this way, BEGUN_MS as above: a pause, no less. */
bool pace_not_now(struct pace *pace, int64_t begun_ms, int64_t now_ms);

/* A connection broke in use. */
void pace_broken(struct pace *pace);

/* The site rests; one connection will probe it. */
void pace_rest(struct pace *pace);

/* Has it refused again and again whatever was done? */
bool pace_is_hopeless(const struct pace *pace);

/* Does a refusal still hold back what is sent there? */
bool pace_is_slowed(const struct pace *pace);

/* Has it refused so lately that it should not be forgotten? */
bool pace_remembers(const struct pace *pace, int64_t now_ms);

#endif

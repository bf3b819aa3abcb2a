/* Messages are spread evenly, since nobody knows over what time a site counts: one every 1 / rate fits under a window of any length and
 * under any bucket. How even they arrive is not in our hands: on a busy machine some come late and others on time behind them, so that a
 * rate a few percent below the true one is refused now and then. That is just another refusal: a little less is sent for a minute. */
#include "pace.h"

#define RATE_MIN      (1.0 / 60) /* messages a second: below, resting is better */
#define RATE_MAX      1000.0     /* above, no rate is kept to */
#define FIRST_CUT     0.7        /* of what was achieved at the first refusal */
#define FIRST_BAD     3.0        /* of the same: believed to be too much for sure */
#define BELOW_BAD     0.97       /* as near as the search comes to what was refused */
#define NEAR_ENOUGH   1.02       /* steps smaller than this are not worth a refusal */
#define PROBE         1.05       /* the first step after a refusal is forgotten … */
#define GROWTH        1.25       /* … and the others */
#define USED          0.8        /* of the rate must have been used, that a step without refusal says anything */
#define STEP_MS       2000       /* how long a rate is tried, or … */
#define STEP_MESSAGES 10         /* … as long as so many messages take */
#define PATIENCE_MAX  6          /* steps of two minutes */
#define LITTLE_LESS   0.95       /* of a rate that was good */
#define MUCH_LESS     0.5        /* of one that was never good, or refused for a minute */
#define IN_A_ROW_MAX  6          /* refusals behind a good rate's that only make the pause longer: a minute in all */
#define MEAN_MS       5000       /* over less than this a mean says nothing */
#define MEAN_LESS     0.8        /* of the rate: the mean is the better guess */
#define ABOVE_MEAN    1.1
#define SLACK_MS      5.0  /* by so much a message may make up for one that was late: a timer's resolution and some */
#define CONNECTION_MS 5000 /* between two steps above what was refused once */

void pace_init(struct pace *pace)
{
    *pace = (struct pace){ .limit = PACE_FIRST, .hold_ms = PACE_HOLD_MS, .growth_hold_ms = PACE_HOLD_MS };
}

static unsigned at_least_one(unsigned n)
{
    return n ? n : 1;
}

unsigned pace_connections(const struct pace *pace, const struct pace_bounds *bounds)
{
    return at_least_one(pace->limit < bounds->connections ? pace->limit : bounds->connections);
}

double pace_rate(const struct pace *pace, const struct pace_bounds *bounds)
{
    bool bound = bounds->rate > 0 && (pace->rate <= 0 || bounds->rate < pace->rate);
    return bound ? bounds->rate : pace->rate;
}

int64_t pace_delay(const struct pace *pace, const struct pace_bounds *bounds, int64_t now_ms)
{
    int64_t pause_ms = now_ms < pace->pause_ms ? pace->pause_ms - now_ms : 0;
    double turn_ms = pace_rate(pace, bounds) > 0 ? pace->next_ms - (double)now_ms : 0;
    if (turn_ms <= (double)pause_ms)
        return pause_ms;
    return (int64_t)turn_ms + ((double)(int64_t)turn_ms < turn_ms);
}

unsigned pace_wanted(const struct pace *pace, const struct pace_bounds *bounds, unsigned busy, int64_t now_ms)
{
    unsigned limit = pace_connections(pace, bounds);
    if (now_ms < pace->pause_ms || pace_delay(pace, bounds, now_ms) > PACE_LEAD_MS)
        return 0;
    return pace_rate(pace, bounds) > 0 && busy < limit ? busy + 1 : limit;
}

void pace_sent(struct pace *pace, const struct pace_bounds *bounds, int64_t now_ms)
{
    double rate = pace_rate(pace, bounds), earliest = (double)now_ms - SLACK_MS;
    if (rate <= 0)
        return;
    pace->next_ms = (pace->next_ms > earliest ? pace->next_ms : earliest) + 1000 / rate;
}

/* Counts in seconds, the one that runs and the one before. */
static void count(struct pace *pace, int64_t now_ms)
{
    int64_t age_ms = now_ms - pace->window_ms;
    if (age_ms >= 1000) {
        pace->taken_before = age_ms < 2000 ? pace->taken : 0;
        pace->taken = 0;
        pace->window_ms = now_ms;
    }
    pace->taken++;
}

/* What was taken a second, of late: of one or two seconds. */
static double achieved(const struct pace *pace, int64_t now_ms)
{
    int64_t age_ms = now_ms - pace->window_ms;
    double messages = age_ms < 2000 ? (double)pace->taken + pace->taken_before : 0;
    double seconds = (pace->taken_before ? 1.0 : 0.0) + (double)(age_ms < 2000 ? age_ms : 0) / 1000;
    double rate = messages / (seconds > 1 ? seconds : 1);
    return rate > 1 ? rate : 1;
}

/* The only writer of the rate. */
static void set_rate(struct pace *pace, double rate, int64_t now_ms)
{
    pace->rate = rate > RATE_MAX ? 0 : rate < RATE_MIN ? RATE_MIN : rate;
    pace->step_ms = now_ms;
    pace->step_count = 0;
    double turn_ms = pace->rate > 0 ? 1000 / pace->rate : 0;
    if (pace->next_ms > (double)now_ms + turn_ms) /* the turn of a slower rate */
        pace->next_ms = (double)now_ms + turn_ms;
}

/* The rate was used for a whole step, and nothing was refused. */
static void step_up(struct pace *pace, int64_t now_ms)
{
    pace->good = pace->rate;
    if (pace->bad > 0 && now_ms >= pace->hold_until_ms) {
        pace->bad = 0;
        pace->probing = true;
        set_rate(pace, pace->good * PROBE, now_ms);
        return;
    }
    if (pace->probing)
        pace->hold_ms = PACE_HOLD_MS; /* what was known is outdated */
    double next = pace->bad > 0 ? (pace->good + pace->bad) / 2 : pace->good * GROWTH;
    if (pace->bad > 0 && next > pace->bad * BELOW_BAD)
        next = pace->bad * BELOW_BAD;
    set_rate(pace, next > pace->good * NEAR_ENOUGH ? next : pace->good, now_ms);
}

static int64_t step_length(const struct pace *pace)
{
    double messages_ms = STEP_MESSAGES * 1000 / pace->rate;
    int64_t patient_ms = (int64_t)STEP_MS << pace->patience;
    return messages_ms > (double)patient_ms ? (int64_t)messages_ms : patient_ms;
}

/* One more connection, where all are in use and none was refused lately; beyond what was refused once, step by step. */
static void grow(struct pace *pace, const struct pace_bounds *bounds, unsigned open, int64_t now_ms)
{
    if (open < pace->limit || pace->limit >= bounds->connections || now_ms < pace->growth_ms)
        return;
    pace->limit++;
    if (pace->refused && pace->limit > pace->refused) {
        pace->refused = pace->limit;
        pace->reaching = true;
        pace->growth_ms = now_ms + CONNECTION_MS;
    }
}

void pace_answered(struct pace *pace, int64_t now_ms)
{
    count(pace, now_ms);
    pace->since_fresh++;
    if (pace->rate <= 0) {
        pace->cuts = 0;
        return;
    }
    pace->step_count++;
    int64_t length_ms = now_ms - pace->step_ms;
    if (length_ms < step_length(pace))
        return;
    if (pace->cuts)
        pace->last_cuts = pace->cuts;
    pace->cuts = 0;
    if (pace->step_count >= USED * pace->rate * (double)length_ms / 1000)
        step_up(pace, now_ms);
    else
        set_rate(pace, pace->rate, now_ms);
}

void pace_taken(struct pace *pace, const struct pace_bounds *bounds, unsigned open, int64_t now_ms)
{
    grow(pace, bounds, open, now_ms);
    pace_answered(pace, now_ms);
}

static int64_t twice(int64_t hold_ms)
{
    return 2 * hold_ms < PACE_HOLD_MAX_MS ? 2 * hold_ms : PACE_HOLD_MAX_MS;
}

static bool is_old_news(const struct pace *pace, int64_t begun_ms)
{
    return pace->cut_ms && begun_ms <= pace->cut_ms;
}

/* A refusal counts: nothing is sent for a while, and nothing more is tried for longer. */
static void begin_pause(struct pace *pace, int64_t now_ms)
{
    int64_t pause_ms = PACE_PAUSE_MS;
    for (unsigned i = 0; i < pace->cuts && i < PACE_CUTS_MAX; i++)
        pause_ms *= 2;
    pace->cuts++;
    pace->cut_ms = pace->last_ms = now_ms;
    pace->pause_ms = now_ms + pause_ms;
}

/* The first refusal of all. */
static void cut_first(struct pace *pace, int64_t now_ms)
{
    double reached = achieved(pace, now_ms);
    pace->good = 0;
    pace->bad = FIRST_BAD * reached;
    set_rate(pace, FIRST_CUT * reached, now_ms);
}

/* One more behind a refusal: what it counts is used up, and will be again at some time. Where a rate was good, it stays. */
static void cut_again(struct pace *pace, int64_t now_ms)
{
    if (pace->good > 0 && pace->cuts < IN_A_ROW_MAX)
        return;
    pace->bad = pace->rate;
    pace->good = 0;
    set_rate(pace, pace->rate * MUCH_LESS, now_ms);
}

/* What was taken a second since the last refusal of this kind, pauses included; 0 where that was too short ago. */
static double mean(const struct pace *pace, int64_t now_ms)
{
    int64_t time_ms = now_ms - pace->fresh_ms;
    return pace->fresh_ms && time_ms >= MEAN_MS ? 1000.0 * pace->since_fresh / (double)time_ms : 0;
}

/* A rate that went well for a step, or was to be tried, is refused. */
static void cut_fresh(struct pace *pace, int64_t now_ms)
{
    double refused = pace->rate, guess = mean(pace, now_ms);
    double believed = pace->good > 0 && pace->good < refused ? pace->good : refused;
    if (pace->last_cuts > 1 && guess > 0 && guess < MEAN_LESS * believed) {
        guess = guess > MUCH_LESS * believed ? guess : MUCH_LESS * believed; /* there may have been little to send */
        pace->patience += pace->patience < PATIENCE_MAX;
        pace->bad = ABOVE_MEAN * guess;
        pace->good = LITTLE_LESS * guess;
    } else {
        pace->bad = refused;
        pace->good = believed < refused ? believed : LITTLE_LESS * refused;
    }
    set_rate(pace, pace->good, now_ms);
}

static void cut(struct pace *pace, int64_t now_ms)
{
    if (pace->rate <= 0)
        cut_first(pace, now_ms);
    else if (pace->cuts)
        cut_again(pace, now_ms);
    else
        cut_fresh(pace, now_ms);
    if (!pace->cuts) {
        pace->fresh_ms = now_ms;
        pace->since_fresh = 0;
    }
}

bool pace_too_fast(struct pace *pace, const struct pace_bounds *bounds, int64_t begun_ms, int64_t now_ms)
{
    if (is_old_news(pace, begun_ms))
        return false;
    if (pace->rate > bounds->rate && bounds->rate > 0)
        set_rate(pace, bounds->rate, now_ms);
    cut(pace, now_ms);
    pace->hold_ms = pace->probing ? twice(pace->hold_ms) : pace->hold_ms;
    pace->probing = false;
    pace->hold_until_ms = now_ms + pace->hold_ms;
    begin_pause(pace, now_ms);
    return true;
}

void pace_too_many(struct pace *pace, unsigned open, int64_t now_ms)
{
    pace->limit = pace->refused = at_least_one(open ? open - 1 : 0);
    pace->growth_hold_ms = pace->reaching ? twice(pace->growth_hold_ms) : pace->growth_hold_ms;
    pace->reaching = false;
    pace->growth_ms = now_ms + pace->growth_hold_ms;
    pace->last_ms = now_ms;
}

bool pace_not_now(struct pace *pace, int64_t begun_ms, int64_t now_ms)
{
    if (is_old_news(pace, begun_ms))
        return false;
    pace->limit = pace->refused = 1;
    pace->growth_ms = now_ms + pace->growth_hold_ms;
    begin_pause(pace, now_ms);
    return true;
}

void pace_broken(struct pace *pace)
{
    pace->limit = at_least_one(pace->limit / 2);
}

void pace_rest(struct pace *pace)
{
    pace->limit = 1;
}

bool pace_is_hopeless(const struct pace *pace)
{
    return pace->cuts > PACE_CUTS_MAX;
}

bool pace_is_slowed(const struct pace *pace)
{
    return pace->rate > 0 || pace->refused;
}

bool pace_remembers(const struct pace *pace, int64_t now_ms)
{
    return pace->last_ms && now_ms - pace->last_ms < PACE_REMEMBERED_MS;
}

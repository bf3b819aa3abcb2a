/* A judge with settings made for the test, and what it tells others. */
#ifndef TESTS_UNIT_POLICY_COURT_H
#define TESTS_UNIT_POLICY_COURT_H

#include "../../../policy/judge.h"
#include "../../../relay/base/text.h"
#include "../folder.h"
#include "settings.h"

#define COURT_HOUR    3600000
#define COURT_LIMITS  4
#define COURT_LETTERS 4

static struct {
    struct conf conf;
    struct conf_limit limits[COURT_LIMITS];
    struct conf_account accounts[2];
    struct account_table *table;
    struct seen *seen;
    struct limit_set *set;
    struct judge *judge;
    char told[1024]; /* "suspended alice;resumed alice;" … */
    struct {
        char to[300], subject[300];
        char text[LETTER_TEXT_MAX + 1];
    } letters[COURT_LETTERS];
    unsigned nletters;
} court;

static inline void court_tell(const char *what, struct span account)
{
    size_t at = strlen(court.told);
    snprintf(court.told + at, sizeof court.told - at, "%s %.*s;", what, SPAN_ARGS(account));
}

static inline void court_suspended(void *context, struct span account)
{
    (void)context;
    court_tell("suspended", account);
}

static inline void court_resumed(void *context, struct span account)
{
    (void)context;
    court_tell("resumed", account);
}

static inline void court_letters(void *context, struct span account, const char *subject, const struct judge_letter *letters,
                                 size_t count)
{
    (void)context;
    (void)account;
    for (size_t i = 0; i < count; i++, court.nletters++) {
        if (court.nletters >= COURT_LETTERS)
            continue;
        text_copy(court.letters[court.nletters].to, sizeof court.letters->to, span_of(letters[i].to));
        text_copy(court.letters[court.nletters].subject, sizeof court.letters->subject, span_of(subject));
        text_copy(court.letters[court.nletters].text, sizeof court.letters->text, span_of(letters[i].text));
    }
}

static inline struct conf_limit court_limit(const char *name, enum conf_limit_key key, enum conf_limit_count count, uint64_t rate,
                                            enum conf_limit_then then)
{
    return (struct conf_limit){ .name = settings_text(name),
                                .key = key,
                                .count = count,
                                .rate = { rate, COURT_HOUR },
                                .burst = rate,
                                .weight = 100,
                                .then = then };
}

/* The settings as they are in `court` now. */
static inline void court_settings(void)
{
    struct account_table *before = court.table;
    court.table = account_new(&court.conf);
    court.set = limit_new(&court.conf, court.seen, &court.set);
    judge_settings(court.judge, &court.conf, court.table, court.set);
    account_free(&before);
}

static inline void court_judge(void)
{
    static const struct judge_events events = { court_suspended, court_resumed, court_letters };
    court.judge = judge_new(&events, NULL);
    court_settings();
    judge_open(court.judge, folder);
}

/* LIMITS, an account "*" of no class, and a folder of its own. */
static inline void court_new(const struct conf_limit *limits, size_t count)
{
    memset(&court, 0, sizeof court);
    if (count)
        memcpy(court.limits, limits, count * sizeof *limits);
    court.accounts[0] = (struct conf_account){ .name = settings_text("*"), .contact = settings_text("") };
    court.conf = (struct conf){ .hostname = settings_text("relay.example.net"),
                                .postmaster = settings_text("postmaster@example.net"),
                                .limits = court.limits,
                                .nlimits = count,
                                .accounts = court.accounts,
                                .naccounts = 1 };
    court.seen = seen_new(1 << 20);
    court_judge();
}

/* The process ends, and another one begins. */
static inline void court_restart(void)
{
    judge_flush(court.judge, true);
    judge_free(&court.judge);
    court_judge();
}

static inline void court_free(void)
{
    judge_free(&court.judge);
    limit_free(&court.set);
    account_free(&court.table);
    seen_free(&court.seen);
}

static inline int court_close(void **state)
{
    court_free();
    return folder_remove(state);
}

static inline struct netaddr court_address(const char *text)
{
    struct netaddr address;
    assert_true(netaddr_parse(span_of(text), &address));
    return address;
}

static inline bool court_suspend(const char *account, const char *reason)
{
    return judge_suspend(court.judge, span_of(account), &(struct judge_order){ .reason = reason, .by = "administrator" });
}

static inline bool court_resume(const char *account)
{
    return judge_resume(court.judge, span_of(account), &(struct judge_order){ .by = "administrator" });
}

/* How much of the limit at INDEX is used by KEY. */
static inline uint64_t court_used(size_t index, const char *key, int64_t now_ms)
{
    return bucket_look(limit_at(court.set, index)->buckets, span_of(key), now_ms).used;
}

static inline bool court_count_record(void *context, struct span account)
{
    (void)account;
    ++*(unsigned *)context;
    return true;
}

/* How many accounts have a record. */
static inline unsigned court_records(void)
{
    unsigned count = 0;
    standing_each(judge_standing(court.judge), false, court_count_record, &count);
    return count;
}

#endif

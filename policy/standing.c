/* A record is the JSON object that is shown and written down, so that there is one form of it; beside it stand the few things that are
 * asked for all the time. Nothing here decides: when to strike and whom to tell is judge.c's. */
#include "standing.h"

#include "../relay/base/clock.h"
#include "../relay/base/list.h"
#include "../relay/base/log.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"
#include "standing_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_MS 50 /* policy answers nobody meanwhile */
#define REST_MAX 63 /* times that standing_flush does nothing, between two attempts of a disk that fails */

struct record {
    struct list node;   /* the last touched at the front */
    struct list untold; /* of those that are suspended, and whose letters are not on their way */
    struct list stale;  /* of those that the disk has not as they are now */
    bool suspended;
    bool struck; /* or suspended once: it leaves behind those that are not */
    bool kept;   /* on the disk */
    json_t *json;
    char account[ACCOUNT_NAME_SIZE];
};

struct standing {
    struct map *records; /* by account */
    struct list used, untold, stale;
    size_t suspended;
    size_t items;   /* signals and samples in all records */
    int folder;     /* -1: none */
    unsigned pause; /* how often standing_flush rests after a failure; 0: the disk works … */
    unsigned rest;  /* … and how often still */
};

struct standing *standing_new(void)
{
    struct standing *standing = text_zalloc(sizeof *standing);
    standing->records = map_new(0);
    standing->folder = -1;
    list_init(&standing->used);
    list_init(&standing->untold);
    list_init(&standing->stale);
    return standing;
}

static void free_record(void *value)
{
    struct record *record = value;
    json_decref(record->json);
    free(record);
}

void standing_free(struct standing **standing)
{
    if (!*standing)
        return;
    map_free(&(*standing)->records, free_record);
    if ((*standing)->folder >= 0)
        close((*standing)->folder);
    free(*standing);
    *standing = NULL;
}

static struct record *find(const struct standing *standing, struct span account)
{
    return map_count(standing->records) ? map_get(standing->records, account) : NULL;
}

static size_t items_of(const struct record *record)
{
    return json_array_size(json_object_get(record->json, "signals")) + json_array_size(json_object_get(record->json, "samples"));
}

static void drop(struct standing *standing, struct record *record)
{
    standing->items -= items_of(record);
    if (record->kept && standing->folder >= 0)
        standing_file_remove(standing->folder, span_of(record->account));
    standing->suspended -= record->suspended;
    map_remove(standing->records, span_of(record->account));
    list_remove(&record->node);
    list_remove(&record->untold);
    list_remove(&record->stale);
    free_record(record);
}

/* The record that may leave: the one without strikes, or at least not suspended, that was touched longest ago. */
static struct record *oldest(const struct standing *standing, bool with_strikes)
{
    for (struct list *node = standing->used.previous; node != &standing->used; node = node->previous) {
        struct record *record = LIST_ENTRY(node, struct record, node);
        if (!record->suspended && (with_strikes || !record->struck))
            return record;
    }
    return NULL;
}

static void make_room(struct standing *standing)
{
    if (map_count(standing->records) - standing->suspended < STANDING_MAX)
        return;
    struct record *record = oldest(standing, false);
    if (!record)
        record = oldest(standing, true);
    if (record)
        drop(standing, record);
}

/* What a person may read of TEXT, and JSON may hold. */
static json_t *shown(const char *text)
{
    char escaped[4 * STANDING_REASON_MAX];
    text_escape(escaped, sizeof escaped, span_of(text));
    return json_string(escaped);
}

static json_t *time_text(int64_t when_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_rfc3339(when_ms, text);
    return json_string(text);
}

/* "name" is the name itself, by which the record is found again; "account" what a person may read. */
static json_t *empty_json(const char *account)
{
    json_t *json = json_pack("{s:o, s:s, s:s, s:n, s:s, s:[], s:[], s:[]}", "account", shown(account), "state", "active",
                             "reason", "", "since", "by", "", "strikes", "signals", "samples");
    if (text_is_utf8(span_of(account)))
        json_object_set_new(json, "name", json_string(account));
    return json;
}

static struct record *add(struct standing *standing, struct span account)
{
    make_room(standing);
    struct record *record = text_zalloc(sizeof *record);
    text_copy(record->account, sizeof record->account, account);
    record->json = empty_json(record->account);
    list_init(&record->untold);
    list_init(&record->stale);
    list_append(&standing->used, &record->node);
    map_put(standing->records, span_of(record->account), record, NULL);
    return record;
}

static struct record *touch(struct standing *standing, struct span account)
{
    struct record *record = find(standing, account);
    if (!record)
        record = add(standing, account);
    list_remove(&record->node);
    list_prepend(&standing->used, &record->node);
    return record;
}

static bool write_record(struct standing *standing, struct record *record)
{
    if (standing->folder >= 0 && json_object_get(record->json, "name")) { /* without one, it can be no account's */
        record->kept = true;
        if (!standing_file_write(standing->folder, span_of(record->account), record->json))
            return false;
    }
    list_remove(&record->stale);
    return true;
}

/* RECORD has changed: standing_flush writes it. */
static void mark(struct standing *standing, struct record *record)
{
    if (list_empty(&record->stale))
        list_append(&standing->stale, &record->stale);
}

/* What follows from RECORD may not be undone by a crash: it is on the disk when this returns. */
static void keep(struct standing *standing, struct record *record)
{
    mark(standing, record);
    if (write_record(standing, record) && (standing->folder < 0 || fsync(standing->folder) == 0))
        return;
    log_say(LOG_ERROR, "error", "the record of an account cannot be written: %s; it holds all the same, and is tried again",
            strerror(errno));
    mark(standing, record);
}

bool standing_is_suspended(const struct standing *standing, struct span account)
{
    const struct record *record = standing->suspended ? find(standing, account) : NULL;
    return record && record->suspended;
}

bool standing_is_watched(const struct standing *standing, struct span account)
{
    return find(standing, account) != NULL;
}

const char *standing_reason(const struct standing *standing, struct span account)
{
    const struct record *record = find(standing, account);
    const char *reason = record && record->suspended ? json_string_value(json_object_get(record->json, "reason")) : NULL;
    return reason ? reason : "";
}

/* A time or a weight; 0 for what can be neither. */
static int64_t number(const json_t *object, const char *name)
{
    int64_t value = json_integer_value(json_object_get(object, name));
    return value > 0 && value <= STANDING_TIME_MAX ? value : 0;
}

int64_t standing_since(const struct standing *standing, struct span account)
{
    const struct record *record = find(standing, account);
    return record ? number(record->json, "since_ms") : 0;
}

/* Adds ITEM (given away) with its time to the list NAME of RECORD, which keeps the newest MAX. */
static void append(struct record *record, const char *name, size_t max, json_t *item, int64_t now_ms)
{
    json_t *list = json_object_get(record->json, name);
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(record->json, name, list);
    }
    while (json_array_size(list) >= max)
        json_array_remove(list, 0);
    json_object_set_new(item, "time", time_text(now_ms));
    json_array_append_new(list, item);
}

/* The same for what is counted in `items`. Where there are too many, records without a strike leave; then it has to do with what it has. */
static void append_item(struct standing *standing, struct record *record, const char *name, size_t max, json_t *item,
                        int64_t now_ms)
{
    size_t before = items_of(record);
    append(record, name, max, item, now_ms);
    standing->items += items_of(record) - before;
    while (standing->items > STANDING_ITEMS) {
        struct record *other = oldest(standing, false);
        if (!other || other == record) {
            json_array_remove(json_object_get(record->json, name), 0);
            standing->items--;
        } else {
            drop(standing, other);
        }
    }
    mark(standing, record);
}

void standing_signal(struct standing *standing, struct span account, json_t *signal, int64_t now_ms)
{
    if (account.n)
        append_item(standing, touch(standing, account), "signals", STANDING_SIGNALS, signal, now_ms);
    else
        json_decref(signal);
}

void standing_sample(struct standing *standing, struct span account, json_t *sample, int64_t now_ms)
{
    struct record *record = find(standing, account);
    if (record)
        append_item(standing, record, "samples", STANDING_SAMPLES, sample, now_ms);
    else
        json_decref(sample);
}

static unsigned weight_of(const json_t *strike, int64_t now_ms)
{
    int64_t age_ms = now_ms - number(strike, "time_ms"), weight = number(strike, "weight");
    if (age_ms >= STANDING_AGE_MS)
        return 0;
    if (weight > STANDING_THRESHOLD)
        weight = STANDING_THRESHOLD;
    if (age_ms <= STANDING_FULL_MS)
        return (unsigned)weight;
    return (unsigned)(weight * (STANDING_AGE_MS - age_ms) / (STANDING_AGE_MS - STANDING_FULL_MS));
}

static unsigned sum(const struct record *record, int64_t now_ms)
{
    unsigned whole = 0;
    size_t i;
    const json_t *strike;
    json_array_foreach(json_object_get(record->json, "strikes"), i, strike) whole += weight_of(strike, now_ms);
    return whole;
}

unsigned standing_weight(const struct standing *standing, struct span account, int64_t now_ms)
{
    const struct record *record = find(standing, account);
    return record ? sum(record, now_ms) : 0;
}

bool standing_strike(struct standing *standing, struct span account, unsigned weight, json_t *strike, int64_t now_ms)
{
    struct record *record = touch(standing, account);
    json_object_set_new(strike, "weight", json_integer(weight));
    json_object_set_new(strike, "time_ms", json_integer(now_ms));
    append(record, "strikes", STANDING_STRIKES, strike, now_ms);
    record->struck = true;
    keep(standing, record);
    return sum(record, now_ms) >= STANDING_THRESHOLD;
}

/* RECORD is suspended, or no more, and the letters about that are on their way, or not. */
static void enter(struct standing *standing, struct record *record, bool suspended, bool told)
{
    standing->suspended += (size_t)suspended - (size_t)record->suspended;
    record->suspended = suspended;
    list_remove(&record->untold);
    if (suspended && !told)
        list_append(&standing->untold, &record->untold);
}

static void set_state(struct standing *standing, struct record *record, bool suspended, const char *reason, const char *by,
                      int64_t now_ms)
{
    enter(standing, record, suspended, false);
    record->struck = true;
    json_object_set_new(record->json, "state", json_string(suspended ? "suspended" : "active"));
    json_object_set_new(record->json, "reason", shown(reason));
    json_object_set_new(record->json, "by", shown(by));
    json_object_set_new(record->json, "since", time_text(now_ms));
    json_object_set_new(record->json, "since_ms", json_integer(now_ms));
    json_object_del(record->json, "told");
    keep(standing, record);
}

void standing_told(struct standing *standing, struct span account)
{
    struct record *record = find(standing, account);
    if (!record || list_empty(&record->untold))
        return;
    enter(standing, record, true, true);
    json_object_set_new(record->json, "told", json_true());
    keep(standing, record);
}

void standing_each_untold(const struct standing *standing, bool (*each)(void *context, struct span account), void *context)
{
    LIST_EACH(node, &standing->untold) {
        if (!each(context, span_of(LIST_ENTRY(node, struct record, untold)->account)))
            return;
    }
}

bool standing_suspend(struct standing *standing, struct span account, const char *reason, const char *by, json_t *evidence,
                      int64_t now_ms)
{
    struct record *record = standing->suspended < STANDING_SUSPENDED ? touch(standing, account) : NULL;
    if (!record)
        log_say(LOG_ERROR, "error", "%d accounts are suspended; no more can be", STANDING_SUSPENDED);
    if (record && !record->suspended && evidence)
        json_object_update(record->json, evidence);
    json_decref(evidence);
    if (!record || record->suspended)
        return false;
    int64_t before_ms = number(record->json, "since_ms"); /* the newer word counts on all machines, whatever their clocks say */
    set_state(standing, record, true, reason, by, now_ms > before_ms ? now_ms : before_ms + 1);
    return true;
}

bool standing_resume(struct standing *standing, struct span account, const char *by, int64_t now_ms)
{
    struct record *record = find(standing, account);
    size_t i;
    json_t *strike;
    if (!record)
        return false;
    json_array_foreach(json_object_get(record->json, "strikes"), i, strike)
    {
        json_object_set_new(strike, "weight", json_integer(0));
        json_object_set_new(strike, "forgiven", json_true());
    }
    bool was = record->suspended;
    int64_t began_ms = number(record->json, "since_ms");
    if (was)
        set_state(standing, record, false, "", by, now_ms > began_ms ? now_ms : began_ms + 1);
    else
        keep(standing, record);
    return was;
}

json_t *standing_show(const struct standing *standing, struct span account, int64_t now_ms)
{
    char name[ACCOUNT_NAME_SIZE];
    const struct record *record = find(standing, account);
    text_copy(name, sizeof name, account);
    json_t *json = record ? json_deep_copy(record->json) : empty_json(name);
    json_object_del(json, "name");
    json_object_set_new(json, "weight", json_integer(record ? sum(record, now_ms) : 0));
    return json;
}

void standing_each(const struct standing *standing, bool suspended, bool (*each)(void *context, struct span account),
                   void *context)
{
    if (suspended && !standing->suspended)
        return;
    LIST_EACH(node, &standing->used) {
        const struct record *record = LIST_ENTRY(node, struct record, node);
        if ((record->suspended || !suspended) && !each(context, span_of(record->account)))
            return;
    }
}

size_t standing_suspended(const struct standing *standing)
{
    return standing->suspended;
}

/* A record as an earlier process wrote it, of NAME in normal form. */
static void restore(void *context, struct span name, json_t *json)
{
    struct standing *standing = context;
    const char *state = json_string_value(json_object_get(json, "state"));
    struct record *record = touch(standing, name);
    standing->items -= items_of(record);
    json_decref(record->json);
    record->json = json_incref(json);
    standing->items += items_of(record);
    record->kept = true;
    record->struck = json_array_size(json_object_get(json, "strikes")) || number(json, "since_ms");
    enter(standing, record, state && strcmp(state, "suspended") == 0, json_is_true(json_object_get(json, "told")));
}

void standing_open(struct standing *standing, const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        log_say(LOG_ERROR, "error", "the folder %s cannot be opened: %s; who is suspended is forgotten when the process ends",
                folder, strerror(errno));
        return;
    }
    standing->folder = fd;
    standing_file_each(fd, restore, standing);
}

/* Writing FAILED for ERROR, or went well. A record that always fails is behind the others from now on. */
static void note_failure(struct standing *standing, bool failed, int error)
{
    if (failed) {
        struct list *first = standing->stale.next;
        list_remove(first);
        list_append(&standing->stale, first);
        log_say(LOG_ERROR, "error", "records of accounts cannot be written: %s; they hold all the same, and are tried again",
                strerror(error));
    } else if (standing->pause) {
        log_say(LOG_INFO, "notice", "the records of accounts are written again");
    }
    standing->pause = failed ? 2 * standing->pause + 1 : 0;
    if (standing->pause > REST_MAX)
        standing->pause = REST_MAX;
    standing->rest = standing->pause;
}

/* The records of WRITTEN are on the disk, or, where its folder could not be synced, stale again. */
static void settle_written(struct standing *standing, struct list *written, bool synced)
{
    LIST_EACH(node, written) {
        list_remove(node);
        if (!synced)
            list_append(&standing->stale, node);
    }
}

void standing_flush(struct standing *standing, bool all)
{
    int64_t until_ms = clock_monotonic_ms() + FLUSH_MS;
    struct list written;
    bool failed = false;
    int error = 0;
    if (standing->folder < 0 || list_empty(&standing->stale))
        return;
    if (standing->rest && !all) {
        standing->rest--;
        return;
    }
    list_init(&written);
    LIST_EACH(node, &standing->stale) {
        if (write_record(standing, LIST_ENTRY(node, struct record, stale))) {
            list_append(&written, node);
        } else {
            error = errno;
            failed = true;
        }
        if (!all && (failed || clock_monotonic_ms() >= until_ms))
            break;
    }
    bool synced = fsync(standing->folder) == 0;
    error = synced ? error : errno;
    settle_written(standing, &written, synced);
    note_failure(standing, failed || !synced, error);
}

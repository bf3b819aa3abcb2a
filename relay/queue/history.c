/* A start reads each log once, from front to end, into one history a message: later events stand behind earlier ones, so the
 * last one counts, but for a final one, which nothing takes back. Messages are told apart by their ids, not by where they lie: a segment
 * may have been compacted since.
 *
 * Recipients are an array in ascending order, found by halving. Deferrals of a message mostly come in that order, which makes an
 * insertion an append; a message of 1,000 recipients in the worst order moves half a million items, once, at a start.
 *
 * The replies are not kept, only where they stand (`said`): a queue of a million deferred messages would otherwise hold as many
 * texts for the few that a person looks at. */
#include "history.h"

#include "../base/text.h"
#include "accounts.h"

#include <errno.h>
#include <stdlib.h>

static struct span id_key(const struct uid *id)
{
    return span_make((const char *)id->bytes, sizeof id->bytes);
}

static struct history *find_or_make(struct map *all, const struct outcome *outcome)
{
    struct history *history = map_get(all, id_key(&outcome->id));
    if (history)
        return history;
    history = text_zalloc(sizeof *history);
    history->id = outcome->id;
    map_put(all, id_key(&history->id), history, NULL);
    return history;
}

/* Index of the first recipient that is RECIPIENT or above. */
static size_t search(const struct history *history, uint32_t recipient)
{
    size_t low = 0, high = history->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (history->recipients[middle].recipient < recipient)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct history_recipient *recipient_of(struct history *history, uint32_t recipient)
{
    size_t at = search(history, recipient);
    if (at < history->count && history->recipients[at].recipient == recipient)
        return &history->recipients[at];
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? history->capacity * 2 : 1;
        history->recipients = text_realloc(history->recipients, history->capacity * sizeof *history->recipients);
    }
    memmove(&history->recipients[at + 1], &history->recipients[at], (history->count - at) * sizeof *history->recipients);
    history->count++;
    history->recipients[at] = (struct history_recipient){ .recipient = recipient };
    return &history->recipients[at];
}

/* Held twice is held since the first time. A message that policy held from the start has no event of its own before its release. */
static void note_hold(struct history *history, const struct outcome *outcome)
{
    int64_t since_ms = history->held ? history->held_ms : uid_time_ms(outcome->id);
    bool again = history->held && outcome->kind == OUTCOME_HELD;
    history->held = outcome->kind == OUTCOME_HELD;
    history->suspended = history->held && span_equal(outcome->reply, SPAN(ACCOUNTS_WHY));
    if (!history->held && outcome->time_ms > since_ms)
        history->rested_ms += outcome->time_ms - since_ms;
    if (!again)
        history->held_ms = history->held ? outcome->time_ms : 0;
    history->released = !history->held;
    history->freed =
        (history->freed && !history->suspended) || (history->released && !span_equal(outcome->reply, SPAN(ACCOUNTS_WHY_NOT)));
}

static void note_message(struct history *history, const struct outcome *outcome)
{
    if (outcome->kind == OUTCOME_HELD || outcome->kind == OUTCOME_RELEASED) {
        note_hold(history, outcome);
    } else if (outcome->kind == OUTCOME_DELAYED) {
        history->delayed = true;
    } else if (outcome_is_final(outcome->kind)) {
        history->final = true;
    }
}

static bool note(struct map *all, const struct outcome *outcome)
{
    struct history *history = find_or_make(all, outcome);
    if (outcome->recipient == OUTCOME_ALL_RECIPIENTS) {
        note_message(history, outcome);
        return true;
    }
    struct history_recipient *recipient = recipient_of(history, outcome->recipient);
    recipient->final = recipient->final || outcome_is_final(outcome->kind);
    if (outcome->kind != OUTCOME_DEFERRED)
        return true;
    recipient->attempt = outcome->attempt;
    recipient->next_ms = outcome->next_ms;
    recipient->said = outcome->position < UINT32_MAX ? (uint32_t)outcome->position + 1 : 0;
    return true;
}

static void free_one(void *value)
{
    struct history *history = value;
    free(history->recipients);
    free(history);
}

struct reading {
    struct map *all;
    void (*damaged)(void *context, uint64_t offset, const char *what);
    void *context;
};

static bool read_one(void *context, const struct outcome *outcome)
{
    const struct reading *reading = context;
    return note(reading->all, outcome);
}

static void read_damage(void *context, uint64_t offset, const char *what)
{
    const struct reading *reading = context;
    reading->damaged(reading->context, offset, what);
}

struct map *history_read(int folder, uint64_t number, void (*damaged)(void *context, uint64_t offset, const char *what),
                         void *context)
{
    struct reading reading = { map_new(0), damaged, context };
    if (!outcome_walk(folder, number, true, read_one, read_damage, &reading) &&
        (errno != EROFS || !outcome_walk(folder, number, false, read_one, read_damage, &reading)))
        history_free(&reading.all);
    return reading.all;
}

void history_free(struct map **all)
{
    map_free(all, free_one);
}

const struct history *history_of(const struct map *all, struct uid id)
{
    return map_get(all, id_key(&id));
}

bool history_waits(const struct history *history)
{
    for (size_t i = 0; i < history->count && !history->final; i++)
        if (!history->recipients[i].final)
            return true;
    return false;
}

const struct history_recipient *history_recipient(const struct history *history, uint32_t recipient)
{
    size_t at = history ? search(history, recipient) : 0;
    return history && at < history->count && history->recipients[at].recipient == recipient ? &history->recipients[at] : NULL;
}

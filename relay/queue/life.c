/* A queued message is found by its id in memory; a finished one as long as its record is there, by the time in its id: only pairs that hold
 * ids from before and after it are walked. */
#include "life.h"

#include "../spool/segment.h"
#include "describe.h"
#include "dialogues.h"
#include "envelopes.h"
#include "store.h"

struct search {
    struct uid id;
    uint64_t offset;
    bool found;
};

static bool look(void *context, const struct record *record)
{
    struct search *search = context;
    search->found = uid_compare(record->id, search->id) == 0;
    search->offset = record->offset;
    return !search->found;
}

/* The pair that holds a message that is not queued any more. */
static struct pair *find_finished(struct queue *queue, struct search *search)
{
    int64_t made_ms = uid_time_ms(search->id);
    LIST_EACH(node, &queue->store->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        uint64_t end;
        bool torn;
        if (made_ms < pair->oldest_ms || made_ms > pair->newest_ms || pair->removing)
            continue;
        int fd = pair_segment(queue->store, pair);
        if (fd >= 0)
            segment_walk(fd, SEGMENT_HEADER_SIZE, look, NULL, search, &end, &torn);
        if (search->found)
            return pair;
    }
    return NULL;
}

struct telling {
    const struct search *search;
    const struct envelope *envelope;
    json_t *events;
    bool truncated;
};

static void set_text(json_t *object, const char *name, struct span text)
{
    if (text.n)
        json_object_set_new(object, name, describe_text(text));
}

static bool tell(void *context, const struct outcome *outcome)
{
    struct telling *telling = context;
    if (uid_compare(outcome->id, telling->search->id) != 0)
        return true;
    telling->truncated = json_array_size(telling->events) >= LIFE_EVENTS_MAX;
    if (telling->truncated)
        return false;
    json_t *event = json_pack("{s:o, s:s}", "time", describe_time(outcome->time_ms), "event", outcome_name(outcome->kind));
    if (outcome->recipient < telling->envelope->nrecipients)
        set_text(event, "to", span_of(telling->envelope->recipients[outcome->recipient].address));
    if (outcome->attempt)
        json_object_set_new(event, "attempt", json_integer(outcome->attempt));
    if (outcome->next_ms)
        json_object_set_new(event, "next", describe_time(outcome->next_ms));
    set_text(event, "mx", outcome->mx);
    set_text(event, "tls", outcome->tls);
    set_text(event, "reply", outcome->reply);
    json_array_append_new(telling->events, event);
    return true;
}

static json_t *tell_accepted(const struct envelope *envelope, const struct record *record)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:I, s:I}", "time", describe_time(envelope->arrived_ms), "event", "accepted",
                     "account", describe_text(span_of(envelope->account)), "client", describe_text(span_of(envelope->client)),
                     "from", describe_text(span_of(envelope->sender)), "nrcpt", (json_int_t)envelope->nrecipients, "size",
                     (json_int_t)(record->content_size + record->prefix_size));
}

static json_t *tell_life(struct queue *queue, struct pair *pair, const struct search *search)
{
    struct envelope envelope;
    struct record record;
    json_t *life = NULL;
    char id[UID_TEXT_SIZE];
    envelope_init(&envelope);
    uid_print(search->id, id);
    if (envelopes_read(queue, pair, search->offset, &envelope, &record) == RECORD_OK) {
        struct telling telling = { search, &envelope, json_array(), false };
        json_array_append_new(telling.events, tell_accepted(&envelope, &record));
        outcome_walk(queue->store->folder, pair->number, false, tell, NULL, &telling);
        life = json_pack("{s:s, s:o, s:o, s:o, s:s, s:b, s:o}", "id", id, "account", describe_text(span_of(envelope.account)),
                         "from", describe_text(span_of(envelope.sender)), "arrived", describe_time(envelope.arrived_ms), "state",
                         entry_find(queue, search->id) ? "queued" : "finished", "truncated", telling.truncated, "events",
                         telling.events);
    }
    envelope_fini(&envelope);
    return life;
}

static json_t *lines_of(struct span text)
{
    json_t *lines = json_array();
    while (text.n)
        json_array_append_new(lines, describe_text(span_cut(&text, '\n')));
    return lines;
}

json_t *life_of(struct queue *queue, struct uid id)
{
    struct search search = { .id = id };
    const struct entry *entry = entry_find(queue, id);
    struct pair *pair = entry ? entry->pair : find_finished(queue, &search);
    if (!pair)
        return NULL;
    if (entry)
        search.offset = entry->offset;
    pair_flush(queue->store, pair);
    json_t *life = tell_life(queue, pair, &search);
    struct span said = dialogues_of(queue->dialogues, id);
    if (life && said.n)
        json_object_set_new(life, "dialogue", lines_of(said));
    return life;
}

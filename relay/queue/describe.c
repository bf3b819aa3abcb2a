/* What a person sees of the queue. The units' states are the scheduler's, not a person's: who waits at a site that rests is
 * ready for the scheduler, and shown as scheduled, for the time at which the site is tried again; what is given to a site, asked
 * for in the DNS or about to be placed is just due. locate() makes the one of the other, and `postern status` counts in the same
 * way.
 *
 * Addresses, replies and headers come from strangers and end on a terminal: each goes through describe_text, which leaves
 * neither a control byte nor invalid UTF-8. A text is cut at TEXT_MAX, so that one reply cannot fill a screen; nothing is
 * decided by what is shown here.
 *
 * An entry's texts are read from the disk for each answer, since the queue keeps none of them in memory; admin.c bounds how many
 * in one round of the loop. A site's name is told as far as it is known: asking the DNS for a list of a million messages would
 * be an attack on the name servers. */
#include "describe.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "carrier.h"
#include "domain.h"
#include "envelopes.h"
#include "fair.h"
#include "original.h"
#include "pair.h"
#include "retry.h"
#include "site.h"
#include "stall.h"
#include "store.h"
#include "unit.h"

#define TEXT_MAX 2048

json_t *describe_text(struct span text)
{
    char escaped[TEXT_MAX];
    text_escape(escaped, sizeof escaped, text);
    return json_string(escaped);
}

json_t *describe_time(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (!wall_ms)
        return json_null();
    clock_rfc3339(wall_ms, text);
    return json_string(text);
}

const char *describe_site_name(const struct queue *queue, const struct envelope *envelope, struct span address)
{
    char room[ADDRESS_KEY_SIZE];
    struct span domain = address_domain(address_key(address, room));
    struct domain_way way = domain_way(queue, envelope, domain);
    const struct site *site = domain_known_site(queue, domain, way);
    const struct conf_route *route = site || way.special ? way.special : conf_route_for(queue_conf(queue), domain);
    if (site)
        return site->name;
    return route && !route->via.mx && route->via.count ? route->via.items[0].name : "";
}

/* Where a unit is, as far as one would tell. */
struct whereabouts {
    const struct site *site; /* that it waits at, or NULL */
    bool rests;
    const char *state;
    int64_t next_ms; /* wall clock */
};

static struct whereabouts locate(const struct unit *unit)
{
    struct whereabouts at = { .state = unit_state_name((enum unit_state)unit->state) };
    if (unit->state == UNIT_READY) {
        at.site = unit->flow->site;
        at.rests = site_rests(at.site);
    }
    if (at.rests) {
        at.state = unit_state_name(UNIT_SCHEDULED);
        at.next_ms = retry_wall(at.site->next_ms);
    } else if (unit->state == UNIT_SCHEDULED) {
        at.next_ms = retry_wall(unit->due.key);
    }
    return at;
}

static json_t *describe_reply(struct queue *queue, const struct unit *unit, const struct part *part, const struct whereabouts *at)
{
    struct buffer scratch;
    struct outcome outcome;
    json_t *reply;
    buffer_init(&scratch, OUTCOME_SIZE_MAX);
    if (at->rests && at->site->cause)
        reply = describe_text(at->site->cause->reply);
    else if (pair_read(queue->store, unit->entry->pair, part->said, &scratch, &outcome))
        reply = describe_text(outcome.reply);
    else
        reply = json_string("");
    buffer_fini(&scratch);
    return reply;
}

static void add_recipients(struct queue *queue, const struct envelope *envelope, const struct unit *unit, json_t *recipients)
{
    struct whereabouts at = locate(unit);
    for (uint32_t i = 0; i < unit->count; i++) {
        const struct part *part = &unit->parts[i];
        if (part->recipient >= envelope->nrecipients)
            continue;
        struct span to = span_of(envelope->recipients[part->recipient].address);
        const char *site = at.site ? at.site->name : describe_site_name(queue, envelope, to);
        json_array_append_new(recipients, json_pack("{s:o, s:s, s:s, s:i, s:o, s:o}", "to", describe_text(to), "site", site,
                                                    "state", at.state, "attempts", (int)unit->attempts, "next",
                                                    describe_time(at.next_ms), "reply", describe_reply(queue, unit, part, &at)));
    }
}

/* What one would say of the message as a whole: the liveliest of its units' states. */
static const char *state_of(const struct entry *entry)
{
    static const enum unit_state order[] = { UNIT_SENDING, UNIT_NEW, UNIT_SCHEDULED, UNIT_HELD };
    const char *best = entry->units ? unit_state_name(UNIT_HELD) : "bouncing";
    size_t rank = sizeof order / sizeof *order;
    if (entry->held)
        return unit_state_name(UNIT_HELD);
    for (const struct unit *unit = entry->units; unit; unit = unit->next) {
        const char *state = locate(unit).state;
        for (size_t i = 0; i < rank; i++)
            if (strcmp(state, unit_state_name(order[i])) == 0) {
                best = state;
                rank = i;
            }
    }
    return best;
}

json_t *describe_entry(struct queue *queue, const struct entry *entry)
{
    struct envelope envelope;
    struct record record;
    char id[UID_TEXT_SIZE];
    json_t *object = NULL, *recipients = json_array();
    envelope_init(&envelope);
    uid_print(entry->id, id);
    if (envelopes_read(queue, entry->pair, entry->offset, &envelope, &record) == RECORD_OK) {
        for (const struct unit *unit = entry->units; unit; unit = unit->next)
            add_recipients(queue, &envelope, unit, recipients);
        object =
            json_pack("{s:s, s:o, s:o, s:o, s:I, s:o, s:s, s:O}", "id", id, "account", describe_text(span_of(envelope.account)),
                      "client", describe_text(span_of(envelope.client)), "from", describe_text(span_of(envelope.sender)), "size",
                      (json_int_t)(record.content_size + record.prefix_size), "arrived", describe_time(envelope.arrived_ms),
                      "state", entry->damaged ? "damaged" : state_of(entry), "recipients", recipients);
    }
    json_decref(recipients);
    envelope_fini(&envelope);
    return object;
}

json_t *describe_headers(struct queue *queue, const struct entry *entry)
{
    struct buffer original, text;
    struct envelope none;
    char line[TEXT_MAX];
    envelope_init(&none);
    buffer_init(&original, 2 * ORIGINAL_HEADER_MAX + (1 << 20));
    buffer_init(&text, 8 * ORIGINAL_HEADER_MAX);
    original_read(queue, entry, &none, false, &original);
    struct span rest = buffer_span(&original);
    while (rest.n) {
        struct span one = span_cut(&rest, '\n');
        one.n -= one.n && one.p[one.n - 1] == '\r';
        text_escape(line, sizeof line, one);
        buffer_addf(&text, "%s\n", line);
    }
    json_t *headers = json_string(buffer_text(&text));
    buffer_fini(&original);
    buffer_fini(&text);
    envelope_fini(&none);
    return headers;
}

static const char *state_of_site(const struct site *site)
{
    if (site_rests(site))
        return "resting";
    if (site->failures)
        return "probing";
    return site_is_slowed(site) ? "slowed" : "up";
}

/* Why a site is in its state. */
static const struct cause *cause_of_site(const struct site *site)
{
    if (site->cause)
        return site->cause;
    return site_is_slowed(site) ? site->slowing : NULL;
}

json_t *describe_site(const struct queue *queue, const struct site *site)
{
    const struct cause *cause = cause_of_site(site);
    double rate = pace_rate(&site->pace, &site->bounds);
    return json_pack(
        "{s:s, s:s, s:b, s:s, s:i, s:i, s:i, s:o, s:i, s:o, s:s, s:o}", "site", site->name, "source", site->source, "alarm",
        site_alarms(site), "state", state_of_site(site), "waiting", (int)site->recipients, "connections", (int)site->open,
        "limit", (int)pace_connections(&site->pace, &site->bounds), "rate", rate > 0 ? json_real(rate) : json_null(), "failures",
        (int)site->failures, "next", describe_time(site_rests(site) ? retry_wall(site->next_ms) : 0), "row",
        cause ? meaning_of(queue_conf(queue), cause).row : "", "reply", cause ? describe_text(cause->reply) : json_string(""));
}

/* What a status gathers from all sites. */
struct survey {
    const struct queue *queue;
    json_t *troubled;
    json_t *working;
};

static bool survey_site(void *context, struct span key, void *value)
{
    struct survey *survey = context;
    const struct site *site = value;
    (void)key;
    json_t *list = site->failures || site_is_slowed(site) ? survey->troubled : survey->working;
    if ((site->failures || site->ready || site->open || site_is_slowed(site)) && json_array_size(list) < DESCRIBE_SITES_MAX)
        json_array_append_new(list, describe_site(survey->queue, site));
    return true;
}

/* {"damaged": how many segments, "files": the names of the first of them}. */
static json_t *describe_spool(const struct store *store)
{
    json_t *files = json_array();
    unsigned damaged = 0;
    const char *ending;
    LIST_EACH(node, (struct list *)(uintptr_t)&store->all) {
        const struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        if (!pair_is_damaged(store, pair, &ending))
            continue;
        if (damaged++ < DESCRIBE_FILES_MAX)
            json_array_append_new(files, json_sprintf("%016llx%s", (unsigned long long)pair->number, ending));
    }
    return json_pack("{s:i, s:o}", "damaged", (int)damaged, "files", files);
}

json_t *describe_status(const struct queue *queue)
{
    struct survey survey = { queue, json_array(), json_array() };
    map_each(queue->sites->by_key, survey_site, &survey);
    for (size_t i = 0; i < json_array_size(survey.working) && json_array_size(survey.troubled) < DESCRIBE_SITES_MAX; i++)
        json_array_append(survey.troubled, json_array_get(survey.working, i));
    json_decref(survey.working);
    const uint64_t *in = queue->recipients;
    uint64_t all = 0;
    for (unsigned state = 0; state < UNIT_STATES; state++)
        all += in[state];
    uint64_t scheduled = in[UNIT_SCHEDULED] + sites_resting(queue), held = in[UNIT_HELD];
    return json_pack("{s:{s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:o}", "queue", "messages", (json_int_t)entries_count(queue),
                     "recipients", (json_int_t)all, "due", (json_int_t)(all - scheduled - held), "scheduled",
                     (json_int_t)scheduled, "held", (json_int_t)held, "sites", survey.troubled, "spool",
                     describe_spool(queue->store), "rates", rates_describe(&queue->rates, clock_monotonic_ms()), "stalled",
                     stall_describe(queue));
}

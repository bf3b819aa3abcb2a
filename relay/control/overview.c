/* Queue and policy are asked at the same time; each answers with an object whose members go into one. A role that does not answer is
 * named, and the rest is shown all the same: an overview that fails as a whole would be of no use just when it is needed. */
#include "overview.h"

#include "../base/buffer.h"
#include "../base/clock.h"
#include "../base/text.h"
#include "asking.h"

#include <stdlib.h>

#define OVERVIEW_TEXT_MAX (4 * 1024 * 1024)

static const struct {
    enum control_peer peer;
    const char *name;
} sources[] = {
    { CONTROL_QUEUE, "queue" },
    { CONTROL_POLICY, "policy" },
};

#define SOURCES (sizeof sources / sizeof *sources)

/* What one of them says. */
struct part {
    struct overview *overview;
    struct buffer text;
    bool ended;
    bool answered;
};

struct overview {
    struct control *control;
    enum admin_verb verb;
    struct part parts[SOURCES];
    overview_done done;
    void *context;
};

/* The members of PART's object go into OVERVIEW. False where it is none. */
static bool merge(const struct part *part, json_t *overview)
{
    struct span text = buffer_span(&part->text);
    json_t *object = part->answered && !part->text.overflow ? json_loadb(text.p, text.n, 0, NULL) : NULL;
    bool merged = object && json_object_update(overview, object) == 0;
    json_decref(object);
    return merged;
}

/* What is said where nobody answers. */
static json_t *empty(enum admin_verb verb)
{
    if (verb == ADMIN_ACCOUNT_SHOW)
        return json_pack("{s:s, s:s, s:i, s:i, s:[]}", "account", "", "state", "unknown", "queued", 0, "held", 0, "unavailable");
    return json_pack("{s:{s:i, s:i, s:i, s:i, s:i}, s:{s:i, s:[]}, s:[], s:[], s:{}, s:[]}", "queue", "messages", 0, "recipients",
                     0, "due", 0, "scheduled", 0, "held", 0, "spool", "damaged", 0, "files", "sites", "accounts", "rates",
                     "unavailable");
}

static json_t *put_together(const struct overview *overview)
{
    char since[CLOCK_TEXT_SIZE];
    clock_rfc3339(overview->control->since_ms, since);
    json_t *whole = empty(overview->verb);
    json_t *unavailable = json_incref(json_object_get(whole, "unavailable"));
    for (size_t i = 0; i < SOURCES; i++)
        if (!merge(&overview->parts[i], whole))
            json_array_append_new(unavailable, json_string(sources[i].name));
    json_object_set_new(whole, "unavailable", unavailable);
    if (overview->verb != ADMIN_STATUS)
        return whole;
    json_object_set_new(whole, "version", json_string(POSTERN_VERSION));
    json_object_set_new(whole, "since", json_string(since));
    return whole;
}

static void take_text(void *context, struct span piece, bool ends)
{
    struct part *part = context;
    (void)ends;
    buffer_add(&part->text, piece);
}

static void take_end(void *context, enum admin_result result, const char *reason)
{
    struct part *part = context;
    struct overview *overview = part->overview;
    (void)reason;
    part->ended = true;
    part->answered = result == ADMIN_DONE;
    for (size_t i = 0; i < SOURCES; i++)
        if (!overview->parts[i].ended)
            return;
    overview_done done = overview->done;
    void *asker = overview->context;
    json_t *whole = put_together(overview);
    overview_free(&overview);
    done(asker, whole);
}

struct overview *overview_new(struct control *control, const struct admin_ask *ask, overview_done done, void *context)
{
    static const struct asking_events events = { .text = take_text, .end = take_end };
    struct overview *overview = text_zalloc(sizeof *overview);
    *overview = (struct overview){ .control = control, .verb = ask->verb, .done = done, .context = context };
    for (size_t i = 0; i < SOURCES; i++) {
        struct admin_ask copy = *ask;
        overview->parts[i].overview = overview;
        buffer_init(&overview->parts[i].text, OVERVIEW_TEXT_MAX);
        asking_start(control->asking, sources[i].peer, &copy, &events, &overview->parts[i]);
    }
    return overview;
}

void overview_free(struct overview **overview)
{
    if (!*overview)
        return;
    for (size_t i = 0; i < SOURCES; i++) {
        asking_forget((*overview)->control->asking, &(*overview)->parts[i]);
        buffer_fini(&(*overview)->parts[i].text);
    }
    free(*overview);
    *overview = NULL;
}

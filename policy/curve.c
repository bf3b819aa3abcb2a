#include "curve.h"

#include "../relay/base/clock.h"
#include "../relay/base/list.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"
#include "account.h"

#include <stdlib.h>

#define HOURS   24
#define HOUR_MS ((int64_t)3600000)

struct hour {
    int64_t number; /* since 1970: an older one in its place is over */
    uint32_t counts[CURVE_KINDS];
};

struct course {
    struct list node;
    struct hour hours[HOURS]; /* by number % HOURS */
    char account[ACCOUNT_NAME_SIZE];
};

struct curve {
    struct map *courses;
    struct list used; /* the last noted at the front */
};

static const char *const names[CURVE_KINDS] = {
    [CURVE_RECIPIENTS] = "recipients", [CURVE_REFUSED] = "refused", [CURVE_DELIVERED] = "delivered",
    [CURVE_BOUNCED] = "bounced",       [CURVE_SPAM] = "spam",
};

struct curve *curve_new(void)
{
    struct curve *curve = text_zalloc(sizeof *curve);
    curve->courses = map_new(0);
    list_init(&curve->used);
    return curve;
}

void curve_free(struct curve **curve)
{
    if (!*curve)
        return;
    map_free(&(*curve)->courses, free);
    free(*curve);
    *curve = NULL;
}

static struct course *add(struct curve *curve, struct span account)
{
    if (map_count(curve->courses) >= CURVE_ACCOUNTS) {
        struct course *last = LIST_ENTRY(curve->used.previous, struct course, node);
        list_remove(&last->node);
        map_remove(curve->courses, span_of(last->account));
        free(last);
    }
    struct course *course = text_zalloc(sizeof *course);
    text_copy(course->account, sizeof course->account, account);
    list_init(&course->node);
    map_put(curve->courses, span_of(course->account), course, NULL);
    return course;
}

void curve_note(struct curve *curve, struct span account, enum curve_kind kind, uint32_t n, int64_t wall_ms)
{
    int64_t number = wall_ms / HOUR_MS;
    if (!account.n || number < 0)
        return;
    struct course *course = map_get(curve->courses, account);
    if (!course)
        course = add(curve, account);
    struct hour *hour = &course->hours[number % HOURS];
    if (hour->number != number)
        *hour = (struct hour){ .number = number };
    hour->counts[kind] += n < UINT32_MAX - hour->counts[kind] ? n : UINT32_MAX - hour->counts[kind];
    list_remove(&course->node);
    list_prepend(&curve->used, &course->node);
}

static json_t *show_hour(const struct hour *hour)
{
    char text[CLOCK_TEXT_SIZE];
    clock_rfc3339(hour->number * HOUR_MS, text);
    json_t *shown = json_pack("{s:s}", "hour", text);
    for (unsigned i = 0; i < CURVE_KINDS; i++)
        json_object_set_new(shown, names[i], json_integer(hour->counts[i]));
    return shown;
}

json_t *curve_show(const struct curve *curve, struct span account, int64_t wall_ms)
{
    const struct course *course = map_get(curve->courses, account);
    json_t *shown = json_array();
    for (int64_t number = wall_ms / HOUR_MS - HOURS + 1; course && number <= wall_ms / HOUR_MS; number++)
        if (number > 0 && course->hours[number % HOURS].number == number)
            json_array_append_new(shown, show_hour(&course->hours[number % HOURS]));
    return shown;
}

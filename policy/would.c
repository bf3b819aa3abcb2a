/* Two tables of one kind: pairs of limit and key, and limits. In each the rows are in the order in which they were noted last, so that
 * the oldest to leave is the first, and those that have changed since the last flush are the last ones.
 *
 * A limit of another key or count is another limit, though its name be the same, and so is one that enforces and one that observes. A day
 * has its place in a row by its number; what stands there of an earlier day is overwritten. A pair that left and comes again on the same
 * day counts as another key of its limit: `keys` is exact up to WOULD_PAIRS_MAX of them a day, and not too small beyond. */
#include "would.h"

#include "../relay/base/journal.h"
#include "../relay/base/list.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"
#include "key.h"

#include <stdlib.h>

#define DAY_MS    86400000
#define NAME_MAX  255                           /* bytes of a limit's name; more are cut */
#define IDENT_MAX (3 + 1 + NAME_MAX + KEY_SIZE) /* what tells rows apart */

/* What a row is about: fixed in size, so that it stands as it is in front of a record. */
struct about {
    uint8_t is_limit, enforced, key, count;
    uint8_t then, name_size, value_size, ndays;
};

struct row {
    struct list node;
    struct about about;
    bool changed;
    struct would_day days[WOULD_DAYS]; /* that of day D is at D % WOULD_DAYS */
    char text[];                       /* the name, a NUL, the value, a NUL */
};

struct table {
    struct map *by_ident;
    struct list rows;
    size_t max;
};

struct would {
    struct table pairs, limits;
    struct journal *journal; /* NULL: nothing is kept */
};

static void table_init(struct table *table, size_t max)
{
    table->by_ident = map_new(0);
    table->max = max;
    list_init(&table->rows);
}

struct would *would_new(void)
{
    struct would *would = text_zalloc(sizeof *would);
    table_init(&would->pairs, WOULD_PAIRS_MAX);
    table_init(&would->limits, WOULD_LIMITS_MAX);
    return would;
}

void would_free(struct would **would)
{
    if (!*would)
        return;
    map_free(&(*would)->pairs.by_ident, free);
    map_free(&(*would)->limits.by_ident, free);
    journal_free(&(*would)->journal);
    free(*would);
    *would = NULL;
}

size_t would_count(const struct would *would)
{
    return map_count(would->pairs.by_ident);
}

/* The bytes under which a row is found; `then` is not among them. */
static struct span ident_of(const struct about *about, struct span name, struct span value, char bytes[IDENT_MAX])
{
    bytes[0] = (char)about->enforced;
    bytes[1] = (char)about->key;
    bytes[2] = (char)about->count;
    memcpy(bytes + 3, name.p, name.n);
    bytes[3 + name.n] = '\0';
    memcpy(bytes + 4 + name.n, value.p, value.n);
    return span_make(bytes, 4 + name.n + value.n);
}

static struct span name_of(const struct row *row)
{
    return span_make(row->text, row->about.name_size);
}

static struct span value_of(const struct row *row)
{
    return span_make(row->text + row->about.name_size + 1, row->about.value_size);
}

static void drop_oldest(struct table *table)
{
    char ident[IDENT_MAX];
    struct row *row = LIST_ENTRY(table->rows.next, struct row, node);
    map_remove(table->by_ident, ident_of(&row->about, name_of(row), value_of(row), ident));
    list_remove(&row->node);
    free(row);
}

/* The row of ABOUT, NAME and VALUE (each at most 255 bytes), the last in the order from now on; a new one where there is none. */
static struct row *touch(struct table *table, const struct about *about, struct span name, struct span value)
{
    char bytes[IDENT_MAX];
    struct span ident = ident_of(about, name, value, bytes);
    struct row *row = map_get(table->by_ident, ident);
    if (row) {
        list_remove(&row->node);
    } else {
        if (map_count(table->by_ident) >= table->max)
            drop_oldest(table);
        row = text_zalloc(sizeof *row + name.n + value.n + 2);
        memcpy(row->text, name.p, name.n);
        memcpy(row->text + name.n + 1, value.p, value.n);
        map_put(table->by_ident, ident, row, NULL);
    }
    row->about = *about;
    row->about.name_size = (uint8_t)name.n;
    row->about.value_size = (uint8_t)value.n;
    list_append(&table->rows, &row->node);
    return row;
}

static struct would_day *day_of(struct row *row, uint32_t number)
{
    struct would_day *day = &row->days[number % WOULD_DAYS];
    if (day->day != number)
        *day = (struct would_day){ .day = number };
    return day;
}

/* Counts N for a row. True where there was nothing on that day. */
static bool count(struct row *row, uint64_t n, uint32_t number)
{
    struct would_day *day = day_of(row, number);
    day->questions++;
    day->units = day->units > UINT64_MAX - n ? UINT64_MAX : day->units + n;
    row->changed = true;
    return day->questions == 1;
}

static uint32_t day_number(int64_t wall_ms)
{
    return wall_ms > 0 && wall_ms / DAY_MS < UINT32_MAX ? (uint32_t)(wall_ms / DAY_MS) : 0;
}

void would_note(struct would *would, const struct conf_limit *conf, bool enforced, const char *key, uint64_t n, int64_t wall_ms)
{
    struct about about = { 0, enforced, (uint8_t)conf->key, (uint8_t)conf->count, (uint8_t)conf->then, 0, 0, 0 };
    struct span name = span_head(span_of(conf->name), NAME_MAX), value = span_head(span_of(key), KEY_SIZE - 1);
    uint32_t today = day_number(wall_ms);
    bool another = count(touch(&would->pairs, &about, name, value), n, today);
    about.is_limit = true;
    struct row *limit = touch(&would->limits, &about, name, SPAN(""));
    count(limit, n, today);
    day_of(limit, today)->keys += another;
}

/* --- what is kept --- */

/* A record: struct about, its days, name and value. */
static void write_row(struct would *would, const struct row *row)
{
    char record[sizeof row->about + sizeof row->days + NAME_MAX + KEY_SIZE];
    struct about about = row->about;
    size_t at = sizeof about;
    for (size_t i = 0; i < WOULD_DAYS; i++) {
        if (!row->days[i].questions)
            continue;
        memcpy(record + at, &row->days[i], sizeof row->days[i]);
        at += sizeof row->days[i];
        about.ndays++;
    }
    memcpy(record, &about, sizeof about);
    memcpy(record + at, name_of(row).p, name_of(row).n);
    at += name_of(row).n;
    memcpy(record + at, value_of(row).p, value_of(row).n);
    journal_add(would->journal, span_make(record, at + value_of(row).n));
}

static void take_record(void *context, struct span record)
{
    struct would *would = context;
    struct about about;
    struct would_day day;
    if (record.n < sizeof about)
        return;
    memcpy(&about, record.p, sizeof about);
    struct span days = span_head(span_skip(record, sizeof about), about.ndays * sizeof day);
    struct span texts = span_skip(record, sizeof about + days.n);
    if (days.n != about.ndays * sizeof day || texts.n != (size_t)about.name_size + about.value_size)
        return;
    struct row *row = touch(about.is_limit ? &would->limits : &would->pairs, &about, span_head(texts, about.name_size),
                            span_skip(texts, about.name_size));
    row->about.ndays = 0;
    for (; days.n; days = span_skip(days, sizeof day)) {
        memcpy(&day, days.p, sizeof day);
        *day_of(row, day.day) = day;
    }
}

void would_open(struct would *would, const char *folder)
{
    journal_free(&would->journal);
    would->journal = journal_new(folder, "would.log", "postern would 1", take_record, would);
}

/* Writes the rows that have changed, or all. */
static void flush(struct would *would, struct table *table, bool all)
{
    struct list *node = &table->rows;
    while (node->previous != &table->rows && (all || LIST_ENTRY(node->previous, struct row, node)->changed))
        node = node->previous;
    for (; node != &table->rows; node = node->next) {
        struct row *row = LIST_ENTRY(node, struct row, node);
        row->changed = false;
        write_row(would, row);
    }
}

void would_flush(struct would *would, bool sync)
{
    if (!would->journal)
        return;
    bool all = journal_begin(would->journal, sync);
    flush(would, &would->pairs, all);
    flush(would, &would->limits, all);
    journal_end(would->journal, sync);
}

/* --- what is told --- */

/* What ROW has of the days up to TODAY. False where that is nothing. */
static bool tell(const struct row *row, uint32_t today, struct would_row *ret_row)
{
    *ret_row = (struct would_row){
        .limit = row->text,
        .value = row->about.is_limit ? NULL : value_of(row).p,
        .key = row->about.key,
        .count = row->about.count,
        .then = row->about.then,
        .enforced = row->about.enforced,
    };
    for (uint32_t ago = WOULD_DAYS; ago-- > 0;) {
        const struct would_day *day = &row->days[(today - ago) % WOULD_DAYS];
        if (today < ago || day->day != today - ago || !day->questions)
            continue;
        ret_row->days[ret_row->ndays++] = *day;
        ret_row->questions += day->questions;
        ret_row->units = ret_row->units > UINT64_MAX - day->units ? UINT64_MAX : ret_row->units + day->units;
    }
    return ret_row->ndays > 0;
}

struct ranked {
    const struct row *row;
    uint64_t units;
};

static int by_units(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->units != right->units)
        return left->units < right->units ? 1 : -1;
    int names = strcmp(left->row->text, right->row->text);
    return names ? names : strcmp(value_of(left->row).p, value_of(right->row).p);
}

/* Visits the rows of TABLE. False where VISIT has had enough. */
static bool each(const struct table *table, uint32_t today, would_visit visit, void *context)
{
    struct ranked *ranked = text_zalloc((map_count(table->by_ident) + 1) * sizeof *ranked);
    struct would_row told;
    size_t count = 0, i = 0;
    LIST_EACH(node, &table->rows) {
        const struct row *row = LIST_ENTRY(node, struct row, node);
        if (tell(row, today, &told))
            ranked[count++] = (struct ranked){ row, told.units };
    }
    qsort(ranked, count, sizeof *ranked, by_units);
    while (i < count && tell(ranked[i].row, today, &told) && visit(context, &told))
        i++;
    free(ranked);
    return i == count;
}

void would_each(struct would *would, int64_t wall_ms, would_visit visit, void *context)
{
    uint32_t today = day_number(wall_ms);
    if (each(&would->pairs, today, visit, context))
        each(&would->limits, today, visit, context);
}

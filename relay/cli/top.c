/* Each second the daemon is asked for its status, as `postern status` does, and the page is drawn anew: from the top, line by line, so that
 * nothing flickers. A key acts on the row that is marked; what changes something asks first. The daemon escapes what comes from outside. */
#include "top.h"

#include "../base/buffer.h"
#include "../base/text.h"
#include "ask.h"
#include "commands.h"
#include "screen.h"
#include "terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX   (256 * 1024)
#define LINE_SIZE  1024
#define REFRESH_MS 1000
#define HEADER     6 /* lines in front of the rows */

enum order { BY_WAITING, BY_CONNECTIONS, BY_FAILURES, BY_NAME, ORDERS };

static const struct {
    const char *name, *member; /* NULL: by name */
} orders[ORDERS] = {
    [BY_WAITING] = { "waiting", "waiting" },
    [BY_CONNECTIONS] = { "connections", "connections" },
    [BY_FAILURES] = { "failures", "failures" },
    [BY_NAME] = { "name", NULL },
};

struct top {
    const char *path;
    json_t *status;      /* the last one, or NULL */
    json_t *rows;        /* of the list that is shown, in their order */
    bool shows_accounts; /* else sites */
    enum order order;
    size_t marked;
    char note[LINE_SIZE]; /* what an act came to, or is about to do */
    bool silent;          /* the daemon did not answer the last time */
    const char *command;  /* that waits for a "y", or NULL … */
    const char *filter;   /* … and whom it is about: the rows may move meanwhile */
    char name[LINE_SIZE];
    struct buffer page;
    char reason[ASK_REASON_SIZE];
};

static void take_status(void *context, const json_t *value)
{
    struct top *top = context;
    json_decref(top->status);
    top->status = json_deep_copy(value);
}

static enum order compared;

static int compare(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    const char *member = orders[compared].member;
    int64_t p = member ? screen_number_at(x, member) : 0, q = member ? screen_number_at(y, member) : 0;
    if (p != q)
        return p > q ? -1 : 1;
    return strcmp(screen_text_at(x, "site"), screen_text_at(y, "site"));
}

static void sort_rows(struct top *top)
{
    size_t count = json_array_size(top->rows);
    json_t **list = text_zalloc((count + 1) * sizeof(json_t *));
    json_t *sorted = json_array();
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(top->rows, i);
    compared = top->order;
    qsort(list, count, sizeof *list, compare);
    for (size_t i = 0; i < count; i++)
        json_array_append(sorted, list[i]);
    free(list);
    json_decref(top->rows);
    top->rows = sorted;
}

static void choose_rows(struct top *top)
{
    json_decref(top->rows);
    top->rows = json_incref(json_object_get(top->status, top->shows_accounts ? "accounts" : "sites"));
    if (!top->rows)
        top->rows = json_array();
    if (!top->shows_accounts)
        sort_rows(top);
    size_t count = json_array_size(top->rows);
    if (top->marked >= count)
        top->marked = count ? count - 1 : 0;
}

/* Asks the daemon COMMAND, which may take minutes where it hangs: until then a signal ends the program. */
static bool ask(struct top *top, const char *command, json_t *filters, void (*take)(void *context, const json_t *value))
{
    terminal_busy(true);
    bool answered = ask_daemon(top->path, command, filters, take, top, top->reason) == ASK_DONE;
    terminal_busy(false);
    return answered;
}

/* While a question is open nothing takes its place on the page. */
static void refresh(struct top *top)
{
    bool silent = !ask(top, "status", json_object(), take_status);
    if (silent && !top->command)
        text_copy(top->note, sizeof top->note, span_of(top->reason));
    else if (top->silent && !top->command)
        top->note[0] = '\0';
    top->silent = silent;
    choose_rows(top);
}

/* A line of the page, cut at COLUMNS and cleared behind. MARKED: in reverse. */
__attribute__((format(printf, 4, 5))) static void line(struct top *top, size_t columns, bool marked, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_addf(&top->page, "%s%.*s%s\033[K\n", marked ? "\033[7m" : "", (int)screen_cut(text, columns), text,
                marked ? "\033[m" : "");
}

static int64_t of_minute(const struct top *top, const char *what)
{
    return screen_number_at(json_object_get(json_object_get(top->status, "rates"), what), "minute");
}

/* What somebody must know before anything else, where there is such a thing. */
static const char *alarm_of(const json_t *status)
{
    if (json_array_size(json_object_get(status, "unavailable")))
        return "A role does not answer; it is being started again";
    if (json_is_object(json_object_get(status, "stalled")))
        return "ALARM: nothing at all is delivered, though mail waits";
    if (strcmp(screen_text_at(json_object_get(status, "store"), "state"), "away") == 0)
        return "Redis is away; limits count on this machine alone";
    return "";
}

static void draw_header(struct top *top, size_t columns)
{
    char up[32];
    const json_t *queue = json_object_get(top->status, "queue");
    line(top, columns, false, "postern %s, up %s", screen_text_at(top->status, "version"),
         screen_away(screen_text_at(top->status, "since"), up));
    line(top, columns, false,
         "queue: %" PRId64 " messages, %" PRId64 " recipients: %" PRId64 " due, %" PRId64 " scheduled, %" PRId64 " held",
         screen_number_at(queue, "messages"), screen_number_at(queue, "recipients"), screen_number_at(queue, "due"),
         screen_number_at(queue, "scheduled"), screen_number_at(queue, "held"));
    line(top, columns, false, "a second: %.1f accepted, %.1f delivered, %.1f deferred, %.1f bounced",
         (double)of_minute(top, "accepted") / 60, (double)of_minute(top, "delivered") / 60,
         (double)of_minute(top, "deferred") / 60, (double)of_minute(top, "bounced") / 60);
    line(top, columns, false, "%s", *top->note ? top->note : alarm_of(top->status));
    line(top, columns, false, "%s",
         top->shows_accounts ? "q quit  a sites  up/down choose  h hold its mail  e let held mail go  r retry"
                             : "q quit  a accounts  s sort  up/down choose  h hold  e let held mail go  r retry");
    if (top->shows_accounts)
        line(top, columns, true, "%-40s %-10s %s", "account in trouble", "state", "why");
    else
        line(top, columns, true, "%-34s %-9s %8s %4s %4s  by %s", "site", "state", "waiting", "open", "fail",
             orders[top->order].name);
}

static void draw_row(struct top *top, size_t columns, const json_t *row, bool marked)
{
    const char *mark = marked ? ">" : " ";
    if (top->shows_accounts)
        line(top, columns, false, "%s%-39s %-10s %s%s", mark, screen_text_at(row, "account"), screen_text_at(row, "state"),
             *screen_text_at(row, "limit") ? "limit " : "",
             *screen_text_at(row, "limit") ? screen_text_at(row, "limit") : screen_text_at(row, "reason"));
    else
        line(top, columns, false, "%s%-33s %-9s %8" PRId64 " %4" PRId64 " %4" PRId64 "  %s%s", mark, screen_text_at(row, "site"),
             screen_text_at(row, "state"), screen_number_at(row, "waiting"), screen_number_at(row, "connections"),
             screen_number_at(row, "failures"), json_is_true(json_object_get(row, "alarm")) ? "ALARM " : "",
             screen_text_at(row, "reply"));
}

static void draw(struct top *top)
{
    size_t rows, columns, i;
    const json_t *row;
    terminal_size(&rows, &columns);
    buffer_clear(&top->page);
    buffer_add_text(&top->page, "\033[H");
    draw_header(top, columns);
    size_t room = rows > HEADER + 1 ? rows - HEADER - 1 : 1;
    size_t first = top->marked >= room ? top->marked - room + 1 : 0;
    json_array_foreach(top->rows, i, row)
    {
        if (i >= first && i < first + room)
            draw_row(top, columns, row, i == top->marked);
    }
    buffer_add_text(&top->page, "\033[J");
    fwrite(buffer_span(&top->page).p, 1, buffer_size(&top->page), stdout);
    fflush(stdout);
}

/* Asks whether to do COMMAND, in WORDS, to what the marked row is about. */
static void propose(struct top *top, const char *command, const char *words)
{
    top->filter = top->shows_accounts ? "account" : "site";
    bool named =
        text_copy(top->name, sizeof top->name, span_of(screen_text_at(json_array_get(top->rows, top->marked), top->filter))) &&
        *top->name;
    top->command = named ? command : NULL;
    text_format(top->note, sizeof top->note, named ? "%s of %s %s? y does it, any other key does not" : "no row is marked", words,
                top->filter, top->name);
}

static void take_changed(void *context, const json_t *value)
{
    struct top *top = context;
    text_format(top->note, sizeof top->note, "%" PRId64 " messages changed", screen_number_at(value, "changed"));
}

static void carry_out(struct top *top)
{
    if (!ask(top, top->command, json_pack("{s:s}", top->filter, top->name), take_changed))
        text_copy(top->note, sizeof top->note, span_of(top->reason));
}

static void move(struct top *top, int key)
{
    size_t count = json_array_size(top->rows);
    bool down = key == TERMINAL_DOWN || key == 'j';
    if (down && top->marked + 1 < count)
        top->marked++;
    else if (!down && top->marked)
        top->marked--;
}

static void sort_otherwise(struct top *top, int key)
{
    (void)key;
    top->order = (top->order + 1) % ORDERS;
    choose_rows(top);
}

static void other_list(struct top *top, int key)
{
    (void)key;
    top->shows_accounts = !top->shows_accounts;
    top->marked = 0;
    choose_rows(top);
}

static void hold(struct top *top, int key)
{
    (void)key;
    propose(top, "queue hold", "hold all mail");
}

static void release(struct top *top, int key)
{
    (void)key;
    propose(top, "queue release", "let all held mail go");
}

static void retry(struct top *top, int key)
{
    (void)key;
    propose(top, "queue retry", "try all mail now");
}

static const struct {
    int key;
    void (*act)(struct top *top, int key);
} keys[] = {
    { TERMINAL_UP, move }, { TERMINAL_DOWN, move }, { 'k', move }, { 'j', move },    { 's', sort_otherwise },
    { 'a', other_list },   { '\t', other_list },    { 'h', hold }, { 'e', release }, { 'r', retry },
};

static void obey(struct top *top, int key)
{
    bool waited = top->command != NULL;
    if (waited && key == 'y')
        carry_out(top);
    else
        top->note[0] = '\0';
    top->command = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !waited; i++)
        if (keys[i].key == key)
            keys[i].act(top, key);
}

int top_run(const char *path)
{
    static struct top top; /* with room for a long reason */
    int key = TERMINAL_NOTHING;
    top = (struct top){ .path = path };
    if (ask_daemon(path, "status", json_object(), take_status, &top, top.reason) != ASK_DONE) {
        fprintf(stderr, "%s\n", top.reason);
        return COMMANDS_REFUSED;
    }
    if (!terminal_begin()) {
        fputs("the terminal cannot be used; postern status shows the same once\n", stderr);
        json_decref(top.status);
        return COMMANDS_REFUSED;
    }
    buffer_init(&top.page, PAGE_MAX);
    choose_rows(&top);
    while (key != 'q' && key != TERMINAL_ENDED) {
        draw(&top);
        key = terminal_key(REFRESH_MS);
        if (key == TERMINAL_NOTHING)
            refresh(&top);
        else
            obey(&top, key);
    }
    terminal_end();
    buffer_fini(&top.page);
    json_decref(top.rows);
    json_decref(top.status);
    return COMMANDS_DONE;
}

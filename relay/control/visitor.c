/* A visitor brings one request, gets one answer, and goes. What waits for it is bounded in number, size and time; a visitor that leaves
 * early takes along what it asked. Values come from other roles as JSON text in pieces and are passed through as they are, once it is
 * sure that they cannot end a line before its time. */
#include "visitor.h"

#include "../base/list.h"
#include "../base/log.h"
#include "../base/stream.h"
#include "../base/text.h"
#include "asking.h"
#include "order.h"
#include "overview.h"
#include "request.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_PATIENCE_MS (10 * 1000)
#define ANSWER_PATIENCE_MS  (2 * 60 * 1000)  /* without a piece of it */
#define READER_PATIENCE_MS  (60 * 60 * 1000) /* without reading on: a person looks at a page of it */
#define VISITOR_REASON_SIZE (16 * 1024)
#define LINGER_MS           2000
#define ACCEPT_ROUND        16   /* connections taken in one round of the loop */
#define ACCEPT_PAUSE_MS     1000 /* where the process has no descriptor left */

struct visitors {
    struct control *control;
    struct list all;
    unsigned count;
    uint64_t last_ticket;
    int fd;
    struct watch watch;
    struct timer pause;
};

struct visitor {
    struct list node;
    struct visitors *visitors;
    struct stream *stream;
    struct visitor_waits waits;
    unsigned user;
    bool asked;
    bool in_value; /* a piece was written that did not end its value */
    bool rests;    /* whoever answers was asked to rest */
};

/* Forgets VISITOR and what it waits for. Its stream is closed at once unless it was given up before. */
static void drop(struct visitor *visitor)
{
    asking_forget(visitor->visitors->control->asking, visitor);
    overview_free(&visitor->waits.overview);
    trace_free(&visitor->waits.trace);
    stream_free(&visitor->stream);
    list_remove(&visitor->node);
    visitor->visitors->count--;
    free(visitor);
}

static void write_json(struct stream *stream, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    stream_write(stream, span_of(text));
    free(text);
}

/* Each line of TEXT made printable; the line ends stay: a refused configuration has many. */
static void escape_lines(char *dest, size_t size, struct span text)
{
    size_t used = 0;
    dest[0] = '\0';
    while (text.n && used + 1 < size) {
        text_escape(dest + used, size - used, span_cut(&text, '\n'));
        used += strlen(dest + used);
        if (text.n)
            used += text_copy(dest + used, size - used, SPAN("\n"));
    }
}

/* The last line of an answer, and a polite end. */
static void write_end(struct stream **stream, bool done, const char *reason)
{
    char shown[VISITOR_REASON_SIZE];
    escape_lines(shown, sizeof shown, span_of(reason));
    json_t *end = json_pack("{s:b, s:i, s:s}", "done", done, "exit", done ? 0 : 1, "reason", shown);
    write_json(*stream, end);
    stream_write(*stream, SPAN("\n"));
    stream_finish(stream, LINGER_MS);
    json_decref(end);
}

void visitor_end(struct visitor *visitor, bool done, const char *reason)
{
    if (visitor->in_value)
        stream_write(visitor->stream, SPAN("}\n"));
    write_end(&visitor->stream, done, reason);
    drop(visitor);
}

/* Another part of the answer was written: there is more time for the next, unless nobody reads. */
static void written(struct visitor *visitor)
{
    size_t unread = stream_pending(visitor->stream);
    if (unread > VISITOR_OUTPUT_MAX) {
        visitor_end(visitor, false, "the answer was not read fast enough; what came before this is true but not all");
        return;
    }
    if (unread > VISITOR_OUTPUT_SLOW && !visitor->rests) {
        visitor->rests = true;
        asking_pace(visitor->visitors->control->asking, visitor, true);
    }
    stream_deadline(visitor->stream, visitor->rests ? READER_PATIENCE_MS : ANSWER_PATIENCE_MS);
}

/* All that was written has been read. */
static void drained(void *context)
{
    struct visitor *visitor = context;
    if (!visitor->rests)
        return;
    visitor->rests = false;
    asking_pace(visitor->visitors->control->asking, visitor, false);
    stream_deadline(visitor->stream, ANSWER_PATIENCE_MS);
}

void visitor_value(struct visitor *visitor, json_t *value)
{
    stream_write(visitor->stream, SPAN("{\"value\":"));
    write_json(visitor->stream, value);
    stream_write(visitor->stream, SPAN("}\n"));
    json_decref(value);
    written(visitor);
}

static bool has_controls(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20)
            return true;
    return false;
}

void visitor_piece(struct visitor *visitor, struct span piece, bool ends)
{
    if (has_controls(piece)) {
        visitor_end(visitor, false, "the answer of another process was no line of JSON; this is a mistake in postern");
        return;
    }
    if (!visitor->in_value)
        stream_write(visitor->stream, SPAN("{\"value\":"));
    stream_write(visitor->stream, piece);
    if (ends)
        stream_write(visitor->stream, SPAN("}\n"));
    visitor->in_value = !ends;
    written(visitor);
}

struct visitor_waits *visitor_waits(struct visitor *visitor)
{
    return &visitor->waits;
}

struct control *visitor_control(const struct visitor *visitor)
{
    return visitor->visitors->control;
}

unsigned visitor_user(const struct visitor *visitor)
{
    return visitor->user;
}

/* Whichever spelling of an account's name somebody types, what is asked for is the one that policy knows. A realm alone names nobody: it stays,
 * since an empty name would be everybody. */
static void name_account(const struct visitor *visitor, struct admin_ask *ask)
{
    struct span name = conf_account_name(visitor_control(visitor)->role->conf, span_of(ask->account));
    if (name.n)
        ask->account[name.n] = '\0';
}

static void readable(void *context)
{
    struct visitor *visitor = context;
    struct request request;
    char reason[REQUEST_REASON_SIZE];
    struct span input = stream_input(visitor->stream);
    size_t size = span_find(input, '\n');
    if (visitor->asked)
        return;
    if (size == input.n) {
        if (input.n >= VISITOR_LINE_MAX)
            visitor_end(visitor, false, "the request is longer than 64 KiB");
        return;
    }
    visitor->asked = true;
    bool good = request_read(span_head(input, size), &request, reason);
    stream_deadline(visitor->stream, ANSWER_PATIENCE_MS);
    if (good)
        name_account(visitor, &request.ask);
    if (good)
        order_run(visitor, &request);
    else
        visitor_end(visitor, false, reason);
}

static void ended(void *context, enum stream_end why)
{
    struct visitor *visitor = context;
    if (why == STREAM_TIMEOUT)
        visitor_end(visitor, false, visitor->asked ? "no answer came in time" : "no request came in time");
    else
        drop(visitor);
}

static const struct stream_events events = { .readable = readable, .drained = drained, .ended = ended };

static void welcome(struct visitors *visitors, int fd)
{
    struct loop *loop = visitors->control->role->loop;
    struct ucred peer = { .uid = (uid_t)-1 };
    socklen_t size = sizeof peer;
    struct visitor *visitor = text_zalloc(sizeof *visitor);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    *visitor = (struct visitor){ .visitors = visitors, .user = peer.uid };
    visitor->stream = stream_new(loop, fd, VISITOR_LINE_MAX, &events, visitor);
    list_append(&visitors->all, &visitor->node);
    visitors->count++;
    if (visitors->count > VISITORS_MAX)
        visitor_end(visitor, false, "too many administrators are connected; try again in a moment");
    else
        stream_deadline(visitor->stream, REQUEST_PATIENCE_MS);
}

static void go_on(void *context)
{
    struct visitors *visitors = context;
    watch_want(&visitors->watch, WATCH_READ);
}

static void come_in(void *context, int fd, unsigned ready)
{
    struct visitors *visitors = context;
    (void)ready;
    for (unsigned i = 0; i < ACCEPT_ROUND; i++) {
        int visitor = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (visitor >= 0) {
            welcome(visitors, visitor);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            watch_want(&visitors->watch, 0);
            timer_set(&visitors->pause, visitors->control->role->loop, ACCEPT_PAUSE_MS, go_on, visitors);
        }
        return;
    }
}

struct visitors *visitor_listen(struct control *control, int fd)
{
    struct visitors *visitors = text_zalloc(sizeof *visitors);
    visitors->control = control;
    visitors->fd = fd;
    list_init(&visitors->all);
    watch_set(&visitors->watch, control->role->loop, fd, WATCH_READ, come_in, visitors);
    return visitors;
}

void visitor_close_all(struct visitors **visitors)
{
    if (!*visitors)
        return;
    LIST_EACH(node, &(*visitors)->all) {
        drop(LIST_ENTRY(node, struct visitor, node));
    }
    watch_fini(&(*visitors)->watch);
    timer_fini(&(*visitors)->pause);
    close((*visitors)->fd);
    free(*visitors);
    *visitors = NULL;
}

void visitor_parent_answer(struct visitors *visitors, uint64_t ticket, bool done, const char *text)
{
    LIST_EACH(node, &visitors->all) {
        struct visitor *visitor = LIST_ENTRY(node, struct visitor, node);
        if (visitor->waits.ticket == ticket) {
            visitor_end(visitor, done, text);
            return;
        }
    }
}

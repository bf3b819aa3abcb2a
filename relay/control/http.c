/* One request a connection: its header is gathered up to a bound, answered from a table of pages, and the connection ends. Pages that
 * need the overview wait for it; a client that leaves takes its question along. */
#include "http.h"

#include "../base/buffer.h"
#include "../base/list.h"
#include "../base/stream.h"
#include "../base/text.h"
#include "metrics.h"
#include "overview.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS       2000
#define ACCEPT_ROUND    16   /* connections taken in one round of the loop */
#define ACCEPT_PAUSE_MS 1000 /* where the process has no descriptor left */

struct http {
    struct control *control;
    struct list clients;
    unsigned count;
    int fd;
    struct watch watch;
    struct timer pause;
};

struct page;

struct http_client {
    struct list node;
    struct http *http;
    struct stream *stream;
    const struct page *page; /* being made */
    struct overview *overview;
    bool head;
};

/* What can be asked for. */
static const struct page {
    const char *path;
    const char *type;
    bool (*print)(const json_t *overview, struct buffer *out); /* NULL: "ok" without an overview */
} pages[];

static bool print_status(const json_t *overview, struct buffer *out)
{
    char *text = json_dumps(overview, JSON_INDENT(2));
    bool fits = buffer_add_text(out, text) && buffer_add_byte(out, '\n');
    free(text);
    return fits;
}

static const struct page pages[] = {
    { "/metrics", "text/plain; version=0.0.4; charset=utf-8", metrics_print },
    { "/status", "application/json", print_status },
    { "/healthz", "text/plain; charset=utf-8", NULL },
};

static void drop(struct http_client *client)
{
    overview_free(&client->overview);
    stream_free(&client->stream);
    list_remove(&client->node);
    client->http->count--;
    free(client);
}

/* Answers and ends. STATUS is "200 OK" and the like. */
static void reply(struct http_client *client, const char *status, const char *type, struct span body)
{
    char header[512];
    text_format(header, sizeof header,
                "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nAllow: GET, HEAD\r\nCache-Control: no-store\r\n"
                "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
                status, type, body.n);
    stream_write(client->stream, span_of(header));
    if (!client->head)
        stream_write(client->stream, body);
    stream_finish(&client->stream, LINGER_MS);
    drop(client);
}

static void refuse(struct http_client *client, const char *status, const char *text)
{
    reply(client, status, "text/plain; charset=utf-8", span_of(text));
}

static void overview_came(void *context, json_t *overview)
{
    struct http_client *client = context;
    struct buffer body;
    client->overview = NULL;
    buffer_init(&body, HTTP_BODY_MAX);
    if (client->page->print(overview, &body))
        reply(client, "200 OK", client->page->type, buffer_span(&body));
    else
        refuse(client, "500 Internal Server Error", "the answer is too large\n");
    buffer_fini(&body);
    json_decref(overview);
}

static void serve(struct http_client *client, struct span path)
{
    static const struct admin_ask status = { .verb = ADMIN_STATUS };
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (!span_equal(path, span_of(pages[i].path)))
            continue;
        client->page = &pages[i];
        if (!pages[i].print)
            reply(client, "200 OK", pages[i].type, SPAN("ok\n"));
        else
            client->overview = overview_new(client->http->control, &status, overview_came, client);
        return;
    }
    refuse(client, "404 Not Found", "there are /metrics, /status and /healthz\n");
}

/* Takes the header's end off TEXT: up to and without the empty line. False where it has not come. */
static bool cut_header(struct span text, struct span *ret_header)
{
    const char *end = memmem(text.p, text.n, "\r\n\r\n", 4);
    *ret_header = span_make(text.p, end ? (size_t)(end - text.p) : 0);
    return end != NULL;
}

enum http_progress http_parse(struct span text, struct http_request *ret_request)
{
    struct span header;
    if (!cut_header(text, &header))
        return text.n < HTTP_REQUEST_MAX ? HTTP_MORE : HTTP_BAD;
    struct span line = span_cut(&header, '\r');
    struct span method = span_cut(&line, ' ');
    struct span target = span_cut(&line, ' ');
    if (!method.n || !target.n || target.p[0] != '/' || !span_starts_nocase(line, SPAN("HTTP/1.")) || line.n != 8)
        return HTTP_BAD;
    struct http_request request = { .head = span_equal(method, SPAN("HEAD")) };
    request.allowed = request.head || span_equal(method, SPAN("GET"));
    request.path = span_cut(&target, '?');
    *ret_request = request;
    return HTTP_DONE;
}

static void readable(void *context)
{
    struct http_client *client = context;
    struct http_request request;
    if (client->page)
        return;
    enum http_progress progress = http_parse(stream_input(client->stream), &request);
    if (progress == HTTP_MORE)
        return;
    client->head = progress == HTTP_DONE && request.head;
    if (progress == HTTP_BAD)
        refuse(client, "400 Bad Request", "this is no HTTP request\n");
    else if (!request.allowed)
        refuse(client, "405 Method Not Allowed", "nothing can be changed here\n");
    else
        serve(client, request.path);
}

static void ended(void *context, enum stream_end why)
{
    (void)why;
    drop(context);
}

static const struct stream_events events = { .readable = readable, .ended = ended };

static void welcome(struct http *http, int fd)
{
    struct http_client *client = text_zalloc(sizeof *client);
    client->http = http;
    client->stream = stream_new(http->control->role->loop, fd, HTTP_REQUEST_MAX, &events, client);
    list_append(&http->clients, &client->node);
    http->count++;
    stream_deadline(client->stream, HTTP_PATIENCE_MS);
    if (http->count > HTTP_CLIENTS_MAX)
        refuse(client, "503 Service Unavailable", "too many connections\n");
}

static void go_on(void *context)
{
    struct http *http = context;
    watch_want(&http->watch, WATCH_READ);
}

static void come_in(void *context, int fd, unsigned ready)
{
    struct http *http = context;
    (void)ready;
    for (unsigned i = 0; i < ACCEPT_ROUND; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            welcome(http, client);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            watch_want(&http->watch, 0);
            timer_set(&http->pause, http->control->role->loop, ACCEPT_PAUSE_MS, go_on, http);
        }
        return;
    }
}

struct http *http_new(struct control *control, int fd)
{
    struct http *http = text_zalloc(sizeof *http);
    http->control = control;
    http->fd = fd;
    list_init(&http->clients);
    watch_set(&http->watch, control->role->loop, fd, WATCH_READ, come_in, http);
    return http;
}

void http_free(struct http **http)
{
    if (!*http)
        return;
    LIST_EACH(node, &(*http)->clients) {
        drop(LIST_ENTRY(node, struct http_client, node));
    }
    watch_fini(&(*http)->watch);
    timer_fini(&(*http)->pause);
    close((*http)->fd);
    free(*http);
    *http = NULL;
}

/* HTTP for machines: /metrics for Prometheus, /status as JSON, /healthz. One request a connection, nothing can be changed by it.
 *
 * Written over base/stream and not over libevent's evhttp: that of libevent 2.1 has no bound on its connections. */
#ifndef POSTERN_CONTROL_HTTP_H
#define POSTERN_CONTROL_HTTP_H

#include "control.h"

#define HTTP_CLIENTS_MAX 32
#define HTTP_REQUEST_MAX 8192
#define HTTP_BODY_MAX    (8 * 1024 * 1024)
#define HTTP_PATIENCE_MS 10000

struct http;

/* Serves whoever connects to FD, which it owns from here on. */
struct http *http_new(struct control *control, int fd);

/* Drops all clients, frees *HTTP and nulls it. NULL is fine. */
void http_free(struct http **http);

/* What a request asks for. */
enum http_progress { HTTP_MORE, HTTP_DONE, HTTP_BAD };
struct http_request {
    bool head;        /* HEAD: no body is sent */
    bool allowed;     /* GET or HEAD */
    struct span path; /* into the text, without "?…" */
};

/* Reads a request's header (RFC 9112 2.1) from the front of TEXT: HTTP_MORE until its empty line has come. A body is not read. */
enum http_progress http_parse(struct span text, struct http_request *ret_request);

#endif

/* A machine's request and an administrator's line: bounded, whole, and what is found lies in what came. */
#include "../../relay/base/text.h"
#include "../../relay/control/http.h"
#include "../../relay/control/request.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_http(struct span text)
{
    struct http_request request = { 0 };
    enum http_progress progress = http_parse(text, &request);
    require(progress != HTTP_MORE || text.n < HTTP_REQUEST_MAX);
    if (progress != HTTP_DONE)
        return;
    require(request.path.n && request.path.p[0] == '/' && request.path.p >= text.p);
    require(request.path.p + request.path.n <= text.p + text.n && (request.allowed || !request.head));
    require(span_find(request.path, ' ') == request.path.n && span_find(request.path, '\r') == request.path.n);
}

static bool is_text(const char *array, size_t size)
{
    return strnlen(array, size) < size;
}

static void check_line(struct span line)
{
    struct request request = { .command = "" };
    char reason[REQUEST_REASON_SIZE] = "";
    if (!request_read(line, &request, reason)) {
        require(reason[0] && strnlen(reason, sizeof reason) < sizeof reason);
        for (const char *p = reason; *p; p++)
            require((unsigned char)*p >= ' ' && *p != 0x7f);
        return;
    }
    const struct admin_ask *ask = &request.ask;
    require(is_text(request.command, sizeof request.command) && is_text(ask->id, sizeof ask->id));
    require(is_text(ask->account, sizeof ask->account) && is_text(ask->client, sizeof ask->client));
    require(is_text(ask->sender, sizeof ask->sender) && is_text(ask->recipient, sizeof ask->recipient));
    require(is_text(ask->site, sizeof ask->site) && ask->all <= 1 && !ask->verb && !ask->ticket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    check_http(text);
    check_line(text);
    return 0;
}

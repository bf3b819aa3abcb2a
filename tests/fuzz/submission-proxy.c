/* A PROXY header in front of anything: the verdict about a header does not depend on how it comes in, and nothing behind it is touched. */
#include "../../relay/submission/proxy.h"

#include <stdint.h>
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The input from a heap of its very size, so that a read behind its end is seen. */
static enum proxy_progress parse(struct span input, struct netaddr *ret_client, size_t *ret_used)
{
    char *copy = malloc(input.n + !input.n);
    memcpy(copy, input.p, input.n);
    enum proxy_progress progress = proxy_parse(span_make(copy, input.n), ret_client, ret_used);
    require(progress != PROXY_MORE || input.n < PROXY_HEADER_MAX);
    if (progress == PROXY_MORE) {
        size_t wants = proxy_wants(span_make(copy, input.n));
        require(wants && input.n + wants <= PROXY_HEADER_MAX);
    }
    free(copy);
    return progress;
}

/* Reads as slowly as proxy_wants says. */
static enum proxy_progress read_slowly(struct span input, struct netaddr *ret_client, size_t *ret_used)
{
    size_t have = 0;
    for (;;) {
        enum proxy_progress progress = parse(span_head(input, have), ret_client, ret_used);
        if (progress != PROXY_MORE || have == input.n)
            return progress;
        size_t wants = proxy_wants(span_head(input, have));
        have = wants < input.n - have ? have + wants : input.n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_make((const char *)data, size);
    struct netaddr client = { 0 }, slow_client = { 0 };
    size_t used = 0, slow_used = 0;
    enum proxy_progress progress = parse(input, &client, &used);
    enum proxy_progress slow = read_slowly(input, &slow_client, &slow_used);
    require(progress == slow);
    if (progress != PROXY_DONE)
        return 0;
    require(used && used <= size && used <= PROXY_HEADER_MAX && used == slow_used);
    require(client.family == slow_client.family && netaddr_same_host(&client, &slow_client) && client.port == slow_client.port);
    require(client.family == 0 || client.family == 4 || client.family == 6);
    for (size_t n = 0; n < used; n++)
        require(parse(span_head(input, n), &client, &used) == PROXY_MORE);
    return 0;
}

/* Fetches files over HTTPS from addresses that are given, and trusts the server in nothing: its certificate must verify for the name, what
 * it sends is bounded in size and time, redirects lead nowhere, and libcurl asks nobody but it. The only file that knows libcurl. */
#ifndef POSTERN_STS_FETCH_H
#define POSTERN_STS_FETCH_H

#include "../base/loop.h"
#include "../base/netaddr.h"

struct fetch;

struct fetch_settings {
    const char *ca_file;    /* certificates of those who are trusted; read by fetch_new and never again */
    int64_t connect_ms;     /* for a connection and its handshake */
    int64_t whole_ms;       /* for all of it */
    size_t size_max;        /* bytes of a file */
    const char *media_type; /* that a file must have, whatever its parameters */
};

/* What came of a fetch: the file, or, where PROBLEM is not NULL, why it could not be had, in words that may hold some of the server's. Both
 * are borrowed until it returns. It may begin the next fetch. */
typedef void (*fetch_done)(void *context, const char *problem, struct span file);

/* Loads libcurl and the certificates: only before the sandbox closes. SETTINGS' texts must outlive it. Where one of these fails it is logged,
 * and every fetch fails. */
struct fetch *fetch_new(struct loop *loop, const struct fetch_settings *settings);

/* Drops what is under way without a word, frees *FETCH and nulls it. NULL is fine. */
void fetch_free(struct fetch **fetch);

/* Fetches https://HOST:PORT/PATH from one of the COUNT ADDRESSES (their ports do not count), which must be the server's. DONE is called
 * once, maybe from within this call. */
void fetch_start(struct fetch *fetch, const char *host, uint16_t port, const char *path, const struct netaddr *addresses,
                 unsigned count, fetch_done done, void *context);

#endif

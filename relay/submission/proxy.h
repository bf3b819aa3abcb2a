/* The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt): who the client behind a balancer is. */
#ifndef POSTERN_SUBMISSION_PROXY_H
#define POSTERN_SUBMISSION_PROXY_H

#include "../base/netaddr.h"

/* A header's bytes at most: a version 2 header with more than this of address and TLVs is refused. */
#define PROXY_HEADER_MAX 2048

enum proxy_progress {
    PROXY_MORE, /* right so far, but not all is there */
    PROXY_DONE, /* *ret_client and *ret_used are set */
    PROXY_BAD   /* not such a header */
};

/* Reads the header at the front of INPUT. *ret_client has family 0 where the header names nobody (LOCAL, UNKNOWN: the balancer
 * itself, a health check). *ret_used is the header's length. */
enum proxy_progress proxy_parse(struct span input, struct netaddr *ret_client, size_t *ret_used);

/* How many bytes may be read behind INPUT, a header that is not complete, without reading past its end: what follows belongs to
 * somebody else, such as the client's TLS handshake. */
size_t proxy_wants(struct span input);

#endif

/* An OpenSSL BIO between TLS and a socket. What TLS wants to send is gathered in a buffer, so that the records of one moment (a ticket and a
 * reply, a last reply and the alert that closes) leave in one system call, and a full socket is its owner's matter and never TLS's. What TLS
 * wants to read comes from the socket, but only once: then the owner has its turn again. */
#ifndef POSTERN_BASE_WIRE_H
#define POSTERN_BASE_WIRE_H

#include "buffer.h"

#include <openssl/bio.h>

struct wire {
    struct buffer output; /* what is to be sent; the owner's */
    int fd;               /* non-blocking; borrowed */
    bool reads;           /* the owner lets TLS read the socket, once; beyond that it finds nothing there for now */
    bool ended;           /* the socket has no more to read */
};

/* A BIO on WIRE, which must outlive it. The caller (or the SSL it is given to) frees it. It refuses what would pass the output's maximum.
 * Aborts where memory is short. */
BIO *wire_new(struct wire *wire);

#endif

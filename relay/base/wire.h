/* An OpenSSL BIO that gathers what TLS wants to send in a buffer, so that the records of one moment (a ticket and a reply, a last reply
 * and the alert that closes) leave in one system call, and a full socket is its owner's matter and never TLS's. */
#ifndef POSTERN_BASE_WIRE_H
#define POSTERN_BASE_WIRE_H

#include "buffer.h"

#include <openssl/bio.h>

/* A BIO that appends to BUFFER, which must outlive it. The caller (or the SSL it is given to) frees it. It refuses what would pass the
 * buffer's maximum. Aborts where memory is short. */
BIO *wire_new(struct buffer *buffer);

#endif

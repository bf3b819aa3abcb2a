/* The server side of TLS: certificates by name (SNI), and what every handshake has in common. */
#ifndef POSTERN_SUBMISSION_CERTIFICATES_H
#define POSTERN_SUBMISSION_CERTIFICATES_H

#include "../base/bundle.h"
#include "../conf/conf.h"

#include <openssl/ssl.h>

/* Bytes of a channel binding (RFC 9266). */
#define CERTIFICATES_BINDING_SIZE 32

struct certificates;

/* Reads the certificates and keys that CONF names out of SECRETS ("certificate:PATH", "key:PATH", and "ticket-key", which lets
 * all processes resume each other's sessions). NULL, with a log line that names the file, where one is missing or wrong. */
struct certificates *certificates_new(const struct conf *conf, const struct bundle *secrets);

/* Frees *CERTIFICATES and nulls it. NULL is fine. */
void certificates_free(struct certificates **certificates);

/* The TLS state of a new connection, ready to accept; the caller's. */
SSL *certificates_accept(const struct certificates *certificates);

/* The channel binding tls-exporter of the connection SSL. False where it has none: below TLS 1.3 it would need the extended
 * master secret on both sides, so that it is not offered there. */
bool certificates_binding(SSL *ssl, unsigned char binding[CERTIFICATES_BINDING_SIZE]);

#endif

/* TLS as a client: what each policy demands, the sessions that can be resumed, and which hosts could not do it. */
#ifndef POSTERN_DELIVERY_TLS_H
#define POSTERN_DELIVERY_TLS_H

#include "../channels/queue_delivery.h"
#include "../conf/conf.h"

#include <openssl/ssl.h>

struct tls;

/* Makes the contexts and reads the certificate authorities where a policy in CONF verifies: before the sandbox closes, since no
 * file is opened later. NULL, with a log line, where TLS cannot be had at all. Authorities that cannot be read are logged, and
 * every verification fails then. */
struct tls *tls_new(const struct conf *conf);

/* Frees *TLS with its sessions and nulls it; SSL objects must be gone. NULL is fine. */
void tls_free(struct tls **tls);

/* A client's SSL object for HOST (name as in MX or route, or an address literal) and PORT, the caller's to free: SNI set, a kept
 * session of the same POLICY and USER ("": no login) offered. With CONF_DELIVERY_VERIFY the chain and the host's name must verify or the handshake fails; with the others
 * any certificate does. NULL where OpenSSL gives none. */
SSL *tls_client(struct tls *tls, enum conf_delivery_tls policy, const char *host, uint16_t port, const char *user);

/* Writes version and cipher of a finished handshake: "TLSv1.3 TLS_AES_256_GCM_SHA384". */
void tls_describe(const SSL *ssl, char text[DELIVERY_TLS_SIZE]);

/* Remembers for an hour that HOST offers STARTTLS but cannot do it. */
void tls_remember_plain(struct tls *tls, const char *host);

/* Is that remembered of HOST? For opportunistic TLS only: whoever demands TLS never asks. */
bool tls_is_plain(const struct tls *tls, const char *host);

#endif

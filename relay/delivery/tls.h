/* TLS as a client: what each policy demands, DANE (RFC 7672), the sessions that can be resumed, and which hosts could not do it. */
#ifndef POSTERN_DELIVERY_TLS_H
#define POSTERN_DELIVERY_TLS_H

#include "../channels/queue_delivery.h"
#include "../conf/conf.h"

#include <openssl/ssl.h>

struct tls;

/* What is demanded of a server, the more the further down. The first four are the settings' words in their order. */
enum tls_policy {
    TLS_NONE = CONF_DELIVERY_NONE,
    TLS_OPPORTUNISTIC = CONF_DELIVERY_OPPORTUNISTIC,
    TLS_ENCRYPT = CONF_DELIVERY_ENCRYPT,
    TLS_VERIFY = CONF_DELIVERY_VERIFY,
    TLS_DANE, /* a certificate that the host's TLSA records name; where none of them can be used, TLS at least (RFC 7672 2.2) */
    TLS_POLICIES
};

/* Whom to speak TLS with, and how; borrowed. */
struct tls_peer {
    enum tls_policy policy;
    enum tls_policy otherwise; /* what is demanded where TLSA records are there and none can be used; TLS_ENCRYPT at least */
    const char *host;          /* name as in MX or route, or an address literal */
    uint16_t port;
    const char *user;            /* "": no login */
    bool sts;                    /* by a policy (RFC 8461 4.2): a name in the certificate's subject is none */
    const struct dns_tlsa *tlsa; /* with TLS_DANE */
    const char *domain;          /* whose name the certificate may be for as well then (RFC 7672 3.2.2); "": nobody's */
    const char *alias_of;        /* what that is an alias of; "": nothing */
};

/* Makes the contexts and reads the certificate authorities where a policy in CONF verifies: before the sandbox closes, since no
 * file is opened later. NULL, with a log line, where TLS cannot be had at all. Authorities that cannot be read are logged, and
 * every verification fails then. */
struct tls *tls_new(const struct conf *conf);

/* Frees *TLS with its sessions and nulls it; SSL objects must be gone. NULL is fine. */
void tls_free(struct tls **tls);

/* A client's SSL object for PEER, the caller's to free: SNI set, a kept session of the same policy, user and TLSA records offered. Where the
 * policy verifies, the handshake fails without a certificate that is good for the host. NULL where OpenSSL gives none. */
SSL *tls_client(struct tls *tls, const struct tls_peer *peer);

/* Writes version and cipher of a finished handshake, and how the certificate was found good: "TLSv1.3 TLS_AES_256_GCM_SHA384 dane";
 * "… verified": by the authorities. */
void tls_describe(const SSL *ssl, char text[DELIVERY_TLS_SIZE]);

/* "opportunistic" … Static. */
const char *tls_policy_text(enum tls_policy policy);

/* Did the handshake fail because the certificate is for another name? */
bool tls_is_mismatch(const SSL *ssl);

/* Remembers for an hour that HOST offers STARTTLS but cannot do it. */
void tls_remember_plain(struct tls *tls, const char *host);

/* Is that remembered of HOST? For opportunistic TLS only: whoever demands TLS never asks. */
bool tls_is_plain(const struct tls *tls, const char *host);

#endif

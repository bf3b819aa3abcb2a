/* The header lines that postern puts in front: Received, and Message-ID and Date where they were missing. */
#ifndef POSTERN_MESSAGE_RECEIVED_H
#define POSTERN_MESSAGE_RECEIVED_H

#include "envelope.h"
#include "header.h"
#include "mark.h"

/* What the Received field tells beyond the envelope. */
struct received_facts {
    const char *hostname;    /* ours */
    const char *tls_version; /* "TLSv1.3", or NULL for plain */
    const char *tls_cipher;  /* or NULL */
    bool esmtp;              /* EHLO, not HELO */
    bool hide_client;        /* client-address = hide: no name or address of the client */
    uint64_t tag;            /* of the account, by which the message is marked (mark.h); 0: not */
};

/* Appends Received (RFC 5321 4.4: from HELO ([address]) by HOSTNAME with ESMTPSA id ID (mark MARK) for <only recipient>; date), folded
 * below 78 columns where it can be, and Message-ID and Date where HEADER lacks them. All foreign text is escaped. "for" only when there
 * is one recipient. "with" after RFC 3848 and 6531: (UTF8)(E)SMTP(S)(A). False where OUT is full. */
bool received_write(const struct envelope *envelope, const struct received_facts *facts, const struct header_facts *header,
                    struct buffer *out);

/* What a Received field of ours says of its message. */
struct received_origin {
    struct uid id;
    uint64_t mark; /* 0: none */
};

/* Reads VALUE, a Received field behind its colon, folded in whatever way, if it is one that received_write made for HOSTNAME. False for
 * those of other servers. Anybody can write such a field: only a mark that fits is proof. */
bool received_read(struct span value, const char *hostname, struct received_origin *ret_origin);

#endif

/* What was asked of dns and sts and is not answered yet. */
#ifndef POSTERN_CONTROL_LOOKING_H
#define POSTERN_CONTROL_LOOKING_H

#include "../channels/sts.h"
#include "control.h"

struct looking;

/* The answers. What dns was asked before it went is answered with DNS_TIMEOUT, what sts was with STS_MODES. */
typedef void (*looking_mx)(void *context, const struct dns_mx *mx);
typedef void (*looking_address)(void *context, unsigned which, const struct dns_address *address);
typedef void (*looking_tlsa)(void *context, unsigned which, const struct dns_tlsa *tlsa);
typedef void (*looking_policy)(void *context, const struct sts_policy *policy);

/* Nothing asked yet. */
struct looking *looking_new(struct control *control);

/* Forgets what was asked; frees *LOOKING and nulls it. */
void looking_free(struct looking **looking);

/* Where does mail for DOMAIN go? FOUND comes exactly once, not from within this call. */
void looking_ask_mx(struct looking *looking, struct span domain, looking_mx found, void *context);

/* Which addresses has HOST? WHICH is handed to FOUND, which comes exactly once, not from within this call. */
void looking_ask_address(struct looking *looking, struct span host, unsigned which, looking_address found, void *context);

/* Which TLSA records that count has HOST for PORT? As looking_ask_address. */
void looking_ask_tlsa(struct looking *looking, struct span host, uint16_t port, unsigned which, looking_tlsa found,
                      void *context);

/* Which MTA-STS policy has DOMAIN? As looking_ask_mx. */
void looking_ask_policy(struct looking *looking, struct span domain, looking_policy found, void *context);

/* CONTEXT has gone: nothing that it asked is told any more. */
void looking_forget(struct looking *looking, const void *context);

/* The handler of the channels of dns and sts: an answer of PEER came. */
void looking_received(struct looking *looking, enum control_peer peer, unsigned type, const void *body);

/* The role of PEER has gone: what it was asked is answered as above. */
void looking_gone(struct looking *looking, enum control_peer peer);

#endif

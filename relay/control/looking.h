/* What was asked of dns and is not answered yet. */
#ifndef POSTERN_CONTROL_LOOKING_H
#define POSTERN_CONTROL_LOOKING_H

#include "control.h"

struct looking;

/* The answers. What dns was asked before it went is answered with DNS_TIMEOUT. */
typedef void (*looking_mx)(void *context, const struct dns_mx *mx);
typedef void (*looking_address)(void *context, unsigned which, const struct dns_address *address);

/* Nothing asked yet. */
struct looking *looking_new(struct control *control);

/* Forgets what was asked; frees *LOOKING and nulls it. */
void looking_free(struct looking **looking);

/* Where does mail for DOMAIN go? FOUND comes exactly once, not from within this call. */
void looking_ask_mx(struct looking *looking, struct span domain, looking_mx found, void *context);

/* Which addresses has HOST? WHICH is handed to FOUND, which comes exactly once, not from within this call. */
void looking_ask_address(struct looking *looking, struct span host, unsigned which, looking_address found, void *context);

/* CONTEXT has gone: nothing that it asked is told any more. */
void looking_forget(struct looking *looking, const void *context);

/* The handler of dns's channel: an answer came. */
void looking_received(struct looking *looking, unsigned type, const void *body);

/* The dns role has gone: what it was asked is answered with DNS_TIMEOUT. */
void looking_gone(struct looking *looking);

#endif

/* Questions of the other roles: from the cache, or from the servers, each name once at a time however many ask for it. */
#ifndef POSTERN_DNS_LOOKUP_H
#define POSTERN_DNS_LOOKUP_H

#include "../conf/conf.h"
#include "cache.h"
#include "resolve.h"

#define LOOKUP_QUESTIONS_MAX 20000  /* different questions without an answer; the next is answered DNS_TIMEOUT */
#define LOOKUP_ASKERS_MAX    100000 /* who waits for them, in all; the same */
#define LOOKUP_TTL_MIN_S     5      /* an answer is kept that long even where it says less, so that a burst asks once */
#define LOOKUP_TEMPORARY_S   5      /* how long trouble is remembered before the servers are asked again */
#define LOOKUP_NEGATIVE_S    60     /* how long "there is none" is remembered that did not say how long it holds */

struct lookup;

/* The answer to an asker's question; FOUND is borrowed until it returns. */
typedef void (*lookup_done)(void *context, uint64_t ticket, const struct found *found);

/* A table of questions over RESOLVE (borrowed, outlives it), with an empty cache, as CONF says. */
struct lookup *lookup_new(struct resolve *resolve, const struct conf *conf);

/* Frees *LOOKUP and nulls it; no asker is answered any more. RESOLVE must have been freed before. NULL is fine. */
void lookup_free(struct lookup **lookup);

/* New settings: bounds of the cache, and this relay's name. What is known stays. */
void lookup_settings(struct lookup *lookup, const struct conf *conf);

/* Nothing that was answered counts any more. */
void lookup_forget_answers(struct lookup *lookup);

/* Asks for what KIND says of NAME, as it came from outside: a host name; for mail hosts or addresses also an address literal, for
 * addresses an address; for TLSA records "_PORT._tcp.HOST". What the servers must be asked waits in LINE (resolve.h), or in that of who asked the same before. DONE is called once,
 * maybe from within this call. */
void lookup_ask(struct lookup *lookup, unsigned line, enum cache_kind kind, struct span name, lookup_done done, void *context,
                uint64_t ticket);

/* CONTEXT has gone: what it asked is not answered. */
void lookup_forget(struct lookup *lookup, const void *context);

#endif

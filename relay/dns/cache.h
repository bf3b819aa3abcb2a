/* What is known about names, for as long as it holds: bounded in number and in memory, the least recently used go first. */
#ifndef POSTERN_DNS_CACHE_H
#define POSTERN_DNS_CACHE_H

#include "../channels/dns.h"

#include <stddef.h>

#define CACHE_ANSWER_BYTES 512 /* of memory for each answer, on the average; the largest take seventeen times as much */

/* What was asked. TLSA records are kept under the name that has them ("_25._tcp.mx.example.net"). */
enum cache_kind { CACHE_MX = 'm', CACHE_ADDRESS = 'a', CACHE_TLSA = 's', CACHE_TXT = 't' };

/* The answer to one question, packed. */
struct found {
    enum dns_status status;
    bool implicit;    /* MX: there is none, the name's own address serves */
    uint32_t ttl_s;   /* how long it still holds */
    bool secure;      /* the name server vouches for it (DNSSEC); of aliases too */
    struct span body; /* as mx_pack, addresses_pack, tlsa_pack or txt_pack wrote it; empty unless DNS_OK */
};

struct cache;

/* An empty cache for at most MAX answers (at least 1), and as many times CACHE_ANSWER_BYTES of their texts. */
struct cache *cache_new(size_t max);

/* Frees *CACHE and nulls it. NULL is fine. */
void cache_free(struct cache **cache);

/* What is known at NOW_MS (monotonic) of NAME (in normal form). False where nothing is. The body is borrowed until the cache
 * changes. */
bool cache_get(struct cache *cache, enum cache_kind kind, struct span name, int64_t now_ms, struct found *ret_found);

/* Remembers FOUND (copied) for FOUND->ttl_s seconds from NOW_MS on. 0 is not remembered. */
void cache_put(struct cache *cache, enum cache_kind kind, struct span name, int64_t now_ms, const struct found *found);

/* Forgets all answers of KIND. */
void cache_drop(struct cache *cache, enum cache_kind kind);

/* Holds at most MAX answers from here on. */
void cache_resize(struct cache *cache, size_t max);

/* How many answers it holds, expired ones included. */
size_t cache_count(const struct cache *cache);

#endif

/* The kinds of values in the configuration: from text and to text. Knows no key and no file. */
#ifndef POSTERN_CONF_VALUES_H
#define POSTERN_CONF_VALUES_H

#include "../base/buffer.h"
#include "conf.h"

enum value_type {
    VALUE_TEXT,      /* char * */
    VALUE_BOOL,      /* bool: yes, no */
    VALUE_NUMBER,    /* uint64_t */
    VALUE_PORT,      /* uint16_t */
    VALUE_SIZE,      /* uint64_t: 50M, 1G, 4096 */
    VALUE_TIME,      /* int64_t milliseconds: 5min, 1h, 3d, 10s, 250ms */
    VALUE_RATE,      /* struct conf_rate: 200/1h */
    VALUE_WORD,      /* an enum: one of `words` */
    VALUE_CHOICE,    /* bool: the first or the second of `words` */
    VALUE_TEXTS,     /* struct conf_strings */
    VALUE_NETWORKS,  /* struct conf_networks */
    VALUE_ADDRESSES, /* struct conf_addresses: with ports, or the port `min` of the bounds where it is one */
    VALUE_TIMES,     /* struct conf_times: {5min, 15min} */
    VALUE_HOSTS,     /* struct conf_hosts: `mx`, or hosts host:port */
    VALUE_TYPES
};

/* What is allowed beyond the type. */
struct value_bounds {
    uint64_t min, max;        /* of numbers, sizes, times (each) and rates (count) */
    const char *const *words; /* of a VALUE_WORD, NULL at the end, in the order of the enum */
    const char *lacks;        /* a word that a later version may have: not offered, and refused by its name; NULL: none */
};

/* Is TYPE a list, `{ a, b }`? */
bool values_is_list(enum value_type type);

/* Reads the COUNT texts ITEMS (1 unless TYPE is a list) into MEMBER, freeing what it held. False, and in WHY (of SIZE bytes) what would
 * be right, where they do not fit; MEMBER is untouched then. */
bool values_parse(enum value_type type, const struct value_bounds *bounds, const char *const *items, size_t count, void *member,
                  char *why, size_t size);

/* Appends MEMBER as configuration text, quoted as needed, that values_parse reads back to the same. */
void values_print(enum value_type type, const struct value_bounds *bounds, const void *member, struct buffer *out);

/* Frees what MEMBER holds and empties it. */
void values_free(enum value_type type, void *member);

/* "50M" to bytes: digits and one of K, M, G, T (powers of 1024) or nothing. */
bool values_size(struct span text, uint64_t *ret_bytes);

/* "5min" to milliseconds: ms, s, min, h, d, w; a bare number is seconds. */
bool values_time(struct span text, int64_t *ret_ms);

/* "200/1h". */
bool values_rate(struct span text, struct conf_rate *ret_rate);

/* "host:port", "[2001:db8::1]:587", "host" (DEFAULT_PORT). False where the port or the host's characters are wrong. */
bool values_host(struct span text, uint16_t default_port, struct conf_host *ret_host);

/* The shortest text that values_size reads back to BYTES. */
void values_size_print(uint64_t bytes, char text[32]);

/* The shortest text that values_time reads back to MS. */
void values_time_print(int64_t ms, char text[32]);

#endif

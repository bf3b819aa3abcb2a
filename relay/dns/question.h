/* The inside of a lookup, for the files that make it up: lookup.c (the table of questions, who asks, the cache) and one file for each kind
 * of question, which knows what to ask the servers and what the answers mean together. Nobody else includes this. */
#ifndef POSTERN_DNS_QUESTION_H
#define POSTERN_DNS_QUESTION_H

#include "../base/list.h"
#include "lookup.h"

#include <stddef.h>

struct question;

/* A kind of question. */
struct question_kind {
    enum cache_kind kind;
    size_t work_size;                         /* of what it keeps while answers are still to come */
    void (*begin)(struct question *question); /* asks; the question may be done and gone when this returns */
};

extern const struct question_kind question_mx, question_addresses, question_tlsa, question_txt;

/* What was asked and is not answered yet. */
struct question {
    struct lookup *lookup;
    const struct question_kind *kind;
    struct list askers;
    unsigned line;                              /* of who asked first */
    char key[1 + SMTP_DOMAIN_SIZE];             /* the kind's letter and the name, in normal form */
    _Alignas(max_align_t) unsigned char work[]; /* the kind's, zero at first */
};

/* The name that is asked for. */
const char *question_name(const struct question *question);

/* Asks the servers for records of TYPE of NAME, in the question's line; DONE gets QUESTION as its context. */
void question_query(struct question *question, const char *name, enum answer_type type, resolve_done done);

/* Asks for KIND of NAME, as anybody may, on behalf of QUESTION; DONE gets QUESTION as its context. */
void question_ask(struct question *question, enum cache_kind kind, const char *name, lookup_done done);

/* Reads what came for records of TYPE of NAME: STATUS and BYTES as resolve_done has them. */
struct answer question_read(enum dns_status status, struct span bytes, const char *name, enum answer_type type,
                            void (*each)(void *context, const struct answer_record *record), void *context);

/* This relay's name in normal form. */
const char *question_own_name(const struct question *question);

/* How many seconds to keep an answer of STATUS that says TTL_S (where HAS_TTL). */
uint32_t question_lifetime(const struct question *question, enum dns_status status, bool has_ttl, uint32_t ttl_s);

/* QUESTION is answered: remembers it and tells all who asked. Frees it. */
void question_finish(struct question *question, const struct found *found);

#endif

/* Which addresses has a host? A and AAAA are asked for at once, and both are waited for. */
#include "addresses.h"
#include "question.h"

struct work {
    unsigned pending; /* answers that are still to come */
    struct answer a, aaaa;
    struct addresses addresses;
};

static struct work *work_of(struct question *question)
{
    return (struct work *)question->work;
}

/* Does who answered vouch for what counts of A and AAAA? What did not come counts for nothing, so it takes nothing away. */
static bool is_secure(const struct answer *a, const struct answer *aaaa)
{
    bool a_fails = dns_is_temporary(a->status), aaaa_fails = dns_is_temporary(aaaa->status);
    return (a->secure || a_fails) && (aaaa->secure || aaaa_fails) && !(a_fails && aaaa_fails);
}

/* What the host is an alias of, into the addresses. Both answers say the same, but for a change in between. */
static void keep_alias(struct question *question)
{
    struct work *work = work_of(question);
    const struct answer *answer = work->a.status == DNS_OK ? &work->a : &work->aaaa;
    char name[SMTP_DOMAIN_SIZE];
    if (answer->status == DNS_OK && name_from_wire(&answer->name, name) && strcmp(name, question_name(question)) != 0)
        memcpy(work->addresses.alias_of, name, sizeof name);
}

/* Both families are known. Where only one is for certain, the answer is kept no longer than trouble is. */
static void finish(struct question *question)
{
    struct work *work = work_of(question);
    const struct answer *a = &work->a, *aaaa = &work->aaaa;
    struct buffer body;
    enum dns_status status = addresses_status(&work->addresses, a->status, aaaa->status);
    uint32_t ttl_s = a->ttl_s;
    if (!a->has_ttl || (aaaa->has_ttl && aaaa->ttl_s < ttl_s))
        ttl_s = aaaa->ttl_s;
    uint32_t keep_s = question_lifetime(question, status, a->has_ttl || aaaa->has_ttl, ttl_s);
    if ((dns_is_temporary(a->status) || dns_is_temporary(aaaa->status)) && keep_s > LOOKUP_TEMPORARY_S)
        keep_s = LOOKUP_TEMPORARY_S;
    keep_alias(question);
    buffer_init(&body, ADDRESSES_PACKED_MAX);
    if (status == DNS_OK)
        addresses_pack(&work->addresses, &body);
    struct found found = { .status = status, .ttl_s = keep_s, .secure = is_secure(a, aaaa), .body = buffer_span(&body) };
    question_finish(question, &found);
    buffer_fini(&body);
}

static void take(void *context, const struct answer_record *record)
{
    addresses_add(context, &record->address);
}

/* Reads one family's answer into *RET_ANSWER. Addresses count only where the whole answer makes sense. */
static void read_family(struct question *question, enum answer_type type, enum dns_status status, struct span bytes,
                        struct answer *ret_answer)
{
    struct work *work = work_of(question);
    struct addresses before = work->addresses;
    *ret_answer = question_read(status, bytes, question_name(question), type, take, &work->addresses);
    if (ret_answer->status != DNS_OK)
        work->addresses = before;
    if (--work->pending == 0)
        finish(question);
}

static void a_came(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    read_family(question, ANSWER_A, status, bytes, &work_of(question)->a);
}

static void aaaa_came(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    read_family(question, ANSWER_AAAA, status, bytes, &work_of(question)->aaaa);
}

static void begin(struct question *question)
{
    work_of(question)->pending = 2;
    question_query(question, question_name(question), ANSWER_A, a_came);
    question_query(question, question_name(question), ANSWER_AAAA, aaaa_came);
}

const struct question_kind question_addresses = { CACHE_ADDRESS, sizeof(struct work), begin };

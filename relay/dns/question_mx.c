/* Where does mail for a domain go? The servers are asked for its MX; where it has none, its addresses are asked for like anybody asks for
 * them, so that the cache is found, or who asks already is joined. */
#include "mx.h"
#include "question.h"

struct work {
    struct answer mx;
};

static struct work *work_of(struct question *question)
{
    return (struct work *)question->work;
}

static void finish(struct question *question, const struct mx_set *set, enum dns_status status, bool implicit)
{
    struct buffer body;
    const struct answer *answer = &work_of(question)->mx;
    buffer_init(&body, MX_PACKED_MAX);
    if (status == DNS_OK)
        mx_pack(set, &body);
    struct found found = { .status = status,
                           .implicit = implicit,
                           .ttl_s = question_lifetime(question, status, answer->has_ttl, answer->ttl_s),
                           .secure = answer->secure,
                           .body = buffer_span(&body) };
    question_finish(question, &found);
    buffer_fini(&body);
}

/* The addresses of a domain without MX are known: they, or what is wrong with them, are the answer. What says that there are none
 * says it of the name, so a "no" of the address question stands for "no mail" too. That there is no MX is a "no" as well, and the answer
 * holds no longer than this one. */
static void addresses_came(void *context, uint64_t ticket, const struct found *found)
{
    struct question *question = context;
    struct answer *mx = &work_of(question)->mx;
    struct mx_set set;
    enum dns_status status = found->status;
    (void)ticket;
    mx_init(&set, question_own_name(question));
    if (status == DNS_OK)
        status = mx_implicit(&set, span_of(question_name(question)));
    mx->ttl_s = question_lifetime(question, DNS_NO_MAIL, mx->has_ttl, mx->ttl_s);
    if (found->ttl_s < mx->ttl_s)
        mx->ttl_s = found->ttl_s;
    mx->has_ttl = true;
    finish(question, &set, status, true);
}

static void take(void *context, const struct answer_record *record)
{
    mx_add(context, record);
}

static void came(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    struct answer *mx = &work_of(question)->mx;
    struct mx_set set;
    mx_init(&set, question_own_name(question));
    *mx = question_read(status, bytes, question_name(question), ANSWER_MX, take, &set);
    if (mx->status == DNS_OK && name_from_wire(&mx->name, set.alias_of) && strcmp(set.alias_of, question_name(question)) == 0)
        set.alias_of[0] = '\0';
    status = mx->status;
    if (status == DNS_NO_MAIL)
        question_ask(question, CACHE_ADDRESS, question_name(question), addresses_came);
    else
        finish(question, &set, status == DNS_OK ? mx_settle(&set) : status, false);
}

static void begin(struct question *question)
{
    question_query(question, question_name(question), ANSWER_MX, came);
}

const struct question_kind question_mx = { CACHE_MX, sizeof(struct work), begin };

/* Which TLSA records of a host count (RFC 7672 2.2)? Only signed ones, of a host whose addresses are signed: the others are not asked for at
 * all, since there are name servers that answer such questions with an error, and mail to hosts behind them would wait (2.1.2). Trouble with
 * anything that might have told of records is trouble with the whole: what cannot be had may have been kept away by somebody.
 *
 * A host that is an alias has its records at the end of the aliases, where that is signed, else under its own name (2.2.2). */
#include "addresses.h"
#include "question.h"
#include "tlsa.h"

struct work {
    char bases[2][SMTP_DOMAIN_SIZE]; /* whose records are looked for, one after the other; "": no more */
    unsigned at;
    uint32_t ttl_s; /* of the addresses */
    struct tlsa_set set;
};

static struct work *work_of(struct question *question)
{
    return (struct work *)question->work;
}

/* The host of "_25._tcp.HOST". */
static const char *host_of(const struct question *question)
{
    return strchr(strchr(question_name(question), '.') + 1, '.') + 1;
}

static void finish(struct question *question, enum dns_status status, const struct answer *answer)
{
    struct work *work = work_of(question);
    struct buffer body;
    uint32_t ttl_s = question_lifetime(question, status, answer->has_ttl, answer->ttl_s);
    buffer_init(&body, TLSA_PACKED_MAX);
    if (status == DNS_OK)
        tlsa_pack(&work->set, work->bases[work->at], &body);
    struct found found = { .status = status,
                           .ttl_s = ttl_s < work->ttl_s ? ttl_s : work->ttl_s,
                           .secure = status == DNS_OK,
                           .body = buffer_span(&body) };
    question_finish(question, &found);
    buffer_fini(&body);
}

static void ask_next(struct question *question, const struct answer *before);

static void take(void *context, const struct answer_record *record)
{
    tlsa_add(context, record->data);
}

static void came(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    struct work *work = work_of(question);
    char name[SMTP_DOMAIN_SIZE];
    tlsa_name(question_name(question), work->bases[work->at], name);
    work->set.size = 0;
    struct answer answer = question_read(status, bytes, name, ANSWER_TLSA, take, &work->set);
    if (answer.status == DNS_OK && answer.secure) {
        finish(question, DNS_OK, &answer);
    } else if (dns_is_temporary(answer.status)) {
        finish(question, answer.status, &answer);
    } else {
        work->at++;
        ask_next(question, &answer);
    }
}

/* Asks for the records of the next base, which has none where their name would be too long to exist. BEFORE said that there are none. */
static void ask_next(struct question *question, const struct answer *before)
{
    struct work *work = work_of(question);
    char name[SMTP_DOMAIN_SIZE];
    while (work->at < 2 && *work->bases[work->at] && !tlsa_name(question_name(question), work->bases[work->at], name))
        work->at++;
    if (work->at == 2 || !*work->bases[work->at])
        finish(question, DNS_NO_MAIL, before);
    else
        question_query(question, name, ANSWER_TLSA, came);
}

static void ignore(void *context, const struct answer_record *record)
{
    (void)context;
    (void)record;
}

/* The host is an alias, and where it ends is not signed; the alias itself may be. */
static void alias_came(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    struct answer answer = question_read(status, bytes, host_of(question), ANSWER_CNAME, ignore, NULL);
    if (dns_is_temporary(answer.status)) {
        finish(question, answer.status, &answer);
        return;
    }
    if (answer.status == DNS_OK && answer.secure)
        memcpy(work_of(question)->bases[0], host_of(question), strlen(host_of(question)) + 1);
    ask_next(question, &answer);
}

static void addresses_came(void *context, uint64_t ticket, const struct found *found)
{
    struct question *question = context;
    struct work *work = work_of(question);
    struct span alias_of = addresses_alias(found);
    const char *host = host_of(question);
    struct answer answer = { .status = found->status, .has_ttl = true, .ttl_s = found->ttl_s };
    (void)ticket;
    work->ttl_s = found->ttl_s;
    if (dns_is_temporary(found->status))
        finish(question, found->status, &answer);
    else if (found->status != DNS_OK || (!found->secure && !alias_of.n))
        finish(question, DNS_NO_MAIL, &answer);
    else if (!found->secure)
        question_query(question, host, ANSWER_CNAME, alias_came);
    else {
        if (alias_of.n)
            memcpy(work->bases[work->at++], alias_of.p, alias_of.n);
        memcpy(work->bases[work->at], host, strlen(host) + 1);
        work->at = 0;
        ask_next(question, &answer);
    }
}

static void begin(struct question *question)
{
    question_ask(question, CACHE_ADDRESS, host_of(question), addresses_came);
}

const struct question_kind question_tlsa = { CACHE_TLSA, sizeof(struct work), begin };

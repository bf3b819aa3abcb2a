/* Which TXT records has a name? */
#include "question.h"
#include "txt.h"

static void take(void *context, const struct answer_record *record)
{
    txt_add(context, record->data);
}

static void came(void *context, enum dns_status status, struct span bytes)
{
    struct question *question = context;
    struct buffer body;
    buffer_init(&body, DNS_TXT_BYTES);
    struct answer answer = question_read(status, bytes, question_name(question), ANSWER_TXT, take, &body);
    struct found found = { .status = answer.status,
                           .ttl_s = question_lifetime(question, answer.status, answer.has_ttl, answer.ttl_s),
                           .secure = answer.secure,
                           .body = answer.status == DNS_OK ? buffer_span(&body) : SPAN("") };
    question_finish(question, &found);
    buffer_fini(&body);
}

static void begin(struct question *question)
{
    question_query(question, question_name(question), ANSWER_TXT, came);
}

const struct question_kind question_txt = { CACHE_TXT, 0, begin };

#include "answer.h"

#include "../relay/base/clock.h"
#include "../relay/base/text.h"
#include "../relay/conf/values.h"

#include <stdarg.h>
#include <stdio.h>

void answer_say(struct policy_answer *answer, enum policy_verdict verdict, const char *format, ...)
{
    va_list arguments;
    answer->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(answer->reply, sizeof answer->reply, format, arguments);
    va_end(arguments);
    for (char *at = answer->reply; *at; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
}

uint32_t answer_delay(const struct limit_refusal *refusal)
{
    return refusal->wait_ms < ANSWER_DELAY_MAX_MS ? (uint32_t)refusal->wait_ms : ANSWER_DELAY_MAX_MS;
}

void answer_suspended(struct policy_answer *answer, const char *code, struct span account, const char *reason, const char *ask)
{
    char name[ANSWER_SHOWN_SIZE], why[ANSWER_SHOWN_SIZE];
    text_escape(name, sizeof name, account);
    text_escape(why, sizeof why, span_of(reason));
    answer_say(answer, POLICY_REJECT, "%saccount %s is suspended: %s; ask %s", code, name, why, ask);
}

/* "until 2026-11-24T22:15:03Z": whole seconds, the next one. */
static void until(int64_t wait_ms, char text[CLOCK_TEXT_SIZE])
{
    clock_rfc3339(clock_wall_ms() + wait_ms + 999, text);
    char *fraction = strchr(text, '.');
    if (fraction)
        text_copy(fraction, (size_t)(text + CLOCK_TEXT_SIZE - fraction), SPAN("Z"));
}

void answer_limit(struct policy_answer *answer, enum policy_verdict verdict, const char *code,
                  const struct limit_refusal *refusal)
{
    const struct conf_limit *conf = refusal->limit->conf;
    const char *count = limit_count_name(conf->count);
    char name[ANSWER_SHOWN_SIZE], key[ANSWER_SHOWN_SIZE], per[32], when[CLOCK_TEXT_SIZE];
    text_escape(name, sizeof name, span_of(conf->name));
    text_escape(key, sizeof key, span_of(refusal->key));
    values_time_print(conf->rate.per_ms, per);
    if (refusal->wait_ms == BUCKET_NEVER) {
        answer_say(answer, verdict, "%slimit %s of %s %s never allows %llu %s at once", code, name, key_name(conf->key), key,
                   (unsigned long long)refusal->n, count);
        return;
    }
    until(refusal->wait_ms, when);
    answer_say(answer, verdict, "%slimit %s of %s %s is used up: %llu %s in %s; more from %s on", code, name, key_name(conf->key),
               key, (unsigned long long)conf->rate.count, count, per, when);
}

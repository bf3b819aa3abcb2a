#include "ehlo.h"

#include "../base/text.h"

#define LIMIT_MAX 999999 /* six digits (RFC 9422 4) */

/* "SIZE", "SIZE 0": no limit (RFC 1870 4); a number beyond all bounds is none either. */
static void take_size(struct ehlo *ehlo, struct span rest)
{
    uint64_t size;
    ehlo->size_max = text_number(span_trim(rest), 0, UINT64_MAX, &size) ? size : 0;
}

/* "LIMITS RCPTMAX=20 MAILMAX=5" (RFC 9422 3). A value that is none, or 0, is no limit. */
static void take_limits(struct ehlo *ehlo, struct span rest)
{
    const struct {
        struct span name;
        uint64_t *to;
    } known[] = {
        { SPAN("MAILMAX"), &ehlo->mail_max },
        { SPAN("RCPTMAX"), &ehlo->rcpt_max },
        { SPAN("RCPTDOMAINMAX"), &ehlo->domain_max },
    };
    while (rest.n) {
        struct span value = span_cut(&rest, ' ');
        struct span name = span_cut(&value, '=');
        uint64_t number;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (span_equal_nocase(name, known[i].name) && text_number(value, 1, LIMIT_MAX, &number))
                *known[i].to = number;
    }
}

static void take_mechanisms(struct ehlo *ehlo, struct span rest)
{
    static const struct {
        struct span name;
        unsigned bit;
    } known[] = {
        { { "PLAIN", 5 }, EHLO_AUTH_PLAIN },          { { "LOGIN", 5 }, EHLO_AUTH_LOGIN },
        { { "SCRAM-SHA-256", 13 }, EHLO_AUTH_SCRAM }, { { "OAUTHBEARER", 11 }, EHLO_AUTH_OAUTHBEARER },
        { { "XOAUTH2", 7 }, EHLO_AUTH_XOAUTH2 },
    };
    while (rest.n) {
        struct span name = span_cut(&rest, ' ');
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (span_equal_nocase(name, known[i].name))
                ehlo->mechanisms |= known[i].bit;
    }
}

static const struct {
    struct span keyword;
    unsigned bit;
    void (*take)(struct ehlo *ehlo, struct span rest);
} keywords[] = {
    { { "PIPELINING", 10 }, EHLO_PIPELINING, NULL },
    { { "SIZE", 4 }, EHLO_SIZE, take_size },
    { { "8BITMIME", 8 }, EHLO_8BITMIME, NULL },
    { { "SMTPUTF8", 8 }, EHLO_SMTPUTF8, NULL },
    { { "LIMITS", 6 }, 0, take_limits },
    { { "STARTTLS", 8 }, EHLO_STARTTLS, NULL },
    { { "AUTH", 4 }, EHLO_AUTH, take_mechanisms },
    { { "DSN", 3 }, EHLO_DSN, NULL },
};

void ehlo_line(struct ehlo *ehlo, struct span line)
{
    struct span rest = line;
    struct span keyword = span_cut(&rest, ' ');
    /* "AUTH=LOGIN PLAIN" is the form of servers older than RFC 2554; some still send it beside the right one. */
    if (span_starts_nocase(keyword, SPAN("AUTH="))) {
        rest = span_skip(line, 5);
        keyword = span_head(line, 4);
    }
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (!span_equal_nocase(keyword, keywords[i].keyword))
            continue;
        ehlo->offers |= keywords[i].bit;
        if (keywords[i].take)
            keywords[i].take(ehlo, rest);
    }
}

/* Replies as receivers give them, kept as delivery keeps them, and what they mean for their site. */
#include "../../../relay/queue/meaning.h"

#include "../../../relay/base/text.h"
#include "../../../relay/smtp/reply.h"
#include "../unit.h"

static const struct conf plain;

static struct meaning meaning_of_wire(const struct conf *conf, const char *wire)
{
    struct span rest = span_of(wire);
    struct reply reply;
    char text[SMTP_REPLY_TEXT_SIZE + 8];
    reply_init(&reply);
    while (rest.n)
        assert_int_not_equal(reply_feed(&reply, span_cut(&rest, '\n')), REPLY_MALFORMED);
    text_format(text, sizeof text, "%u %s", reply.code, reply.text);
    struct cause cause = cause_make(span_of(reply.enhanced), span_of(text));
    cause.remote = true;
    return meaning_of(conf, &cause);
}

struct example {
    const char *wire;
    const char *row;
    enum meaning_about about;
    enum meaning_act act;
};

static void check(const struct conf *conf, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct meaning meaning = meaning_of_wire(conf, examples[i].wire);
        if (strcmp(meaning.row, examples[i].row) != 0 || meaning.about != examples[i].about || meaning.act != examples[i].act)
            fail_msg("%s\nfalls under %s: about %s, act %d", examples[i].wire, meaning.row, meaning_about_name(meaning.about),
                     meaning.act);
    }
}

#define SLOW  MEANING_RATE, MEANING_SLOW
#define FEWER MEANING_CONNECTIONS, MEANING_FEWER

static void what_slows_a_site(void **state)
{
    static const struct example examples[] = {
        { "421-4.7.28 [192.0.2.1      15] Our system has detected an unusual rate of\n421-4.7.28 unsolicited mail originating "
          "from "
          "your IP address. To protect our\n421-4.7.28 users from spam, mail sent from your IP address has been temporarily\n421 "
          "4.7.28 rate limited. a1si2 - gsmtp",
          "gmail-rate", SLOW },
        { "421-4.7.0 [192.0.2.1] Our system has detected an unusual rate of unsolicited\n421 4.7.0 mail. - gsmtp", "gmail-rate",
          SLOW },
        { "421 4.7.0 Try again later, closing connection. (EHLO) a1si2 - gsmtp", "gmail-busy", SLOW },
        { "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery "
          "information, see https://postmaster.live.com (S775)",
          "outlook-rate", SLOW },
        { "421 RP-001 (SNT004-MC1F1) Unfortunately, some messages from 192.0.2.1 weren't sent. Please try again. We have limits "
          "for how many messages can be sent per hour and per day.",
          "outlook-rate", SLOW },
        { "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719) [x.prod.protection.outlook.com]",
          "outlook-busy", SLOW },
        { "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - "
          "4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
          "yahoo-volume", SLOW },
        { "450 4.7.1 <bob@there.example>: Recipient address rejected: Error: too much mail from 192.0.2.1", "postfix-rate",
          SLOW },
        { "450 4.7.1 Error: too much mail from 192.0.2.1", "postfix-rate", SLOW },
        { "421 4.3.2 Connection rate limit exceeded.", "sendmail-rate", SLOW },
        { "451 4.7.1 Ratelimit \"user\" exceeded", "rate", SLOW },
        { "421 Too many messages have been received in a short period of time", "rate", SLOW },
        { "450 too fast, slow down please", "rate", SLOW },
        { "550 5.7.1 Rate limit exceeded for 192.0.2.1", "rate", SLOW },
        { "421 mx.there.example Service busy, try again later", "busy", SLOW },
    };
    (void)state;
    check(&plain, examples, COUNT(examples));
}

static void what_takes_connections(void **state)
{
    static const struct example examples[] = {
        { "421 4.7.0 mx.there.example Error: too many connections from 192.0.2.1", "too-many-connections", FEWER },
        { "421 Too many concurrent SMTP connections from this IP address; please try again later.", "exim-connections", FEWER },
        { "421 4.3.2 Too many open connections.", "sendmail-connections", FEWER },
        { "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
          "exchange-connections", FEWER },
        { "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
          "outlook-connections", FEWER },
        { "421 mwinf5c21 ME Trop de connexions, veuillez verifier votre configuration. Too many connections, slow down. "
          "OFR004_104 [104]",
          "too-many-connections", FEWER },
    };
    (void)state;
    check(&plain, examples, COUNT(examples));
}

static void what_lets_a_site_rest(void **state)
{
    static const struct example examples[] = {
        { "421 4.7.1 [TS03] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
          "yahoo-deferred", MEANING_RATE, MEANING_REST },
        { "452 4.3.1 Insufficient system storage", "storage", MEANING_SITE, MEANING_REST },
        { "452 Insufficient system storage", "storage", MEANING_SITE, MEANING_REST },
    };
    (void)state;
    check(&plain, examples, COUNT(examples));
}

static void what_is_about_one_only(void **state)
{
    static const struct example examples[] = {
        { "450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n450-4.2.1 prevents additional messages "
          "from being delivered. - gsmtp",
          "recipient-rate", MEANING_RECIPIENT, MEANING_NOTHING },
        { "421-4.7.0 [192.0.2.1] Our system has detected that this message is\n421-4.7.0 suspicious due to the very low "
          "reputation of the sending IP address.\n421 4.7.0 To protect our users from spam, mail sent from your IP was blocked. "
          "- gsmtp",
          "spam", MEANING_ACCOUNT, MEANING_NOTHING },
        { "554 5.7.1 Message rejected under suspicion of SPAM", "spam", MEANING_ACCOUNT, MEANING_NOTHING },
        { "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example", "listed", MEANING_ACCOUNT,
          MEANING_NOTHING },
        { "450 4.2.0 <bob@there.example>: Recipient address rejected: Greylisted, try again later", "greylisting", MEANING_POLICY,
          MEANING_NOTHING },
        { "452 4.5.3 Too many recipients", "recipients", MEANING_POLICY, MEANING_NOTHING },
        { "550 5.1.1 No such user", "recipient", MEANING_RECIPIENT, MEANING_NOTHING },
        { "452 4.2.2 Mailbox full", "recipient", MEANING_RECIPIENT, MEANING_NOTHING },
        { "552 5.3.4 Message too big", "content", MEANING_CONTENT, MEANING_NOTHING },
        { "450 4.7.1 Client host rejected: cannot find your hostname", "policy", MEANING_POLICY, MEANING_NOTHING },
        { "421 4.3.2 Service shutting down", "stopping", MEANING_SITE, MEANING_NOTHING },
        { "451 later, perhaps", "", MEANING_UNKNOWN, MEANING_NOTHING },
    };
    (void)state;
    check(&plain, examples, COUNT(examples));
}

static void own_phrases_come_first(void **state)
{
    static char come[] = "come back in a minute", rest[] = "closed for today", ignore[] = "4.7.1 too much mail";
    static char *slow_phrases[] = { come }, *rest_phrases[] = { rest }, *ignore_phrases[] = { ignore };
    struct conf conf = { 0 };
    static const struct example examples[] = {
        { "451 Come back in a minute", "slow-phrases", SLOW },
        { "451 4.2.1 we are closed for today", "rest-phrases", MEANING_SITE, MEANING_REST },
        { "450 4.7.1 Error: too much mail from 192.0.2.1", "ignore-phrases", MEANING_POLICY, MEANING_NOTHING },
        { "450 4.7.0 Error: too much mail from 192.0.2.1", "postfix-rate", SLOW },
    };
    (void)state;
    conf.delivery.slow_phrases = (struct conf_strings){ slow_phrases, 1 };
    conf.delivery.rest_phrases = (struct conf_strings){ rest_phrases, 1 };
    conf.delivery.ignore_phrases = (struct conf_strings){ ignore_phrases, 1 };
    check(&conf, examples, COUNT(examples));
}

static void our_own_words_mean_nothing(void **state)
{
    struct cause cause = cause_make(SPAN("4.4.2"), SPAN("there.example: too many connections while connecting"));
    (void)state;
    assert_string_equal(meaning_of(&plain, &cause).row, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_slows_a_site),      cmocka_unit_test(what_takes_connections),
        cmocka_unit_test(what_lets_a_site_rest),  cmocka_unit_test(what_is_about_one_only),
        cmocka_unit_test(own_phrases_come_first), cmocka_unit_test(our_own_words_mean_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Replies as large receivers and common filters give them, taken through the parser that delivery uses. */
#include "../../../policy/reply.h"

#include "../../../relay/base/text.h"
#include "../../../relay/smtp/reply.h"
#include "../../../relay/smtp/wording.h"
#include "../unit.h"
#include "settings.h"

static const struct conf plain_conf;

/* What policy makes of WIRE, a reply with LF between its lines, kept as delivery keeps it (relay/delivery/reason.h). */
static enum reply_kind kind_of(const struct conf *conf, const char *wire)
{
    struct span rest = span_of(wire);
    struct reply reply;
    char text[SMTP_REPLY_TEXT_SIZE + 8], enhanced[SMTP_ENHANCED_SIZE];
    bool permanent = wire[0] == '5';
    reply_init(&reply);
    while (rest.n)
        assert_int_not_equal(reply_feed(&reply, span_cut(&rest, '\n')), REPLY_MALFORMED);
    text_format(text, sizeof text, "%u %s", reply.code, reply.text);
    text_copy(enhanced, sizeof enhanced, reply.enhanced[0] ? span_of(reply.enhanced) : permanent ? SPAN("5.0.0") : SPAN("4.0.0"));
    return reply_kind(conf, permanent, span_of(enhanced), span_of(text));
}

struct example {
    const char *wire;
    enum reply_kind kind;
};

static void check(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kind_of(&plain_conf, examples[i].wire) != examples[i].kind)
            fail_msg("%s\nis taken for kind %d", examples[i].wire, kind_of(&plain_conf, examples[i].wire));
}

static void large_receivers(void **state)
{
    static const struct example examples[] = {
        { "550-5.7.1 [192.0.2.1      12] Our system has detected that this message is\n550-5.7.1 likely unsolicited mail. To "
          "reduce the "
          "amount of spam sent to Gmail,\n550-5.7.1 this message has been blocked. Please visit\n550-5.7.1  "
          "https://support.google.com/mail/?p=UnsolicitedMessageError\n550 5.7.1  for more information. a1si2 - gsmtp",
          REPLY_SPAM },
        { "550-5.7.1 [192.0.2.1 12] Gmail has detected that this message is likely\n550 5.7.1 unsolicited mail. a1si2 - gsmtp",
          REPLY_SPAM },
        { "421-4.7.28 [192.0.2.1      15] Our system has detected an unusual rate of\n421-4.7.28 unsolicited mail originating "
          "from your "
          "IP address. To protect our\n421-4.7.28 users from spam, mail sent from your IP address has been temporarily\n421 "
          "4.7.28 rate "
          "limited. a1si2 - gsmtp",
          REPLY_SPAM },
        { "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n421-4.7.28 from your SPF domain "
          "[example.net "
          "35]. To protect our users from spam,\n421 4.7.28 mail sent from your domain has been temporarily rate limited. - "
          "gsmtp",
          REPLY_SPAM },
        { "421-4.7.0 [192.0.2.1] Our system has detected that this message is\n421-4.7.0 suspicious due to the very low "
          "reputation of the "
          "sending IP address.\n421 4.7.0 To protect our users from spam, mail sent from your IP was blocked. - gsmtp",
          REPLY_SPAM },
        { "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the "
          "recipient's email "
          "address for typos or\n550-5.1.1 unnecessary spaces. For more information, go to\n550 5.1.1  "
          "https://support.google.com/mail/?p=NoSuchUser a1si2 - gsmtp",
          REPLY_UNKNOWN },
        { "550-5.2.1 The email account that you tried to reach is inactive. For more\n550 5.2.1 information, go to "
          "https://support.google.com/mail/?p=DisabledUser - gsmtp",
          REPLY_UNKNOWN },
        { "550-5.2.1 The user you are trying to contact is receiving mail at a rate that\n550 5.2.1 prevents additional messages "
          "from "
          "being delivered. - gsmtp",
          REPLY_OTHER },
        { "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n452 4.2.2 recipient to "
          "https://support.google.com/mail/?p=OverQuotaTemp - gsmtp",
          REPLY_OTHER },
        { "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders "
          "to "
          "authenticate with either SPF or DKIM.\n550-5.7.26  DKIM = did not pass\n550 5.7.26  SPF [example.net] with ip: "
          "[192.0.2.1] = "
          "did not pass - gsmtp",
          REPLY_OTHER },
        { "550-5.7.25 [192.0.2.1] The IP address sending this message does not have a\n550 5.7.25 PTR record setup. - gsmtp",
          REPLY_OTHER },
        { "421 4.7.0 Try again later, closing connection. (EHLO) a1si2 - gsmtp", REPLY_OTHER },
        { "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit "
          "https://sender.office.com/ and follow the directions. AS(1430)",
          REPLY_SPAM },
        { "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since "
          "part of "
          "their network is on our block list (S3140). You can also refer your provider to "
          "http://mail.live.com/mail/troubleshooting.aspx#errors.",
          REPLY_SPAM },
        { "550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus. To request removal from this list see "
          "https://www.spamhaus.org/query/ip/192.0.2.1 (AS16012611)",
          REPLY_SPAM },
        { "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation. For e-mail delivery "
          "information, "
          "see https://postmaster.live.com (S775)",
          REPLY_SPAM },
        { "550 5.7.501 Access denied, spam abuse detected. AS(1000)", REPLY_SPAM },
        { "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [x.protection.outlook.com]", REPLY_UNKNOWN },
        { "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", REPLY_UNKNOWN },
        { "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", REPLY_UNKNOWN },
        { "550 5.7.509 Access denied, sending domain EXAMPLE.NET does not pass DMARC verification and has a DMARC policy of "
          "reject.",
          REPLY_OTHER },
        { "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - "
          "4.16.55.1; see "
          "https://postmaster.yahooinc.com/error-codes",
          REPLY_SPAM },
        { "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list; see "
          "https://postmaster.yahooinc.com/error-codes",
          REPLY_SPAM },
        { "554 Message not allowed - [PH01] Email not accepted for policy reasons. Please visit "
          "https://postmaster.yahooinc.com/error-codes",
          REPLY_SPAM },
        { "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", REPLY_OTHER },
        { "552 1 Requested mail action aborted, mailbox not found", REPLY_UNKNOWN },
        { "554 delivery error: dd This user doesn't have a yahoo.com account (bob@yahoo.com) [0] - mta1.mail.ne1.yahoo.com",
          REPLY_UNKNOWN },
        { "554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137",
          REPLY_SPAM },
        { "552 5.2.2 <bob@icloud.com>: user is over quota", REPLY_OTHER },
        { "553 5.3.0 flph825 DNSBL:RBL 521< 192.0.2.1 >_is_blocked.For assistance forward this email to abuse_rbl@abuse-att.net",
          REPLY_SPAM },
        { "554-mx.comcast.example 192.0.2.1 found on one or more DNSBLs\n554 see http://postmaster.comcast.net", REPLY_SPAM },
    };
    (void)state;
    check(examples, COUNT(examples));
}

static void european_receivers(void **state)
{
    static const struct example examples[] = {
        { "554-gmx.net (mxgmx008) Nemesis ESMTP Service not available\n554-No SMTP service\n554-IP address is block listed.\n554 "
          "For "
          "explanation visit https://postmaster.gmx.net/de/case?c=r0301&i=ip&v=192.0.2.1",
          REPLY_SPAM },
        { "554-web.de (mxweb111) Nemesis ESMTP Service not available\n554-No SMTP service\n554-Bad DNS PTR resource record.\n554 "
          "For "
          "explanation visit http://postmaster.web.de/error-messages?ip=192.0.2.1&c=rdns",
          REPLY_OTHER },
        { "550-Requested action not taken: mailbox unavailable\n550 For explanation visit "
          "http://postmaster.gmx.com/en/error-messages",
          REPLY_UNKNOWN },
        { "554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.) "
          "(BL)",
          REPLY_SPAM },
        { "554 IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help or to contact tosa@rx.t-online.de for reset. "
          "(NOWL)",
          REPLY_OTHER },
        { "550 user unknown", REPLY_UNKNOWN },
        { "550 spam message rejected. Please visit http://help.mail.ru/notspam-support/id?c=x or  report details to "
          "abuse@corp.mail.ru. "
          "Error code: BA35",
          REPLY_SPAM },
        { "550 Message was not accepted -- invalid mailbox.  Local mailbox bob@mail.ru is unavailable: user not found",
          REPLY_UNKNOWN },
        { "554 5.7.1 [1] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1606-x", REPLY_SPAM },
        { "550 5.7.1 No such user! 1606-x", REPLY_UNKNOWN },
        { "550 5.7.1 Mail rejete. Mail rejected. OFR_506 [506]", REPLY_SPAM },
        { "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", REPLY_UNKNOWN },
        { "554 5.7.1 DT:SPM 163 mx1,x please see http://mail.163.com/help/help_spam_16.htm", REPLY_SPAM },
    };
    (void)state;
    check(examples, COUNT(examples));
}

static void servers_and_filters(void **state)
{
    static const struct example examples[] = {
        { "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; "
          "https://www.spamhaus.org/query/ip/192.0.2.1",
          REPLY_SPAM },
        { "550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.1 is blacklisted using SPAMHAUS-XBL.", REPLY_SPAM },
        { "550 permanent failure for one or more recipients (bob@example.com:blocked)", REPLY_SPAM },
        { "550 permanent failure for one or more recipients (bob@example.com:550 5.1.1 User unknown)", REPLY_UNKNOWN },
        { "554 Service unavailable; Client host [mx.example.net] blocked using Barracuda Reputation; "
          "http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.1",
          REPLY_SPAM },
        { "554 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1", REPLY_SPAM },
        { "554 5.7.1 Message blocked due to spam content in the message.", REPLY_SPAM },
        { "554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554 [x]", REPLY_SPAM },
        { "550 csi.mimecast.org Poor Reputation Sender. - https://community.mimecast.com/docs/DOC-1369#550 [x]", REPLY_SPAM },
        { "550 Rejected by header based Anti-Spoofing policy: alice@example.net - https://community.mimecast.com/docs",
          REPLY_OTHER },
        { "451 Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451 [x]",
          REPLY_OTHER },
        { "554-mx.example.com\n554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
          REPLY_SPAM },
        { "550 JunkMail rejected - mx.example.net [192.0.2.1]:39153 is in an RBL", REPLY_SPAM },
        { "550 This message scored 15.3 spam points.", REPLY_SPAM },
        { "554 5.7.0 Reject, id=00123-01 - spam", REPLY_SPAM },
        { "450 4.7.1 <bob@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help",
          REPLY_OTHER },
        { "451 4.7.1 Greylisting in action, to fight spam; please come back later", REPLY_OTHER },
        { "451 4.3.0 Temporary spam check failure, try again later", REPLY_OTHER },
        { "421 4.7.1 Service unavailable; Client host [192.0.2.1] blocked using grey.rbl", REPLY_OTHER },
        { "554 5.7.1 <bob@example.com>: Relay access denied", REPLY_OTHER },
        { "550 5.7.1 Unable to relay for bob@example.com", REPLY_OTHER },
        { "550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in virtual mailbox table", REPLY_UNKNOWN },
        { "450 4.1.1 <bob@example.com>: Recipient address rejected: unverified address: user unknown", REPLY_OTHER },
        { "450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", REPLY_OTHER },
        { "553 5.1.8 <a@b.example>... Domain of sender address a@b.example does not exist", REPLY_OTHER },
        { "550-Verification failed for <a@b.example>\n550-No Such User Here\n550 Sender verify failed", REPLY_OTHER },
        { "550 5.1.2 the domain does not exist", REPLY_UNKNOWN },
        { "550 5.1.3 bad address syntax", REPLY_UNKNOWN },
        { "550 5.1.6 mailbox has moved", REPLY_UNKNOWN },
        { "550 5.1.0 Address rejected.", REPLY_OTHER },
        { "550 sorry, no mailbox here by that name (#5.1.1 - chkuser)", REPLY_UNKNOWN },
        { "550 No Such User Here", REPLY_UNKNOWN },
        { "550-5.1.1 we do not know him\n550 sorry", REPLY_UNKNOWN },
        { "552 5.2.2 Mailbox full", REPLY_OTHER },
        { "550 Mailbox is full / user unknown", REPLY_OTHER },
        { "550 5.7.1 SPF check failed: spam?", REPLY_OTHER },
        { "550 5.7.1 http://www.openspf.org/Why?s=mfrom;id=alice%40example.net;ip=192.0.2.1", REPLY_OTHER },
        { "550 5.7.1 Message rejected due to DMARC policy of example.net", REPLY_OTHER },
        { "550 5.7.1 Blocked", REPLY_OTHER },
        { "550 5.7.1 Requested action not taken: mailbox unavailable", REPLY_OTHER },
        { "550 5.7.1 Blacklisted by recipient", REPLY_OTHER },
        { "552 5.3.4 Message size exceeds fixed limit", REPLY_OTHER },
        { "451 4.3.0 Internal server error", REPLY_OTHER },
        { "550", REPLY_OTHER },
    };
    (void)state;
    check(examples, COUNT(examples));
}

/* Who is written to chooses the address, and its words mean nothing. */
static void addresses_are_no_words(void **state)
{
    static const struct example examples[] = {
        { "550 5.1.1 <spam@blacklisted.example>: Recipient address rejected: User unknown", REPLY_UNKNOWN },
        { "452 4.5.3 spamhaus@rbl.example: too many recipients", REPLY_OTHER },
        { "550 5.7.1 <user.unknown@spam.example> not now", REPLY_OTHER },
        { "550 5.7.1 no antispam here, nospam", REPLY_OTHER },
    };
    (void)state;
    check(examples, COUNT(examples));
}

static void phrases_can_be_added(void **state)
{
    struct conf conf = { .policy = { .spam_phrases =
                                         SETTINGS_TEXTS(settings_text("refused by our filter"), settings_text("5.7.350"),
                                                        settings_text("5.1.1 not from you")),
                                     .unknown_phrases = SETTINGS_TEXTS(settings_text("nobody of that name")) } };
    (void)state;
    assert_int_equal(kind_of(&conf, "550 5.7.1 Refused\n"), REPLY_OTHER);
    assert_int_equal(kind_of(&conf, "550-5.7.1 REFUSED by our\n550 5.7.1 Filter"), REPLY_SPAM);
    assert_int_equal(kind_of(&conf, "451 refused by our filter"), REPLY_SPAM);
    assert_int_equal(kind_of(&conf, "550 refused by our filters"), REPLY_OTHER);
    assert_int_equal(kind_of(&conf, "550 5.7.350 go away"), REPLY_SPAM);
    assert_int_equal(kind_of(&conf, "550 5.7.35 go away"), REPLY_OTHER);
    assert_int_equal(kind_of(&conf, "550 5.1.1 not from you"), REPLY_SPAM);
    assert_int_equal(kind_of(&conf, "550 5.1.2 not from you"), REPLY_UNKNOWN);
    assert_int_equal(kind_of(&conf, "550 Nobody of that name"), REPLY_UNKNOWN);
    assert_int_equal(kind_of(&conf, "450 Nobody of that name"), REPLY_OTHER);
}

/* Any bytes, any length: what lies behind the bound is not looked at. */
static void odd_texts(void **state)
{
    char text[WORDING_TEXT_MAX + 40];
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 12, " user unknown", 12);
    assert_int_equal(reply_kind(&plain_conf, true, SPAN(""), span_make(text, sizeof text)), REPLY_OTHER);
    memset(text, '@', sizeof text);
    assert_int_equal(reply_kind(&plain_conf, true, SPAN(""), span_make(text, sizeof text)), REPLY_OTHER);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = " / 5.7.1 "[i % 9];
    assert_int_equal(reply_kind(&plain_conf, true, SPAN("5.7.1"), span_make(text, sizeof text)), REPLY_OTHER);
    static const char odd[] = " / 5.7.1 / \0\xff@ /";
    for (size_t n = 0; n < sizeof odd; n++)
        assert_int_equal(reply_kind(&plain_conf, false, SPAN("4.0.0"), span_make(odd, n)), REPLY_OTHER);
    assert_int_equal(reply_kind(&plain_conf, true, SPAN(""), SPAN("")), REPLY_OTHER);
    assert_int_equal(reply_kind(&plain_conf, true, SPAN("5.1.1"), SPAN("")), REPLY_UNKNOWN);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_receivers),        cmocka_unit_test(european_receivers),   cmocka_unit_test(servers_and_filters),
        cmocka_unit_test(addresses_are_no_words), cmocka_unit_test(phrases_can_be_added), cmocka_unit_test(odd_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

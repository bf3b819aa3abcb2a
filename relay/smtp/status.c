/* What a code means to somebody whose mail came back (RFC 3463, and the registry of RFC 5248). The words name no side of the
 * fault that the code does not name: "the address was refused", not "you mistyped". They are one sentence each, to stand behind
 * "This means:".
 *
 * Servers invent codes, use them for something else, or put numbers that only look like one in front of their text; so a code is
 * taken only where one stands (status_find), its meaning falls back from detail to subject to class, and the server's own words
 * are always shown beside it. Nothing is decided by the words. */
#include "status.h"

/* CODE is compared part by part: "x" stands for any class, and what is left out at the end for anything. The first row that fits
 * counts. */
struct meaning {
    const char *code;
    const char *words;
};

static const struct meaning meanings[] = {
    { "x.1.0", "the address was refused" },
    { "x.1.1", "the mailbox does not exist there" },
    { "x.1.2", "the domain does not exist or cannot be reached by mail" },
    { "x.1.3", "the address is not written correctly" },
    { "x.1.4", "the address fits several mailboxes" },
    { "x.1.5", "the address is valid" },
    { "x.1.6", "the mailbox has moved and left no new address" },
    { "x.1.7", "the sender's address is not written correctly" },
    { "x.1.8", "the sender's domain does not exist or takes no mail" },
    { "x.1.10", "the domain takes no mail at all" },
    { "x.1", "there is a problem with the address" },
    { "x.2.1", "the mailbox is switched off and takes no mail" },
    { "x.2.2", "the mailbox is full" },
    { "x.2.3", "the message is larger than this mailbox takes" },
    { "x.2.4", "the mailing list could not be expanded" },
    { "x.2", "there is a problem with the recipient's mailbox" },
    { "x.3.1", "the receiving server has no room" },
    { "x.3.2", "the receiving server takes no mail at this time" },
    { "x.3.3", "the receiving server lacks something that this message needs" },
    { "x.3.4", "the message is too large for the receiving server" },
    { "x.3.5", "the receiving server is not set up correctly" },
    { "x.3", "there is a problem with the receiving server" },
    { "x.4.1", "the receiving server does not answer" },
    { "x.4.2", "the connection to the receiving server broke or was too slow" },
    { "x.4.3", "the domain's name service does not answer" },
    { "x.4.4", "no way to the receiving server was found" },
    { "x.4.5", "the receiving server is overloaded" },
    { "x.4.6", "the mail goes round in a circle" },
    { "x.4.7", "the message could not be delivered in time" },
    { "x.4", "there is a problem with the way to the receiving server" },
    { "x.5.0", "the receiving server answered against the protocol" },
    { "x.5.1", "the receiving server does not take this command now" },
    { "x.5.2", "the receiving server did not understand a command" },
    { "x.5.3", "the message has more recipients than the receiving server takes" },
    { "x.5.4", "the receiving server does not take a command as it was given" },
    { "x.5", "the receiving server and this one did not understand each other" },
    { "x.6.1", "the receiving server does not take this kind of content" },
    { "x.6.3", "the content would have to be converted, and cannot be" },
    { "x.6.7", "the address has letters beyond ASCII, which the receiving server does not take" },
    { "x.6.8", "the answer has letters beyond ASCII, which cannot be passed on" },
    { "x.6.9", "the content has letters beyond ASCII, which the receiving server does not take" },
    { "x.6", "there is a problem with the message's content" },
    { "4.7.0", "the receiving server holds back mail for now, for reasons of its own" },
    { "x.7.1", "the receiving server does not take this message from this sender" },
    { "x.7.2", "the sender may not write to this mailing list" },
    { "x.7.5", "the encryption that was asked for could not be had" },
    { "x.7.8", "the user name or password was wrong" },
    { "x.7.9", "the way of logging in is too weak" },
    { "x.7.10", "the connection has to be encrypted first" },
    { "x.7.11", "logging in takes an encrypted connection" },
    { "x.7.13", "the account is switched off" },
    { "x.7.16", "the message is of lower priority than is taken now" },
    { "x.7.20", "the message has no DKIM signature that the receiving server accepts" },
    { "x.7.21", "the message has no DKIM signature that the receiving server accepts" },
    { "x.7.22", "the message has no DKIM signature of its author's domain" },
    { "x.7.23", "the sender's domain does not name this server as one of its own (SPF)" },
    { "x.7.24", "the sender's domain could not be checked (SPF)" },
    { "x.7.25", "this server's address has no name that leads back to it (reverse DNS)" },
    { "x.7.26", "the message failed several checks of where it comes from" },
    { "x.7.27", "the sender's domain takes no mail itself" },
    { "x.7.28", "too much mail of this kind has come lately" },
    { "x.7.30", "the connection has to be encrypted" },
    { "x.7", "the receiving server refused the message by its rules" },
    { "2", "the message was delivered" },
    { "4", "the delivery failed for now" },
    { "5", "the delivery failed for good" },
};

#define MEANINGS      (sizeof meanings / sizeof meanings[0])
#define NUMBER_DIGITS 3 /* of subject and detail */
#define NO_MEANING    "the receiving server gave no reason that is known here"

/* How long the number at the front of TEXT is: 0 to 999 without needless zeros; 0 where there is none. */
static size_t number_length(struct span text)
{
    size_t n = 0;
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    return n > NUMBER_DIGITS || (n > 1 && text.p[0] == '0') ? 0 : n;
}

/* Behind a code that goes on like this there is no code: "5.1.1.1" is an address, "4.4.2b" a version. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-';
}

struct span status_find(struct span text)
{
    size_t at = 1;
    if (text.n < 5 || (text.p[0] != '2' && text.p[0] != '4' && text.p[0] != '5'))
        return SPAN("");
    for (unsigned part = 0; part < 2; part++) {
        if (at == text.n || text.p[at] != '.')
            return SPAN("");
        size_t n = number_length(span_skip(text, at + 1));
        if (!n)
            return SPAN("");
        at += 1 + n;
    }
    return at < text.n && is_word(text.p[at]) ? SPAN("") : span_head(text, at);
}

/* Does ENHANCED fall under CODE of a row? */
static bool falls_under(struct span enhanced, struct span code)
{
    while (code.n) {
        struct span wanted = span_cut(&code, '.'), part = span_cut(&enhanced, '.');
        if (!span_equal(wanted, part) && !span_equal(wanted, SPAN("x")))
            return false;
    }
    return true;
}

const char *status_meaning(struct span enhanced)
{
    for (size_t i = 0; i < MEANINGS && status_find(enhanced).n; i++)
        if (falls_under(status_find(enhanced), span_of(meanings[i].code)))
            return meanings[i].words;
    return NO_MEANING;
}

/* One transaction: MAIL, RCPT, DATA, the content, and the reply to its final dot (RFC 5321 3.3).
 *
 * Where the server offers PIPELINING, MAIL, all RCPT and DATA leave in one write and the replies are taken one by one as if they had
 * been asked for singly; never more than that: the content waits for the 354 (RFC 2920 3.1). That can bring a 354 although no
 * recipient is left; then the message is ended at once by a lone dot.
 *
 * A server may say that it takes only so many recipients in a transaction (RFC 9422), or refuse the next one for it: then the others are in
 * the next, with the same message once more, over the same connection; or over another one, where this one has had its share.
 *
 * Each recipient is settled as soon as its fate is known: refused at MAIL or RCPT, else by the reply to DATA or the dot. What is
 * still open when the connection breaks is settled by the owner, as temporary. A transaction that did not reach the dot is cleared
 * with RSET before the next. */
#include "session.h"

#include "../base/buffer.h"
#include "../base/map.h"
#include "../base/text.h"
#include "../smtp/address.h"
#include "quota.h"

#define POST_DATA_GO_AHEAD 354
#define XTEXT_MAX          2048 /* an encoded ENVID or ORCPT: three bytes for one */

/* What it means that the server has not offered something: an EHLO that broke may have been an accident, and the next one may tell. */
static enum delivery_verdict lacking(const struct client *client)
{
    return client->setup.helo_unsure ? DELIVERY_TEMPORARY : DELIVERY_PERMANENT;
}

/* Settles recipient I, for whom the server lacks something. */
static void settle_lacking(struct client *client, unsigned i, const struct reason *reason)
{
    transaction_settle(client->transaction, i, lacking(client), reason);
    client->doubted = client->doubted || client->setup.helo_unsure;
}

/* May this server have the message at all? If not, what to say to the sender. */
static bool fits(const struct client *client, struct reason *ret_reason)
{
    const struct transaction *transaction = client->transaction;
    const struct envelope *envelope = &transaction->envelope;
    const struct ehlo *ehlo = &client->ehlo;
    const char *host = client->setup.host;
    uint64_t size = body_size(&transaction->body);
    if (ehlo->size_max && size > ehlo->size_max) {
        reason_local(ret_reason, "5.3.4", "the message has %llu bytes, %s takes at most %llu", (unsigned long long)size, host,
                     (unsigned long long)ehlo->size_max);
        return false;
    }
    if (!(envelope->flags & ENVELOPE_8BIT) || (ehlo->offers & EHLO_8BITMIME) || !body_is_8bit(&transaction->body))
        return true;
    reason_local(ret_reason, lacking(client) == DELIVERY_TEMPORARY ? "4.6.3" : "5.6.3",
                 "the message has 8-bit characters, which %s does not take (no 8BITMIME)", host);
    return false;
}

/* Has the message something that only SMTPUTF8 allows beside the address of a recipient: the sender, or its header? The header of
 * an 8-bit message that came with SMTPUTF8 is taken to need it. */
static bool message_needs_utf8(const struct envelope *envelope)
{
    return (envelope->flags & ENVELOPE_SMTPUTF8) &&
           (!span_is_ascii(span_of(envelope->sender)) || (envelope->flags & ENVELOPE_8BIT));
}

/* Settles the recipients that need SMTPUTF8 where the server lacks it (RFC 6531 3.2). */
static void settle_utf8(struct client *client)
{
    struct transaction *transaction = client->transaction;
    bool message = message_needs_utf8(&transaction->envelope);
    struct reason reason;
    if (client->ehlo.offers & EHLO_SMTPUTF8)
        return;
    reason_local(&reason, lacking(client) == DELIVERY_TEMPORARY ? "4.6.7" : "5.6.7",
                 "the message or its address is internationalized, which %s does not take (no SMTPUTF8)", client->setup.host);
    for (unsigned i = 0; i < transaction->count; i++)
        if (message || !span_is_ascii(span_of(transaction_address(transaction, i))))
            settle_lacking(client, i, &reason);
}

/* The first recipient from I on that is to be named to the server; `count` where none is left. */
static unsigned find_sent(const struct transaction *transaction, unsigned i)
{
    while (i < transaction->count && !transaction->recipients[i].sent)
        i++;
    return i;
}

/* May recipients of the domain of ADDRESS be named in this session? If so, the domain counts. */
static bool admits_domain(struct client *client, const char *address)
{
    if (!client->ehlo.domain_max)
        return true;
    uint64_t hash = map_hash(address_domain(span_of(address)));
    for (unsigned i = 0; i < client->domains; i++)
        if (client->domain_hashes[i] == hash)
            return true;
    if (!client->domain_hashes)
        client->domain_hashes = text_zalloc(SESSION_DOMAINS_MAX * sizeof *client->domain_hashes);
    if (client->domains == SESSION_DOMAINS_MAX || client->domains >= client->ehlo.domain_max)
        return false;
    client->domain_hashes[client->domains++] = hash;
    return true;
}

/* Chooses whom to name in the next transaction: all that are open, as far as the server's limits go. */
static void choose(struct client *client)
{
    struct transaction *transaction = client->transaction;
    uint64_t room = client->ehlo.rcpt_max ? client->ehlo.rcpt_max : transaction->count;
    for (unsigned i = 0; i < transaction->count; i++) {
        struct transaction_recipient *recipient = &transaction->recipients[i];
        recipient->sent = !recipient->settled && room && admits_domain(client, transaction_address(transaction, i));
        room -= recipient->sent;
    }
    client->at = find_sent(transaction, 0);
}

static enum stage spent(struct client *client)
{
    struct reason reason;
    reason_local(&reason, "4.5.3", "%s takes no more in one session", client->setup.host);
    return client_end(client, CLIENT_SPENT, &reason);
}

enum stage post_begin(struct client *client)
{
    struct transaction *transaction = client->transaction;
    struct reason reason;
    bool taken = fits(client, &reason);
    for (unsigned i = 0; i < transaction->count && !taken; i++)
        settle_lacking(client, i, &reason);
    if (taken)
        settle_utf8(client);
    choose(client);
    client->pipelined = client->ehlo.offers & EHLO_PIPELINING;
    body_rewind(&transaction->body);
    if (!transaction->open)
        return STAGE_READY;
    return client_is_spent(client) || client->at == transaction->count ? spent(client) : STAGE_MAIL;
}

/* Does anything of this transaction need the SMTPUTF8 parameter? */
static bool uses_utf8(const struct transaction *transaction)
{
    if (!(transaction->envelope.flags & ENVELOPE_SMTPUTF8))
        return false;
    bool needed = message_needs_utf8(&transaction->envelope);
    for (unsigned i = 0; !needed && i < transaction->count; i++)
        needed = transaction->recipients[i].sent && !span_is_ascii(span_of(transaction_address(transaction, i)));
    return needed;
}

static void write_text(struct client *client, const char *text)
{
    stream_write(client->stream, span_of(text));
}

static void write_xtext(struct client *client, struct span text)
{
    struct buffer encoded;
    buffer_init(&encoded, XTEXT_MAX);
    command_xtext_encode(text, &encoded);
    stream_write(client->stream, buffer_span(&encoded));
    buffer_fini(&encoded);
}

/* What the sender wants of reports, as it was said to us (RFC 3461 5.2.1): from here on it is the next server's to obey. */
static void write_mail_dsn(struct client *client, const struct envelope *envelope)
{
    static const char *const rets[] = { [COMMAND_RET_FULL] = " RET=FULL", [COMMAND_RET_HEADERS] = " RET=HDRS" };
    if (envelope->ret < sizeof rets / sizeof *rets && rets[envelope->ret])
        write_text(client, rets[envelope->ret]);
    if (!envelope->envid[0])
        return;
    write_text(client, " ENVID=");
    write_xtext(client, span_of(envelope->envid));
}

static void write_notify(struct client *client, unsigned notify)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = { { COMMAND_NOTIFY_NEVER, "NEVER" },
                  { COMMAND_NOTIFY_SUCCESS, "SUCCESS" },
                  { COMMAND_NOTIFY_FAILURE, "FAILURE" },
                  { COMMAND_NOTIFY_DELAY, "DELAY" } };
    const char *before = " NOTIFY=";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!(notify & words[i].bit))
            continue;
        write_text(client, before);
        write_text(client, words[i].word);
        before = ",";
    }
}

static void write_rcpt_dsn(struct client *client, const struct envelope_recipient *recipient)
{
    struct span address = span_of(recipient->orcpt);
    write_notify(client, recipient->notify);
    if (!address.n)
        return;
    size_t type = span_find(address, ';') + 1;
    write_text(client, " ORCPT=");
    stream_write(client->stream, span_head(address, type));
    write_xtext(client, span_skip(address, type));
}

static void write_mail(struct client *client)
{
    const struct transaction *transaction = client->transaction;
    const struct ehlo *ehlo = &client->ehlo;
    char size[32];
    write_text(client, "MAIL FROM:<");
    write_text(client, transaction->envelope.sender);
    write_text(client, ">");
    if (ehlo->offers & EHLO_SIZE) {
        text_format(size, sizeof size, " SIZE=%llu", (unsigned long long)body_size(&transaction->body));
        write_text(client, size);
    }
    if (ehlo->offers & EHLO_8BITMIME && transaction->envelope.flags & ENVELOPE_8BIT)
        write_text(client, " BODY=8BITMIME");
    if (ehlo->offers & EHLO_SMTPUTF8 && uses_utf8(transaction))
        write_text(client, " SMTPUTF8");
    if (ehlo->offers & EHLO_DSN)
        write_mail_dsn(client, &transaction->envelope);
    write_text(client, "\r\n");
}

static void write_rcpt(struct client *client, unsigned i)
{
    const struct transaction *transaction = client->transaction;
    write_text(client, "RCPT TO:<");
    write_text(client, transaction_address(transaction, i));
    write_text(client, ">");
    if (client->ehlo.offers & EHLO_DSN)
        write_rcpt_dsn(client, &transaction->envelope.recipients[transaction->recipients[i].index]);
    write_text(client, "\r\n");
}

static enum stage mail_perform(struct client *client)
{
    const struct transaction *transaction = client->transaction;
    client->mails++;
    write_mail(client);
    if (client->pipelined) {
        for (unsigned i = client->at; i < transaction->count; i = find_sent(transaction, i + 1))
            write_rcpt(client, i);
        write_text(client, "DATA\r\n");
    }
    stream_flush(client->stream);
    return STAGE_MAIL;
}

static enum stage rcpt_perform(struct client *client)
{
    if (!client->pipelined)
        write_rcpt(client, client->at);
    return STAGE_RCPT;
}

static enum stage data_perform(struct client *client)
{
    if (!client->pipelined)
        write_text(client, "DATA\r\n");
    return STAGE_DATA;
}

static enum stage rset_perform(struct client *client)
{
    write_text(client, "RSET\r\n");
    return STAGE_RSET;
}

/* What the reply that refuses means for those it concerns. */
static enum delivery_verdict refusal(const struct client *client)
{
    unsigned code = client->reply.code;
    if (code < 500)
        return DELIVERY_TEMPORARY;
    /* A smart host that wants a login, or another, is for the administrator to mend: mail waits meanwhile. */
    if (!client->setup.route->mx && (code == 530 || code == 534 || code == 535 || code == 538))
        return DELIVERY_TEMPORARY;
    /* "Too many recipients", as RFC 821 had it (RFC 5321 4.5.3.1.10): those that were taken go now, the others the next time. */
    if (code == 552 && client->stage == STAGE_RCPT && client->at > 0 && !client->reply.enhanced[0])
        return DELIVERY_TEMPORARY;
    return DELIVERY_PERMANENT;
}

static void fill_refusal(const struct client *client, enum delivery_verdict verdict, struct reason *ret_reason)
{
    reason_remote(ret_reason, &client->reply, verdict == DELIVERY_PERMANENT ? '5' : '4');
}

/* All that were sent share the reply that refuses. */
static void settle_refused(struct client *client)
{
    struct reason reason;
    enum delivery_verdict verdict = refusal(client);
    fill_refusal(client, verdict, &reason);
    transaction_settle_sent(client->transaction, verdict, &reason);
}

static enum stage mail_taken(struct client *client)
{
    (void)client;
    return STAGE_RCPT;
}

/* The replies to what was sent along are still to come, and are taken for their form. */
static enum stage mail_refused(struct client *client)
{
    struct reason reason;
    enum delivery_verdict verdict = refusal(client);
    fill_refusal(client, verdict, &reason);
    transaction_settle_rest(client->transaction, verdict, &reason); /* it would not take this sender for others either */
    return client->pipelined ? STAGE_RCPT : STAGE_RSET;
}

static enum stage rcpt_taken(struct client *client)
{
    client->at = find_sent(client->transaction, client->at + 1);
    if (client->at < client->transaction->count)
        return STAGE_RCPT;
    return client->pipelined || transaction_is_under_way(client->transaction) ? STAGE_DATA : STAGE_RSET;
}

/* How many recipients have been taken in this transaction so far? */
static unsigned taken(const struct client *client)
{
    const struct transaction *transaction = client->transaction;
    unsigned count = 0;
    for (unsigned i = 0; i < client->at; i++)
        count += transaction->recipients[i].sent && !transaction->recipients[i].settled;
    return count;
}

/* The server has told how many recipients it takes by refusing the next one, which nothing is wrong with: it goes in another transaction, and
 * so do those that were not named yet. Each takes one recipient at least, so this comes to an end. */
static enum stage rcpt_left(struct client *client, unsigned rcpt_max)
{
    struct transaction *transaction = client->transaction;
    client->ehlo.rcpt_max = rcpt_max;
    transaction->recipients[client->at].sent = false;
    for (unsigned i = client->at; !client->pipelined && i < transaction->count; i++)
        transaction->recipients[i].sent = false;
    return rcpt_taken(client);
}

static enum stage rcpt_refused(struct client *client)
{
    struct reason reason;
    unsigned before = taken(client);
    if (before && quota_of_recipients_said(&client->reply))
        return rcpt_left(client, before);
    enum delivery_verdict verdict = refusal(client);
    fill_refusal(client, verdict, &reason);
    transaction_settle(client->transaction, client->at, verdict, &reason);
    return rcpt_taken(client);
}

static enum stage data_go_ahead(struct client *client)
{
    return client->reply.code == POST_DATA_GO_AHEAD ? STAGE_CONTENT : client_puzzled(client);
}

static enum stage data_refused(struct client *client)
{
    settle_refused(client);
    return STAGE_RSET;
}

static enum stage content_broken(struct client *client)
{
    struct reason reason;
    reason_local(&reason, "4.3.0", "the message could not be read from the relay's spool while it was being sent");
    return client_fail(client, &reason);
}

/* Writes as much as has room; comes again by `drained` while something is left. */
static enum stage content_perform(struct client *client)
{
    if (!transaction_is_under_way(client->transaction)) {
        write_text(client, ".\r\n");
        return STAGE_DOT;
    }
    if (stream_pending(client->stream))
        return STAGE_CONTENT;
    enum body_progress progress = body_send(&client->transaction->body, client->stream);
    if (progress == BODY_BROKEN)
        return content_broken(client);
    if (progress == BODY_MORE)
        return STAGE_CONTENT;
    /* If the kernel takes the last part at once, the dot is out and only its reply is due. */
    stream_flush(client->stream);
    return stream_pending(client->stream) ? STAGE_CONTENT : STAGE_DOT;
}

/* A refusal before all was sent: it stands, but the session cannot go on in step. */
static enum stage content_refused(struct client *client)
{
    settle_refused(client);
    return client_refused(client);
}

static enum stage dot_taken(struct client *client)
{
    struct reason reason;
    reason_remote(&reason, &client->reply, '2');
    reason.dsn = client->ehlo.offers & EHLO_DSN;
    transaction_settle_sent(client->transaction, DELIVERY_DONE, &reason);
    return STAGE_READY;
}

static enum stage dot_refused(struct client *client)
{
    settle_refused(client);
    return STAGE_READY;
}

/* RFC 1047: the server may have taken the message and its reply be lost. Trying again may make a duplicate, not trying may lose it. */
static enum stage dot_lost(struct client *client)
{
    struct reason reason;
    reason_local(
        &reason, "4.4.2",
        "%s: %s after the whole message was sent: whether it was taken is unknown, so it is sent again and may arrive twice",
        client->setup.host, stream_problem(client->stream));
    return client_fail(client, &reason);
}

static enum stage rset_taken(struct client *client)
{
    (void)client;
    return STAGE_READY;
}

const struct stage_row post_stages[STAGES] = {
    [STAGE_READY] = { "waiting for the next message", STAGE_TIMEOUT(idle_timeout_ms), NULL, { NULL }, NULL },
    [STAGE_MAIL] = { "waiting for the reply to MAIL",
                     STAGE_TIMEOUT(command_timeout_ms),
                     mail_perform,
                     { mail_taken, NULL, mail_refused, mail_refused },
                     NULL },
    [STAGE_RCPT] = { "waiting for the reply to RCPT",
                     STAGE_TIMEOUT(command_timeout_ms),
                     rcpt_perform,
                     { rcpt_taken, NULL, rcpt_refused, rcpt_refused },
                     NULL },
    [STAGE_DATA] = { "waiting for the reply to DATA",
                     STAGE_TIMEOUT(command_timeout_ms),
                     data_perform,
                     { NULL, data_go_ahead, data_refused, data_refused },
                     NULL },
    [STAGE_CONTENT] = { "sending the message",
                        STAGE_TIMEOUT(data_timeout_ms),
                        content_perform,
                        { NULL, NULL, content_refused, content_refused },
                        NULL },
    [STAGE_DOT] = { "waiting for the reply to the end of the message",
                    STAGE_TIMEOUT(dot_timeout_ms),
                    NULL,
                    { dot_taken, NULL, dot_refused, dot_refused },
                    dot_lost },
    [STAGE_RSET] = { "waiting for the reply to RSET",
                     STAGE_TIMEOUT(command_timeout_ms),
                     rset_perform,
                     { rset_taken, NULL, client_refused, client_refused },
                     NULL },
};

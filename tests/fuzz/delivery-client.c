/* Any server: a client that has a message for three recipients hears these bytes. The first byte chooses what the route wants; 0xfe
 * separates what is sent at once. Whatever happens, no recipient gets two outcomes, a client that is ready leaves none open, and
 * nothing counts as delivered before the final dot went out. */
#include "../../relay/base/crc32c.h"
#include "../../relay/base/text.h"
#include "../../relay/delivery/client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECIPIENTS 3
#define ROUNDS     8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct hearing {
    struct client *client;
    struct transaction *transaction;
    unsigned outcomes[RECIPIENTS];
    bool begun;
    int server;
    bool dot_seen;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A segment with one message, made once. */
static int make_segment(struct uid id)
{
    static const char content[] = "Subject: x\r\n\r\n..text\r\n", prefix[] = "Received: here\r\n";
    struct envelope envelope;
    struct buffer bytes;
    unsigned char header[RECORD_HEADER_SIZE];
    envelope_init(&envelope);
    text_copy(envelope.sender, sizeof envelope.sender, SPAN("alice@example.net"));
    for (unsigned i = 0; i < RECIPIENTS; i++)
        envelope_add(&envelope, i ? "bob@example.org" : "\xc3\xa4@example.org", 0, NULL);
    buffer_init(&bytes, 65536);
    buffer_add_text(&bytes, content);
    require(envelope_store(&envelope, &bytes));
    envelope_fini(&envelope);
    struct span stored = span_skip(buffer_span(&bytes), sizeof content - 1);
    struct record record = { .id = id,
                             .content_size = sizeof content - 1,
                             .envelope_size = (uint32_t)stored.n,
                             .prefix_size = sizeof prefix - 1,
                             .content_crc = crc32c(0, content, sizeof content - 1),
                             .envelope_crc = crc32c(0, stored.p, stored.n),
                             .prefix_crc = crc32c(0, prefix, sizeof prefix - 1) };
    buffer_add_text(&bytes, prefix);
    record_encode(&record, header);
    int fd = memfd_create("segment", MFD_CLOEXEC);
    require(write(fd, header, sizeof header) == sizeof header);
    require(write(fd, buffer_span(&bytes).p, buffer_size(&bytes)) == (ssize_t)buffer_size(&bytes));
    buffer_fini(&bytes);
    return fd;
}

/* Reads what the client said; a lone dot in it is the end of the message (the content has none). */
static void listen_to_client(struct hearing *hearing)
{
    static char said[65536];
    ssize_t n;
    while ((n = recv(hearing->server, said, sizeof said, MSG_DONTWAIT)) > 0)
        hearing->dot_seen = hearing->dot_seen || memmem(said, (size_t)n, "\r\n.\r\n", 5);
}

static void outcome(void *context, uint32_t index, enum delivery_verdict verdict, const struct reason *reason)
{
    struct hearing *hearing = context;
    require(index < RECIPIENTS && hearing->outcomes[index]++ == 0);
    require(reason->enhanced[0] == (verdict == DELIVERY_DONE ? '2' : verdict == DELIVERY_PERMANENT ? '5' : '4'));
    listen_to_client(hearing);
    require(verdict != DELIVERY_DONE || hearing->dot_seen);
    for (const char *p = reason->text; *p; p++)
        require((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void ready(void *context)
{
    struct hearing *hearing = context;
    require(hearing->transaction->open == 0 || !hearing->begun);
    if (hearing->begun)
        return;
    hearing->begun = true;
    client_send(hearing->client, hearing->transaction);
}

static void ended(void *context, enum client_end end, const struct reason *reason)
{
    struct hearing *hearing = context;
    require(end < CLIENT_ENDS && reason->text[0]);
    client_free(&hearing->client);
}

static void spin(struct loop *loop)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        loop_once(loop, false);
}

static void speak(struct hearing *hearing, struct loop *loop, struct span bytes)
{
    while (bytes.n && hearing->client) {
        struct span part = span_cut(&bytes, (char)0xfe);
        if (part.n && send(hearing->server, part.p, part.n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        spin(loop);
        listen_to_client(hearing);
    }
    shutdown(hearing->server, SHUT_WR);
    spin(loop);
}

static void hear(struct loop *loop, struct tls *tls, const struct conf *conf, int segment, struct uid id, struct span bytes)
{
    static const struct client_events events = { ready, ended };
    unsigned options = bytes.n ? (unsigned char)bytes.p[0] : 0;
    const struct route route = {
        .mx = options & 4, .tls = options & 3, .user = options & 8 ? "office" : "", .password = SPAN("x")
    };
    struct client_setup setup = {
        .conf = conf, .tls = tls, .route = &route, .host = "mx.test", .hello = "relay.test", .port = 25, .helo = options & 16
    };
    struct delivery_assign assign = { .id = id, .count = RECIPIENTS, .recipients = { 0, 1, 2 } };
    struct hearing hearing = { 0 };
    struct watch watch = { .fd = -1 };
    int ends[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    hearing.server = ends[1];
    hearing.transaction = transaction_make(outcome, &hearing);
    transaction_begin(hearing.transaction, &assign, segment);
    require(hearing.transaction->open == RECIPIENTS);
    watch_set(&watch, loop, ends[0], WATCH_READ, NULL, NULL);
    hearing.client = client_new(&setup, &watch, &events, &hearing);
    client_begin(hearing.client);
    spin(loop);
    speak(&hearing, loop, span_skip(bytes, 1));
    client_free(&hearing.client);
    transaction_drop(&hearing.transaction);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct conf conf = { .hostname = (char *)(uintptr_t) "relay.test",
                                      .delivery = { .connect_timeout_ms = 60000,
                                                    .command_timeout_ms = 60000,
                                                    .data_timeout_ms = 60000,
                                                    .dot_timeout_ms = 60000,
                                                    .ca_file = (char *)(uintptr_t) "" } };
    static struct loop *loop;
    static struct tls *tls;
    static int segment;
    static struct uid id;
    if (!loop) {
        log_setup(LOG_LOGFMT, LOG_ERROR + 1, "fuzz");
        loop = loop_new();
        tls = tls_new(&conf);
        id = uid_next();
        segment = make_segment(id);
    }
    hear(loop, tls, &conf, segment, id, span_make((const char *)data, size));
    return 0;
}

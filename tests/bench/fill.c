/* fill: makes a spool of any number of messages in seconds, with the spool's own library, for benchmarks and the lab.
 *
 *     fill --spool FOLDER --messages N [--domains 1000] [--accounts 10] [--size 4096] [--age SECONDS] [--open]
 *
 * Message I goes from account I modulo --accounts to user<I>@d<I modulo --domains>.example, and has I in its Subject. Segments are as full
 * as those of a writer, and sealed unless --open, which leaves them as a crash would. --age is how long ago the messages arrived. It prints
 * one JSON object. */
#include "../../relay/base/clock.h"
#include "../../relay/base/crc32c.h"
#include "../../relay/base/text.h"
#include "../../relay/message/envelope.h"
#include "../../relay/spool/outcome.h"
#include "../../relay/spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_SIZE (4u * 1024 * 1024) /* bytes that gather before they are written */

static struct {
    const char *spool;
    unsigned messages, domains, accounts, size;
    int64_t age_s;
    bool open;
} options = { .domains = 1000, .accounts = 10, .size = 4096 };

/* The segment that is being filled. */
static struct {
    int folder, fd;
    uint64_t number, tag;
    uint64_t written; /* bytes of the file */
    uint64_t *offsets;
    size_t count;
    struct buffer bytes; /* behind them */
} segment = { .fd = -1 };

static uint64_t all_bytes;
static unsigned segments;

static void die(const char *what)
{
    fprintf(stderr, "fill: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void flush(void)
{
    struct span bytes = buffer_span(&segment.bytes);
    while (bytes.n) {
        ssize_t n = pwrite(segment.fd, bytes.p, bytes.n, (off_t)segment.written);
        if (n < 0)
            die("write");
        segment.written += (uint64_t)n;
        bytes = span_skip(bytes, (size_t)n);
    }
    buffer_clear(&segment.bytes);
}

static void begin(void)
{
    segment.number = segments++ ? segment.number + 1 : (uint64_t)clock_wall_ms() / 1000;
    segment.fd = segment_create(segment.folder, segment.number);
    if (segment.fd < 0 || segment_tag(segment.fd, &segment.tag, NULL) != RECORD_OK)
        die("a segment cannot be made");
    int log = outcome_open(segment.folder, segment.number);
    if (log < 0)
        die("a log cannot be made");
    close(log);
    segment.written = SEGMENT_HEADER_SIZE;
    segment.count = 0;
}

static void end(void)
{
    flush();
    if (fdatasync(segment.fd) != 0)
        die("sync");
    close(segment.fd);
    if (!options.open && !segment_seal(segment.folder, segment.number, segment.written, segment.offsets, segment.count))
        die("a segment cannot be sealed");
    all_bytes += segment.written;
    segment.fd = -1;
}

static void make_envelope(unsigned i, struct buffer *out)
{
    struct envelope envelope;
    char address[64];
    envelope_init(&envelope);
    envelope.arrived_ms = clock_wall_ms() - options.age_s * 1000;
    text_format(envelope.account, sizeof envelope.account, "account%u", i % options.accounts);
    text_copy(envelope.client, sizeof envelope.client, SPAN("192.0.2.1"));
    text_copy(envelope.helo, sizeof envelope.helo, SPAN("client.example.net"));
    text_format(envelope.sender, sizeof envelope.sender, "account%u@example.net", i % options.accounts);
    text_format(address, sizeof address, "user%u@d%u.example", i, i % options.domains);
    envelope_add(&envelope, address, 0, NULL);
    if (!envelope_store(&envelope, out))
        die("the envelope");
    envelope_fini(&envelope);
}

static void make_content(unsigned i, struct buffer *out)
{
    buffer_addf(out, "From: account%u@example.net\r\nTo: user%u@d%u.example\r\nSubject: %u\r\n\r\n", i % options.accounts, i,
                i % options.domains, i);
    while (buffer_size(out) < options.size)
        buffer_add(out, SPAN("The quick brown fox jumps over the lazy dog, and nothing that was accepted is lost.\r\n"));
}

static void add(unsigned i, struct buffer *content, struct buffer *envelope)
{
    static const struct span prefix = { "Received: from client.example.net ([192.0.2.1]) by relay.example.net with ESMTPS\r\n",
                                        82 };
    unsigned char header[RECORD_HEADER_SIZE];
    buffer_clear(content);
    buffer_clear(envelope);
    make_content(i, content);
    make_envelope(i, envelope);
    struct span text = buffer_span(content), stored = buffer_span(envelope);
    struct record record = {
        .id = uid_next(),
        .offset = segment.written + buffer_size(&segment.bytes),
        .tag = segment.tag,
        .synced = SEGMENT_HEADER_SIZE,
        .content_size = text.n,
        .envelope_size = (uint32_t)stored.n,
        .prefix_size = (uint32_t)prefix.n,
        .content_crc = crc32c(0, text.p, text.n),
        .envelope_crc = crc32c(0, stored.p, stored.n),
        .prefix_crc = crc32c(0, prefix.p, prefix.n),
    };
    record_encode(&record, header);
    buffer_add(&segment.bytes, span_make((const char *)header, sizeof header));
    buffer_add(&segment.bytes, text);
    buffer_add(&segment.bytes, stored);
    buffer_add(&segment.bytes, prefix);
    while (segment.written + buffer_size(&segment.bytes) < record_next_offset(&record))
        buffer_add_byte(&segment.bytes, '\0');
    if (segment.count % 1024 == 0)
        segment.offsets = text_realloc(segment.offsets, (segment.count + 1024) * sizeof *segment.offsets);
    segment.offsets[segment.count++] = record.offset;
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = { { "spool", 1, 0, 'f' },   { "messages", 1, 0, 'm' },
                                           { "domains", 1, 0, 'd' }, { "accounts", 1, 0, 'a' },
                                           { "size", 1, 0, 'z' },    { "age", 1, 0, 'g' },
                                           { "open", 0, 0, 'o' },    { 0, 0, 0, 0 } };
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'f':
            options.spool = optarg;
            break;
        case 'm':
            options.messages = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'd':
            options.domains = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'a':
            options.accounts = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'z':
            options.size = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'g':
            options.age_s = strtol(optarg, NULL, 10);
            break;
        case 'o':
            options.open = true;
            break;
        default:
            exit(2);
        }
    }
    if (!options.spool || !options.domains || !options.accounts) {
        fprintf(stderr, "usage: fill --spool FOLDER --messages N\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct buffer content, envelope;
    read_options(argc, argv);
    mkdir(options.spool, 0700);
    segment.folder = open(options.spool, O_RDONLY | O_DIRECTORY);
    if (segment.folder < 0)
        die(options.spool);
    buffer_init(&content, 2 * SEGMENT_SIZE_TARGET);
    buffer_init(&envelope, ENVELOPE_STORED_MAX);
    buffer_init(&segment.bytes, 2 * SEGMENT_SIZE_TARGET);
    for (unsigned i = 0; i < options.messages; i++) {
        if (segment.fd < 0)
            begin();
        add(i, &content, &envelope);
        if (buffer_size(&segment.bytes) >= WRITE_SIZE)
            flush();
        if (segment.written >= SEGMENT_SIZE_TARGET)
            end();
    }
    if (segment.fd >= 0)
        end();
    buffer_fini(&content);
    buffer_fini(&envelope);
    buffer_fini(&segment.bytes);
    free(segment.offsets);
    close(segment.folder);
    printf("{\"messages\": %u, \"segments\": %u, \"bytes\": %llu}\n", options.messages, segments, (unsigned long long)all_bytes);
    return 0;
}

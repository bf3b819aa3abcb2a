/* The outcome log: a short header, then outcomes, each with a CRC over all of it, at multiples of 8.
 *
 * It only grows, by whole outcomes, written by one process. What a crash tears is at its end and is cut off at the next start;
 * damage in between costs the outcomes that have it and no other: the next one is searched by its magic and CRC. The texts in an
 * outcome are printable by contract (escaped before they come here) while a header is full of zero bytes, so no reply of a remote
 * server can look like an outcome. */
#include "outcome.h"

#include "../base/crc32c.h"
#include "bytes.h"
#include "disk.h"
#include "segment.h"
#include "window.h"

#include <errno.h>
#include <fcntl.h>

#define LOG_VERSION     1
#define LOG_HEADER_SIZE 32
#define OUTCOME_VERSION 1
#define OUTCOME_ALIGN   8
#define OUTCOME_HEADER  64
#define OUTCOME_MAX     (OUTCOME_HEADER + 3 * OUTCOME_TEXT_MAX)

static const char log_magic[8] = { 'P', 'S', 'T', 'R', 'N', 'L', 'O', 'G' };
static const char outcome_magic[4] = { 'P', 'O', 'u', 't' };

/* Offsets of the log header's fields. */
enum { LOG_AT_MAGIC = 0, LOG_AT_VERSION = 8, LOG_AT_NUMBER = 16, LOG_AT_CRC = 28 };

/* Offsets of an outcome's fields. */
enum {
    AT_MAGIC = 0,
    AT_SIZE = 4,
    AT_VERSION = 6,
    AT_KIND = 7,
    AT_RECORD = 8,
    AT_ID = 16,
    AT_RECIPIENT = 28,
    AT_ATTEMPT = 32,
    AT_TIME = 36,
    AT_NEXT = 44,
    AT_MX_SIZE = 52,
    AT_TLS_SIZE = 54,
    AT_REPLY_SIZE = 56,
    AT_CRC = 60,
};

static const struct {
    const char *name;
    bool final;
} kinds[] = {
    [OUTCOME_DELIVERED] = { "delivered", true }, [OUTCOME_BOUNCED] = { "bounced", true },
    [OUTCOME_DEFERRED] = { "deferred", false },  [OUTCOME_HELD] = { "held", false },
    [OUTCOME_RELEASED] = { "released", false },  [OUTCOME_REMOVED] = { "removed", true },
    [OUTCOME_DELAYED] = { "delayed", false },
};

#define KINDS (sizeof kinds / sizeof kinds[0])

bool outcome_is_final(enum outcome_kind kind)
{
    return (unsigned)kind < KINDS && kinds[kind].final;
}

const char *outcome_name(enum outcome_kind kind)
{
    return (unsigned)kind < KINDS && kinds[kind].name ? kinds[kind].name : "unknown";
}

static size_t padded(size_t size)
{
    return (size + OUTCOME_ALIGN - 1) / OUTCOME_ALIGN * OUTCOME_ALIGN;
}

/* The CRC of an outcome of SIZE bytes: its header up to the CRC's own place, then its texts. */
static uint32_t crc_of(const unsigned char *bytes, size_t size)
{
    return crc32c(crc32c(0, bytes, AT_CRC), bytes + OUTCOME_HEADER, size - OUTCOME_HEADER);
}

bool outcome_encode(const struct outcome *outcome, struct buffer *out)
{
    struct span mx = span_head(outcome->mx, OUTCOME_TEXT_MAX), tls = span_head(outcome->tls, OUTCOME_TEXT_MAX),
                reply = span_head(outcome->reply, OUTCOME_TEXT_MAX);
    size_t size = OUTCOME_HEADER + mx.n + tls.n + reply.n, whole = padded(size);
    unsigned char *bytes = (unsigned char *)buffer_reserve(out, whole);
    if (!bytes)
        return false;
    memset(bytes, 0, whole);
    memcpy(bytes + AT_MAGIC, outcome_magic, sizeof outcome_magic);
    bytes_put16(bytes + AT_SIZE, (uint16_t)size);
    bytes[AT_VERSION] = OUTCOME_VERSION;
    bytes[AT_KIND] = (unsigned char)outcome->kind;
    bytes_put64(bytes + AT_RECORD, outcome->record_offset);
    memcpy(bytes + AT_ID, outcome->id.bytes, UID_BYTES);
    bytes_put32(bytes + AT_RECIPIENT, outcome->recipient);
    bytes_put32(bytes + AT_ATTEMPT, outcome->attempt);
    bytes_put64(bytes + AT_TIME, (uint64_t)outcome->time_ms);
    bytes_put64(bytes + AT_NEXT, (uint64_t)outcome->next_ms);
    bytes_put16(bytes + AT_MX_SIZE, (uint16_t)mx.n);
    bytes_put16(bytes + AT_TLS_SIZE, (uint16_t)tls.n);
    bytes_put16(bytes + AT_REPLY_SIZE, (uint16_t)reply.n);
    unsigned char *text = bytes + OUTCOME_HEADER;
    const struct span texts[] = { mx, tls, reply };
    for (size_t i = 0; i < 3; text += texts[i++].n)
        if (texts[i].n)
            memcpy(text, texts[i].p, texts[i].n);
    bytes_put32(bytes + AT_CRC, crc_of(bytes, size));
    buffer_commit(out, whole);
    return true;
}

bool outcome_decode(struct span span, struct outcome *ret_outcome, size_t *ret_size)
{
    const unsigned char *bytes = (const unsigned char *)span.p;
    if (span.n < OUTCOME_HEADER || memcmp(bytes + AT_MAGIC, outcome_magic, sizeof outcome_magic) != 0)
        return false;
    size_t size = bytes_get16(bytes + AT_SIZE);
    size_t mx = bytes_get16(bytes + AT_MX_SIZE), tls = bytes_get16(bytes + AT_TLS_SIZE),
           reply = bytes_get16(bytes + AT_REPLY_SIZE);
    if (mx > OUTCOME_TEXT_MAX || tls > OUTCOME_TEXT_MAX || reply > OUTCOME_TEXT_MAX ||
        size != OUTCOME_HEADER + mx + tls + reply || size > span.n || bytes_get32(bytes + AT_CRC) != crc_of(bytes, size))
        return false;
    unsigned kind = bytes[AT_KIND];
    if (bytes[AT_VERSION] != OUTCOME_VERSION || kind >= KINDS || !kinds[kind].name)
        return false;
    const char *text = span.p + OUTCOME_HEADER;
    *ret_outcome = (struct outcome){
        .kind = (enum outcome_kind)kind,
        .record_offset = bytes_get64(bytes + AT_RECORD),
        .recipient = bytes_get32(bytes + AT_RECIPIENT),
        .attempt = bytes_get32(bytes + AT_ATTEMPT),
        .time_ms = (int64_t)bytes_get64(bytes + AT_TIME),
        .next_ms = (int64_t)bytes_get64(bytes + AT_NEXT),
        .mx = span_make(text, mx),
        .tls = span_make(text + mx, tls),
        .reply = span_make(text + mx + tls, reply),
    };
    memcpy(ret_outcome->id.bytes, bytes + AT_ID, UID_BYTES);
    *ret_size = padded(size);
    return true;
}

static bool write_header(int fd, uint64_t number)
{
    unsigned char header[LOG_HEADER_SIZE] = { 0 };
    memcpy(header + LOG_AT_MAGIC, log_magic, sizeof log_magic);
    bytes_put32(header + LOG_AT_VERSION, LOG_VERSION);
    bytes_put64(header + LOG_AT_NUMBER, number);
    bytes_put32(header + LOG_AT_CRC, crc32c(0, header, LOG_AT_CRC));
    return disk_write_bytes(fd, header, sizeof header, 0);
}

enum header { HEADER_OK, HEADER_MISSING, HEADER_DAMAGED, HEADER_FOREIGN, HEADER_IO };

/* What the log's own header says. FOREIGN: it is whole, but of another version or another segment. */
static enum header check_header(int fd, uint64_t number)
{
    unsigned char header[LOG_HEADER_SIZE];
    ssize_t n = disk_read(fd, header, sizeof header, 0);
    if (n < 0)
        return HEADER_IO;
    if ((size_t)n < sizeof header)
        return HEADER_MISSING;
    if (memcmp(header + LOG_AT_MAGIC, log_magic, sizeof log_magic) != 0 ||
        bytes_get32(header + LOG_AT_CRC) != crc32c(0, header, LOG_AT_CRC))
        return HEADER_DAMAGED;
    if (bytes_get32(header + LOG_AT_VERSION) != LOG_VERSION || bytes_get64(header + LOG_AT_NUMBER) != number) {
        errno = EPROTONOSUPPORT;
        return HEADER_FOREIGN;
    }
    return HEADER_OK;
}

static bool is_ready(int folder, int fd, uint64_t number)
{
    const struct disk *disk = disk_calls();
    switch (check_header(fd, number)) {
    case HEADER_OK:
        return true;
    case HEADER_MISSING:
        return write_header(fd, number) && disk->fsync(fd) == 0 && disk->fsync(folder) == 0;
    case HEADER_DAMAGED: /* it says nothing that is not known: the outcomes behind it stand for themselves */
        return write_header(fd, number) && disk->fdatasync(fd) == 0;
    default:
        return false;
    }
}

int outcome_open(int folder, uint64_t number)
{
    char name[SEGMENT_NAME_SIZE];
    segment_log_name(number, name);
    int fd = disk_open(folder, name, O_RDWR | O_CREAT);
    if (fd >= 0 && !is_ready(folder, fd, number)) {
        disk_close(fd);
        return -1;
    }
    return fd;
}

bool outcome_append(int fd, struct span encoded)
{
    uint64_t size;
    if (!disk_size(fd, &size))
        return false;
    if (disk_write_bytes(fd, encoded.p, encoded.n, padded(size)))
        return true;
    int why = errno;
    if (disk_calls()->ftruncate(fd, (off_t)size) == 0)
        errno = why;
    return false;
}

bool outcome_sync(int fd)
{
    return disk_calls()->fdatasync(fd) == 0;
}

bool outcome_sync_log(int folder, uint64_t number)
{
    char name[SEGMENT_NAME_SIZE];
    segment_log_name(number, name);
    int fd = disk_open(folder, name, O_RDONLY);
    bool done = fd >= 0 ? disk_calls()->fdatasync(fd) == 0 : errno == ENOENT;
    if (fd >= 0)
        disk_close(fd);
    return done;
}

const char outcome_torn_end[] = "the last outcome was not written to its end";

struct walk {
    struct window window;
    uint64_t at;
    uint64_t end; /* behind the last whole outcome */
    uint64_t size;
    bool (*each)(void *context, const struct outcome *outcome);
    void (*damaged)(void *context, uint64_t offset, const char *what);
    void *context;
};

static void tell(const struct walk *walk, uint64_t offset, const char *what)
{
    if (walk->damaged)
        walk->damaged(walk->context, offset, what);
}

/* Goes through the log; walk->end is right afterwards. False with errno where the disk says no. */
static bool walk_outcomes(struct walk *walk)
{
    struct outcome outcome;
    struct span bytes;
    size_t size;
    while (walk->at < walk->size) {
        if (!window_at(&walk->window, walk->at, OUTCOME_MAX, &bytes))
            return false;
        if (!outcome_decode(bytes, &outcome, &size)) {
            walk->at += OUTCOME_ALIGN;
            continue;
        }
        if (walk->end < walk->at)
            tell(walk, walk->end, "what lies here is not as it was written");
        outcome.position = walk->at;
        walk->at += size;
        walk->end = walk->at;
        if (!walk->each(walk->context, &outcome)) {
            walk->size = walk->end;
            break;
        }
    }
    return true;
}

static bool walk_log(int fd, uint64_t number, bool cut, struct walk *walk)
{
    enum header header = check_header(fd, number);
    if (header == HEADER_IO || header == HEADER_FOREIGN || !disk_size(fd, &walk->size))
        return false;
    if (header == HEADER_MISSING) /* its making was cut off: outcome_open writes the header */
        return true;
    if (header == HEADER_DAMAGED)
        tell(walk, 0, "the log's header is damaged");
    walk->at = walk->end = LOG_HEADER_SIZE;
    window_init(&walk->window, fd);
    bool whole = walk_outcomes(walk);
    window_fini(&walk->window);
    if (!whole || walk->end >= walk->size)
        return whole;
    tell(walk, walk->end, outcome_torn_end);
    return !cut || disk_calls()->ftruncate(fd, (off_t)walk->end) == 0;
}

bool outcome_walk(int folder, uint64_t number, bool cut, bool (*each)(void *context, const struct outcome *outcome),
                  void (*damaged)(void *context, uint64_t offset, const char *what), void *context)
{
    struct walk walk = { .each = each, .damaged = damaged, .context = context };
    char name[SEGMENT_NAME_SIZE];
    segment_log_name(number, name);
    int fd = disk_open(folder, name, cut ? O_RDWR : O_RDONLY);
    if (fd < 0)
        return errno == ENOENT;
    bool done = walk_log(fd, number, cut, &walk);
    disk_close(fd);
    return done;
}

/* A record of ordinary size is read by one or two preads, checked in memory and sent from there: nothing is read twice, and what was
 * checked is what goes out. A large one is checked by reading it through once, then read again block by block while it is sent;
 * should the disk fail in between, the connection is dropped without the final dot, so that no half message is ever taken for a
 * whole one.
 *
 * Content lies in wire form (CRLF lines, dots stuffed) and is sent unchanged. The final dot stands on a line of its own in any
 * case: where the content's last line lacks its CRLF, one is added. */
#include "body.h"

#include "../base/crc32c.h"
#include "../spool/disk.h"

#include <fcntl.h>
#include <unistd.h>

#define BODY_FIRST_READ (8u * 1024 - 1) /* header and, mostly, all that follows; a buffer has room for one byte more */

const char body_unreadable[] = "it cannot be read";

void body_init(struct body *body)
{
    *body = (struct body){ .fd = -1 };
    buffer_init(&body->bytes, BODY_WHOLE_MAX);
}

void body_fini(struct body *body)
{
    if (body->fd >= 0)
        close(body->fd);
    buffer_fini(&body->bytes);
    body_init(body);
}

void body_rewind(struct body *body)
{
    body->prefix_sent = body->finished = body->ends_line = false;
    body->position = 0;
}

uint64_t body_size(const struct body *body)
{
    return body->record.prefix_size + body->record.content_size;
}

/* Adds up to SIZE bytes at OFFSET of the segment FD to the buffer, fewer only at its end. False where the disk fails. */
static bool read_at(struct body *body, int fd, uint64_t offset, size_t size)
{
    char *to = buffer_reserve(&body->bytes, size);
    ssize_t n = to ? disk_read(fd, to, size, offset) : -1;
    buffer_commit(&body->bytes, n > 0 ? (size_t)n : 0);
    return n >= 0;
}

static bool is_intact(struct span part, uint32_t crc)
{
    return crc32c(0, part.p, part.n) == crc;
}

/* The part of SIZE bytes at OFFSET of the segment, in the buffer that was filled from the record's header on. */
static struct span part_of(const struct body *body, uint64_t offset, uint64_t size)
{
    return span_head(span_skip(buffer_span(&body->bytes), (size_t)(offset - body->record.offset)), (size_t)size);
}

/* The parts lie one behind the other behind the record's header; the first of them are in the buffer already. */
static const char *load_whole(struct body *body, int fd, struct envelope *envelope)
{
    const struct record *record = &body->record;
    size_t have = buffer_size(&body->bytes);
    size_t size = (size_t)(record_prefix_offset(record) + record->prefix_size - record->offset);
    if (have < size && !read_at(body, fd, record->offset + have, size - have))
        return body_unreadable;
    struct span stored = part_of(body, record_envelope_offset(record), record->envelope_size);
    body->content = part_of(body, record_content_offset(record), record->content_size);
    body->prefix = part_of(body, record_prefix_offset(record), record->prefix_size);
    body->whole = true;
    if (buffer_size(&body->bytes) < size || !is_intact(stored, record->envelope_crc) ||
        !is_intact(body->content, record->content_crc) || !is_intact(body->prefix, record->prefix_crc))
        return "its checksum is wrong";
    return envelope_load(stored, envelope) ? NULL : "its envelope is malformed";
}

/* The segment is read again while the message is sent: the body takes a descriptor of its own. */
static const char *load_large(struct body *body, int fd, struct envelope *envelope)
{
    struct buffer part;
    body->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (body->fd < 0)
        return body_unreadable;
    buffer_init(&part, ENVELOPE_STORED_MAX);
    enum record_verdict verdict = record_read_envelope(body->fd, &body->record, &part);
    bool loaded = verdict == RECORD_OK && envelope_load(buffer_span(&part), envelope);
    buffer_clear(&part);
    if (loaded)
        verdict = record_read_prefix(body->fd, &body->record, &part);
    buffer_fini(&part);
    if (loaded && verdict == RECORD_OK)
        verdict = record_check_content(body->fd, &body->record);
    if (verdict == RECORD_OK)
        return loaded ? NULL : "its envelope is malformed";
    return verdict == RECORD_IO ? body_unreadable : "its checksum is wrong";
}

const char *body_load(struct body *body, int fd, uint64_t offset, struct uid id, struct envelope *envelope)
{
    const struct record *record = &body->record;
    if (!read_at(body, fd, offset, BODY_FIRST_READ))
        return body_unreadable;
    struct span bytes = buffer_span(&body->bytes);
    if (bytes.n < RECORD_HEADER_SIZE || record_decode((const unsigned char *)bytes.p, offset, &body->record) != RECORD_OK)
        return "its header is damaged";
    if (uid_compare(record->id, id) != 0)
        return "another message lies in its place";
    uint64_t size = record_prefix_offset(record) + record->prefix_size - record->offset;
    return size <= BODY_WHOLE_MAX ? load_whole(body, fd, envelope) : load_large(body, fd, envelope);
}

static bool has_8bit(struct span bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        if ((unsigned char)bytes.p[i] > 127)
            return true;
    return false;
}

bool body_is_8bit(const struct body *body)
{
    bool found = body->whole && (has_8bit(body->prefix) || has_8bit(body->content));
    struct buffer block;
    if (body->whole)
        return found;
    buffer_init(&block, ENVELOPE_STORED_MAX);
    found = record_read_prefix(body->fd, &body->record, &block) != RECORD_OK || has_8bit(buffer_span(&block));
    for (uint64_t position = 0; !found && position < body->record.content_size; position += BODY_BLOCK_SIZE) {
        buffer_clear(&block);
        found = record_read_content(body->fd, &body->record, position, BODY_BLOCK_SIZE, &block) != RECORD_OK ||
                has_8bit(buffer_span(&block));
    }
    buffer_fini(&block);
    return found;
}

static void write_part(struct body *body, struct stream *stream, struct span part)
{
    stream_write(stream, part);
    if (part.n)
        body->ends_line = part.p[part.n - 1] == '\n' && (part.n == 1 || part.p[part.n - 2] == '\r');
}

static enum body_progress finish(struct body *body, struct stream *stream)
{
    bool empty = body_size(body) == 0;
    stream_write(stream, body->ends_line || empty ? SPAN(".\r\n") : SPAN("\r\n.\r\n"));
    body->finished = true;
    return BODY_FINISHED;
}

static enum body_progress send_block(struct body *body, struct stream *stream)
{
    const struct record *record = &body->record;
    buffer_clear(&body->bytes);
    enum record_verdict verdict;
    if (!body->prefix_sent)
        verdict = record_read_prefix(body->fd, record, &body->bytes);
    else
        verdict = record_read_content(body->fd, record, body->position, BODY_BLOCK_SIZE, &body->bytes);
    struct span block = buffer_span(&body->bytes);
    if (verdict != RECORD_OK || (body->prefix_sent && !block.n))
        return BODY_BROKEN;
    write_part(body, stream, block);
    if (body->prefix_sent)
        body->position += block.n;
    body->prefix_sent = true;
    return body->position < record->content_size ? BODY_MORE : finish(body, stream);
}

enum body_progress body_send(struct body *body, struct stream *stream)
{
    if (body->finished)
        return BODY_FINISHED;
    if (!body->whole)
        return send_block(body, stream);
    write_part(body, stream, body->prefix);
    write_part(body, stream, body->content);
    return finish(body, stream);
}

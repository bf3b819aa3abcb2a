/* The message comes back from the disk in wire form and is unstuffed here (RFC 5321 4.5.2). It is read in one go, since a report
 * bounds it: queue.bounce-body-size for a whole one, ORIGINAL_HEADER_MAX for a header, both far below the maximum of a message.
 *
 * A whole message is given back only where its CRC is right. The header alone has no CRC of its own, and to read all of a
 * message of 50 MB for its sum would cost more than the header is worth: there the prefix is checked, and the header is as the
 * disk has it.
 *
 * The cut is at a line's end, so that a MIME reader never sees half a field. */
#include "original.h"

#include "../message/header.h"
#include "../smtp/content.h"
#include "../spool/record.h"
#include "store.h"

#define CONTENT_STEP 16384

/* The header's lines out of the content of RECORD, in wire form, into OUT. */
static enum record_verdict read_header(int fd, const struct record *record, struct buffer *out)
{
    enum record_verdict verdict = RECORD_OK;
    size_t end = 0, searched = 0, before = buffer_size(out);
    while (verdict == RECORD_OK && !end && buffer_size(out) - before < ORIGINAL_HEADER_MAX) {
        size_t had = buffer_size(out) - before;
        verdict = record_read_content(fd, record, had, CONTENT_STEP, out);
        struct span content = span_skip(buffer_span(out), before);
        end = header_end(content, searched);
        searched = content.n;
        if (content.n == had)
            break;
    }
    struct span content = span_head(span_skip(buffer_span(out), before), end >= 2 ? end - 2 : ORIGINAL_HEADER_MAX);
    while (content.n && content.p[content.n - 1] != '\n')
        content.n--;
    buffer_truncate(out, before + content.n);
    return verdict;
}

/* Prefix and content, or prefix and header, of RECORD in wire form. */
static bool read_wire(int fd, const struct record *record, bool whole, struct buffer *wire)
{
    if (record_read_prefix(fd, record, wire) != RECORD_OK)
        return false;
    if (!whole)
        return read_header(fd, record, wire) == RECORD_OK;
    return record_check_content(fd, record) == RECORD_OK &&
           record_read_content(fd, record, 0, (size_t)record->content_size, wire) == RECORD_OK;
}

bool original_read(struct queue *queue, const struct entry *entry, const struct envelope *envelope, bool whole_allowed,
                   struct buffer *out)
{
    struct record record;
    struct buffer wire;
    int fd = pair_segment(queue->store, entry->pair);
    if (fd < 0 || record_read(fd, entry->offset, INT64_MAX, &record) != RECORD_OK)
        return false;
    bool whole =
        whole_allowed && envelope->ret != COMMAND_RET_HEADERS && record.content_size <= queue_conf(queue)->queue.bounce_body_size;
    buffer_init(&wire, out->max);
    bool read = read_wire(fd, &record, whole, &wire) && content_unstuff(buffer_span(&wire), out);
    buffer_fini(&wire);
    return read && whole;
}

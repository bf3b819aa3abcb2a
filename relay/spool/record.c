/* A record's header carries the sizes and CRC-32Cs of its parts and a CRC of itself, so that a record is either wholly what was
 * written or known not to be, whatever order its blocks reached the disk in.
 *
 * `mark` is the segment's random tag XOR the record's own offset. A message's content can hold bytes that look like a header, CRC
 * and all; it cannot hold the right mark, since nobody outside knows the tag. So the search for the next record behind a damaged
 * one (segment.c) never takes what a client wrote for a record. */
#include "record.h"

#include "../base/crc32c.h"
#include "bytes.h"
#include "disk.h"

#include <errno.h>

#define RECORD_VERSION 1
#define PAGE_SIZE      65536
#define CONTENT_MAX    ((uint64_t)1 << 40) /* sums of sizes and offsets stay far from overflow */
#define SYNCED_MAX     ((uint64_t)UINT32_MAX * RECORD_ALIGN)

static const unsigned char record_magic[4] = { 'P', 'R', 'e', 'c' };

/* Offsets of the header's fields. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_ID = 8,
    AT_ENVELOPE_SIZE = 20,
    AT_CONTENT_SIZE = 24,
    AT_PREFIX_SIZE = 32,
    AT_ENVELOPE_CRC = 36,
    AT_CONTENT_CRC = 40,
    AT_PREFIX_CRC = 44,
    AT_MARK = 48,
    AT_SYNCED = 56,
    AT_CRC = 60
};

void record_encode(const struct record *record, unsigned char bytes[RECORD_HEADER_SIZE])
{
    uint64_t synced = record->synced < SYNCED_MAX ? record->synced : SYNCED_MAX;
    memset(bytes, 0, RECORD_HEADER_SIZE);
    memcpy(bytes + AT_MAGIC, record_magic, sizeof record_magic);
    bytes_put16(bytes + AT_VERSION, RECORD_VERSION);
    memcpy(bytes + AT_ID, record->id.bytes, UID_BYTES);
    bytes_put32(bytes + AT_ENVELOPE_SIZE, record->envelope_size);
    bytes_put64(bytes + AT_CONTENT_SIZE, record->content_size);
    bytes_put32(bytes + AT_PREFIX_SIZE, record->prefix_size);
    bytes_put32(bytes + AT_ENVELOPE_CRC, record->envelope_crc);
    bytes_put32(bytes + AT_CONTENT_CRC, record->content_crc);
    bytes_put32(bytes + AT_PREFIX_CRC, record->prefix_crc);
    bytes_put64(bytes + AT_MARK, record->tag ^ record->offset);
    bytes_put32(bytes + AT_SYNCED, (uint32_t)(synced / RECORD_ALIGN));
    bytes_put32(bytes + AT_CRC, crc32c(0, bytes, AT_CRC));
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

enum record_verdict record_decode(const unsigned char bytes[RECORD_HEADER_SIZE], uint64_t offset, struct record *ret_record)
{
    if (is_zero(bytes, RECORD_HEADER_SIZE))
        return RECORD_END;
    if (memcmp(bytes + AT_MAGIC, record_magic, sizeof record_magic) != 0 ||
        bytes_get32(bytes + AT_CRC) != crc32c(0, bytes, AT_CRC) || bytes_get16(bytes + AT_VERSION) != RECORD_VERSION ||
        bytes_get64(bytes + AT_CONTENT_SIZE) > CONTENT_MAX)
        return RECORD_DAMAGED;
    *ret_record = (struct record){
        .offset = offset,
        .tag = bytes_get64(bytes + AT_MARK) ^ offset,
        .synced = (uint64_t)bytes_get32(bytes + AT_SYNCED) * RECORD_ALIGN,
        .content_size = bytes_get64(bytes + AT_CONTENT_SIZE),
        .envelope_size = bytes_get32(bytes + AT_ENVELOPE_SIZE),
        .prefix_size = bytes_get32(bytes + AT_PREFIX_SIZE),
        .envelope_crc = bytes_get32(bytes + AT_ENVELOPE_CRC),
        .content_crc = bytes_get32(bytes + AT_CONTENT_CRC),
        .prefix_crc = bytes_get32(bytes + AT_PREFIX_CRC),
    };
    memcpy(ret_record->id.bytes, bytes + AT_ID, UID_BYTES);
    return RECORD_OK;
}

enum record_verdict record_read(int fd, uint64_t offset, uint64_t file_size, struct record *ret_record)
{
    unsigned char bytes[RECORD_HEADER_SIZE] = { 0 };
    if (offset >= file_size)
        return RECORD_END;
    ssize_t n = disk_read(fd, bytes, sizeof bytes, offset);
    if (n < 0)
        return RECORD_IO;
    if ((size_t)n < sizeof bytes)
        return is_zero(bytes, sizeof bytes) ? RECORD_END : RECORD_TORN;
    enum record_verdict verdict = record_decode(bytes, offset, ret_record);
    if (verdict == RECORD_OK && record_prefix_offset(ret_record) + ret_record->prefix_size > file_size)
        return RECORD_TORN;
    return verdict;
}

uint64_t record_content_offset(const struct record *record)
{
    return record->offset + RECORD_HEADER_SIZE;
}

uint64_t record_envelope_offset(const struct record *record)
{
    return record_content_offset(record) + record->content_size;
}

uint64_t record_prefix_offset(const struct record *record)
{
    return record_envelope_offset(record) + record->envelope_size;
}

uint64_t record_next_offset(const struct record *record)
{
    uint64_t end = record_prefix_offset(record) + record->prefix_size;
    return (end + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

/* Reads SIZE bytes at OFFSET behind what OUT has; they count only once they are known to be right (buffer_commit). */
static enum record_verdict read_bytes(int fd, uint64_t offset, size_t size, struct buffer *out, char **ret_bytes)
{
    char *bytes = buffer_reserve(out, size);
    if (!bytes) {
        errno = ENOBUFS;
        return RECORD_IO;
    }
    ssize_t n = disk_read(fd, bytes, size, offset);
    if (n < 0)
        return RECORD_IO;
    *ret_bytes = bytes;
    return (size_t)n < size ? RECORD_TORN : RECORD_OK;
}

static enum record_verdict read_part(int fd, uint64_t offset, size_t size, uint32_t crc, struct buffer *out)
{
    char *bytes;
    enum record_verdict verdict = read_bytes(fd, offset, size, out, &bytes);
    if (verdict != RECORD_OK)
        return verdict;
    if (crc32c(0, bytes, size) != crc)
        return RECORD_DAMAGED;
    buffer_commit(out, size);
    return RECORD_OK;
}

enum record_verdict record_read_envelope(int fd, const struct record *record, struct buffer *out)
{
    return read_part(fd, record_envelope_offset(record), record->envelope_size, record->envelope_crc, out);
}

enum record_verdict record_read_prefix(int fd, const struct record *record, struct buffer *out)
{
    return read_part(fd, record_prefix_offset(record), record->prefix_size, record->prefix_crc, out);
}

static enum record_verdict check_part(int fd, uint64_t offset, uint64_t size, uint32_t crc)
{
    unsigned char page[PAGE_SIZE];
    uint32_t seen = 0;
    while (size) {
        size_t want = size < sizeof page ? (size_t)size : sizeof page;
        ssize_t n = disk_read(fd, page, want, offset);
        if (n < 0)
            return RECORD_IO;
        if ((size_t)n < want)
            return RECORD_TORN;
        seen = crc32c(seen, page, want);
        offset += want;
        size -= want;
    }
    return seen == crc ? RECORD_OK : RECORD_DAMAGED;
}

enum record_verdict record_check_content(int fd, const struct record *record)
{
    return check_part(fd, record_content_offset(record), record->content_size, record->content_crc);
}

enum record_verdict record_check(int fd, const struct record *record, const char **ret_what)
{
    const struct {
        const char *what;
        uint64_t offset, size;
        uint32_t crc;
    } parts[] = {
        { "the content is not as it was written", record_content_offset(record), record->content_size, record->content_crc },
        { "the envelope is not as it was written", record_envelope_offset(record), record->envelope_size, record->envelope_crc },
        { "the prefix is not as it was written", record_prefix_offset(record), record->prefix_size, record->prefix_crc },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        enum record_verdict verdict = check_part(fd, parts[i].offset, parts[i].size, parts[i].crc);
        if (verdict == RECORD_OK)
            continue;
        if (ret_what)
            *ret_what = verdict == RECORD_IO ? "it cannot be read from the disk" : parts[i].what;
        return verdict;
    }
    return RECORD_OK;
}

enum record_verdict record_read_content(int fd, const struct record *record, uint64_t position, size_t size, struct buffer *out)
{
    char *bytes;
    if (position >= record->content_size)
        return RECORD_OK;
    if (size > record->content_size - position)
        size = (size_t)(record->content_size - position);
    enum record_verdict verdict = read_bytes(fd, record_content_offset(record) + position, size, out, &bytes);
    if (verdict == RECORD_OK)
        buffer_commit(out, size);
    return verdict;
}

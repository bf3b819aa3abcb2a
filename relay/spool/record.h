/* A record of a segment: one message with its envelope. The format, byte by byte, is in README.md. */
#ifndef POSTERN_SPOOL_RECORD_H
#define POSTERN_SPOOL_RECORD_H

#include "../base/buffer.h"
#include "../base/uid.h"

#include <stdint.h>

/* Bytes of a record's header on disk. */
#define RECORD_HEADER_SIZE 64

/* Everything in a segment begins at a multiple of this. */
#define RECORD_ALIGN 8

/* A record's header, as read. Offsets are from the start of the segment file. Order on disk: header, content, envelope, prefix.
 * (The envelope is complete only when the content is: so a large message is streamed behind the place of its header.) */
struct record {
    struct uid id;
    uint64_t offset; /* of the header */
    uint64_t tag;    /* the segment's random number: tells its own records from bytes that only look like one */
    uint64_t synced; /* everything before this offset was durable when the record was written */
    uint64_t content_size;
    uint32_t envelope_size;
    uint32_t prefix_size;
    uint32_t envelope_crc;
    uint32_t content_crc;
    uint32_t prefix_crc;
};

enum record_verdict {
    RECORD_OK,
    RECORD_END,     /* nothing more: the segment ends here, or zeros do */
    RECORD_TORN,    /* the rest of the file is too short for it */
    RECORD_DAMAGED, /* magic, version, length or CRC is wrong */
    RECORD_IO       /* the disk says no (errno) */
};

/* Writes RECORD's header with its own CRC into BYTES. */
void record_encode(const struct record *record, unsigned char bytes[RECORD_HEADER_SIZE]);

/* Reads a header from BYTES, which lay at OFFSET of a segment. RECORD_OK, RECORD_END (all zero) or RECORD_DAMAGED. Whose segment
 * it is (tag) and whether the file is long enough is left to the caller. */
enum record_verdict record_decode(const unsigned char bytes[RECORD_HEADER_SIZE], uint64_t offset, struct record *ret_record);

/* Reads the header at OFFSET of the segment FD, FILE_SIZE bytes long, and checks it. Who knows the id that should be there
 * compares it. On RECORD_TORN with a whole header *ret_record is set too. */
enum record_verdict record_read(int fd, uint64_t offset, uint64_t file_size, struct record *ret_record);

/* The offset behind RECORD: where the next begins (padded to 8). */
uint64_t record_next_offset(const struct record *record);

/* Where the envelope begins: from the start of the file, as the next two. */
uint64_t record_envelope_offset(const struct record *record);

/* Where the content begins: right behind the header. */
uint64_t record_content_offset(const struct record *record);

/* Where the prefix begins, which is sent first and lies last. */
uint64_t record_prefix_offset(const struct record *record);

/* Reads the envelope and checks its CRC; appends to OUT (RECORD_IO with ENOBUFS where it does not fit). */
enum record_verdict record_read_envelope(int fd, const struct record *record, struct buffer *out);

/* Reads the prefix and checks its CRC; appends to OUT (RECORD_IO with ENOBUFS where it does not fit). */
enum record_verdict record_read_prefix(int fd, const struct record *record, struct buffer *out);

/* Reads all of the content once and checks its CRC: before anything of it is sent. Memory: one page of 64 KiB. */
enum record_verdict record_check_content(int fd, const struct record *record);

/* Reads all three parts and checks their CRCs. *ret_what (may be NULL) names the part that is not as it was written. */
enum record_verdict record_check(int fd, const struct record *record, const char **ret_what);

/* Appends SIZE bytes of content from POSITION on (relative to the content's start) to OUT. Short only at the content's end. */
enum record_verdict record_read_content(int fd, const struct record *record, uint64_t position, size_t size, struct buffer *out);

#endif

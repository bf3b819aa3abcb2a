/* A sealed segment says where its records begin, so that a start reads a few pages of it and not 64 MB; and damage to one
 * record's header cannot hide the record behind it.
 *
 * The table is a help, never the truth: the records alone are enough (walk.c), and an unsealed segment has none. So it is
 * believed only where everything fits: magic, version, both CRCs, the mark with the segment's secret tag (a message that
 * contains a table, byte by byte, is no table), its own place in the file, and offsets that ascend with room for a header each.
 * Else there is none, and the walk reads record by record. It is written behind the last record in one piece and synced by the
 * caller; one that is torn by a power cut is no table, and those bytes are the torn tail that recovery cuts. */
#include "table.h"

#include "../base/crc32c.h"
#include "../base/text.h"
#include "bytes.h"
#include "disk.h"
#include "record.h"
#include "segment.h"

#include <errno.h>
#include <stdlib.h>

#define TABLE_VERSION 1
#define FOOTER_SIZE   40
#define ENTRY_SIZE    8

static const char table_magic[8] = { 'P', 'S', 'T', 'R', 'N', 'T', 'A', 'B' };

/* Offsets of the footer's fields. */
enum { AT_MAGIC = 0, AT_MARK = 8, AT_START = 16, AT_COUNT = 24, AT_TABLE_CRC = 28, AT_VERSION = 32, AT_CRC = 36 };

bool table_write(int fd, uint64_t start, uint64_t tag, const uint64_t *offsets, size_t count)
{
    if (count > UINT32_MAX) {
        errno = EFBIG;
        return false;
    }
    size_t size = count * ENTRY_SIZE;
    unsigned char *bytes = text_zalloc(size + FOOTER_SIZE);
    for (size_t i = 0; i < count; i++)
        bytes_put64(bytes + i * ENTRY_SIZE, offsets[i]);
    unsigned char *footer = bytes + size;
    memcpy(footer + AT_MAGIC, table_magic, sizeof table_magic);
    bytes_put64(footer + AT_MARK, tag ^ start);
    bytes_put64(footer + AT_START, start);
    bytes_put32(footer + AT_COUNT, (uint32_t)count);
    bytes_put32(footer + AT_TABLE_CRC, crc32c(0, bytes, size));
    bytes_put32(footer + AT_VERSION, TABLE_VERSION);
    bytes_put32(footer + AT_CRC, crc32c(0, footer, AT_CRC));
    bool written = disk_write_bytes(fd, bytes, size + FOOTER_SIZE, start);
    free(bytes);
    return written;
}

/* Reads the footer; only start and count of TABLE are set. */
static bool read_footer(int fd, uint64_t file_size, uint64_t tag, struct table *table, uint32_t *ret_crc)
{
    unsigned char footer[FOOTER_SIZE];
    if (file_size < SEGMENT_HEADER_SIZE + FOOTER_SIZE ||
        disk_read(fd, footer, sizeof footer, file_size - FOOTER_SIZE) != FOOTER_SIZE)
        return false;
    table->start = bytes_get64(footer + AT_START);
    table->count = bytes_get32(footer + AT_COUNT);
    *ret_crc = bytes_get32(footer + AT_TABLE_CRC);
    return memcmp(footer + AT_MAGIC, table_magic, sizeof table_magic) == 0 &&
           bytes_get32(footer + AT_CRC) == crc32c(0, footer, AT_CRC) && bytes_get32(footer + AT_VERSION) == TABLE_VERSION &&
           bytes_get64(footer + AT_MARK) == (tag ^ table->start) &&
           table->start == file_size - FOOTER_SIZE - table->count * ENTRY_SIZE;
}

/* Do the offsets ascend, each with room for a header before the next? */
static bool is_plausible(const struct table *table)
{
    uint64_t least = SEGMENT_HEADER_SIZE;
    for (size_t i = 0; i < table->count; i++) {
        if (table->offsets[i] < least || table->offsets[i] % RECORD_ALIGN || table->offsets[i] > table->start)
            return false;
        least = table->offsets[i] + RECORD_HEADER_SIZE;
    }
    return least <= table->start;
}

bool table_read(int fd, uint64_t file_size, uint64_t tag, struct table *ret_table)
{
    struct table table = { 0 };
    uint32_t crc;
    if (!read_footer(fd, file_size, tag, &table, &crc) || table.count * ENTRY_SIZE > file_size)
        return false;
    size_t size = table.count * ENTRY_SIZE;
    unsigned char *bytes = text_zalloc(size);
    table.offsets = text_zalloc(size);
    bool whole = disk_read(fd, bytes, size, table.start) == (ssize_t)size && crc32c(0, bytes, size) == crc;
    for (size_t i = 0; i < table.count; i++)
        table.offsets[i] = bytes_get64(bytes + i * ENTRY_SIZE);
    free(bytes);
    if (!whole || !is_plausible(&table)) {
        table_fini(&table);
        return false;
    }
    *ret_table = table;
    return true;
}

void table_fini(struct table *table)
{
    free(table->offsets);
    *table = (struct table){ 0 };
}

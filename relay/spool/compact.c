#include "compact.h"

#include "../base/text.h"
#include "disk.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define STEP_BYTES (4u * 1024 * 1024)
#define STEP_ITEMS 1024  /* looked at in a step */
#define PIECE      65536 /* bytes of one read */
#define NAME_SIZE  (SEGMENT_NAME_SIZE + 8)

static const char ending[] = ".seg.compact";

struct compact {
    int folder;
    uint64_t number;
    struct compact_item *items;
    size_t count;
    size_t weighed;  /* items that were looked at */
    uint64_t needed; /* bytes of those */
    size_t next;     /* the item to copy */
    uint64_t size;   /* of the old file */
    uint64_t old_tag, tag;
    uint64_t end; /* of what is copied */
    int in, out;
};

static void print_name(uint64_t number, char name[NAME_SIZE])
{
    text_format(name, NAME_SIZE, "%016llx%s", (unsigned long long)number, ending);
}

bool compact_is_rest(const char *name)
{
    uint64_t number;
    return segment_parse_name(name, ending, &number);
}

struct compact *compact_new(int folder, uint64_t number, struct compact_item *items, size_t count)
{
    struct compact *compact = text_zalloc(sizeof *compact);
    *compact = (struct compact){
        .folder = folder,
        .number = number,
        .items = items,
        .count = count,
        .end = SEGMENT_HEADER_SIZE,
        .in = -1,
        .out = -1,
    };
    return compact;
}

static enum compact_verdict verdict_of(enum record_verdict verdict)
{
    return verdict == RECORD_OK ? COMPACT_MORE : verdict == RECORD_IO ? COMPACT_FAILED : COMPACT_DAMAGED;
}

/* The record of ITEM in the old file. */
static enum record_verdict read_record(const struct compact *compact, const struct compact_item *item, struct record *ret_record)
{
    enum record_verdict verdict = record_read(compact->in, item->offset, compact->size, ret_record);
    if (verdict != RECORD_OK)
        return verdict == RECORD_IO ? RECORD_IO : RECORD_DAMAGED;
    return ret_record->tag == compact->old_tag && uid_compare(ret_record->id, item->id) == 0 ? RECORD_OK : RECORD_DAMAGED;
}

/* Is no more than half of the old file needed? Looks at some more of the items. */
static enum compact_verdict weigh(struct compact *compact)
{
    struct record record;
    for (size_t i = 0; i < STEP_ITEMS && compact->weighed < compact->count; i++) {
        enum record_verdict verdict = read_record(compact, &compact->items[compact->weighed++], &record);
        if (verdict != RECORD_OK)
            return verdict_of(verdict);
        compact->needed += record_next_offset(&record) - record.offset;
    }
    return compact->needed <= compact->size / 2 ? COMPACT_MORE : COMPACT_NOTHING;
}

static enum compact_verdict begin(struct compact *compact)
{
    bool damaged;
    compact->in = segment_open(compact->folder, compact->number);
    if (compact->in < 0 || !disk_size(compact->in, &compact->size))
        return COMPACT_FAILED;
    enum record_verdict verdict = segment_tag(compact->in, &compact->old_tag, &damaged);
    return damaged ? COMPACT_DAMAGED : verdict_of(verdict);
}

static enum compact_verdict make_file(struct compact *compact)
{
    char name[NAME_SIZE];
    print_name(compact->number, name);
    compact->out = disk_open(compact->folder, name, O_RDWR | O_CREAT | O_TRUNC);
    if (compact->out < 0 || !segment_write_header(compact->out, compact->number, &compact->tag))
        return COMPACT_FAILED;
    return COMPACT_MORE;
}

static bool copy_bytes(const struct compact *compact, uint64_t from, uint64_t to, uint64_t size)
{
    static _Thread_local unsigned char piece[PIECE];
    for (uint64_t at = 0; at < size;) {
        size_t want = size - at < sizeof piece ? (size_t)(size - at) : sizeof piece;
        ssize_t n = disk_read(compact->in, piece, want, from + at);
        if (n <= 0 || !disk_write_bytes(compact->out, piece, (size_t)n, to + at)) {
            errno = n == 0 ? EBADMSG : errno;
            return false;
        }
        at += (uint64_t)n;
    }
    return true;
}

/* The header last: it has its new place in its mark. What was written is read back and checked: nothing damaged is carried on. */
static enum compact_verdict copy_record(struct compact *compact, size_t i)
{
    unsigned char header[RECORD_HEADER_SIZE];
    struct record record;
    enum record_verdict verdict = read_record(compact, &compact->items[i], &record);
    if (verdict != RECORD_OK)
        return verdict_of(verdict);
    uint64_t size = record_prefix_offset(&record) + record.prefix_size - record_content_offset(&record);
    uint64_t from = record_content_offset(&record);
    record.offset = record.synced = compact->end;
    record.tag = compact->tag;
    record_encode(&record, header);
    if (!copy_bytes(compact, from, record_content_offset(&record), size) ||
        !disk_write_bytes(compact->out, header, sizeof header, record.offset))
        return COMPACT_FAILED;
    compact->items[i].new_offset = compact->end;
    compact->end = record_next_offset(&record);
    return verdict_of(record_check(compact->out, &record, NULL));
}

/* Synced, so that the last sync has little to wait for. */
static enum compact_verdict copy_some(struct compact *compact)
{
    uint64_t until = compact->end + STEP_BYTES;
    while (compact->next < compact->count && compact->end < until) {
        enum compact_verdict verdict = copy_record(compact, compact->next++);
        if (verdict != COMPACT_MORE)
            return verdict;
    }
    return disk_calls()->fdatasync(compact->out) == 0 ? COMPACT_MORE : COMPACT_FAILED;
}

static bool write_table(const struct compact *compact)
{
    uint64_t *offsets = text_zalloc(compact->count * sizeof *offsets + 1);
    for (size_t i = 0; i < compact->count; i++)
        offsets[i] = compact->items[i].new_offset;
    bool written = table_write(compact->out, compact->end, compact->tag, offsets, compact->count);
    free(offsets);
    return written;
}

/* From the rename on, the new file is the segment. */
static enum compact_verdict finish(struct compact *compact)
{
    char name[SEGMENT_NAME_SIZE], copy[NAME_SIZE];
    const struct disk *disk = disk_calls();
    segment_name(compact->number, name);
    print_name(compact->number, copy);
    if (!write_table(compact) || disk->fsync(compact->out) != 0 ||
        disk->renameat(compact->folder, copy, compact->folder, name) != 0)
        return COMPACT_FAILED;
    disk_close(compact->out);
    compact->out = -1;
    disk->fsync(compact->folder);
    return COMPACT_DONE;
}

enum compact_verdict compact_step(struct compact *compact)
{
    if (compact->in < 0)
        return begin(compact);
    if (compact->weighed < compact->count)
        return weigh(compact);
    if (compact->out < 0)
        return make_file(compact);
    return compact->next < compact->count ? copy_some(compact) : finish(compact);
}

uint64_t compact_end(const struct compact *compact)
{
    return compact->end;
}

void compact_free(struct compact **compact)
{
    char name[NAME_SIZE];
    int before = errno;
    if ((*compact)->out >= 0) {
        disk_close((*compact)->out);
        print_name((*compact)->number, name);
        disk_calls()->unlinkat((*compact)->folder, name);
    }
    if ((*compact)->in >= 0)
        disk_close((*compact)->in);
    free(*compact);
    *compact = NULL;
    errno = before;
}

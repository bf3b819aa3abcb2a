/* The walk over a segment's records: how a start finds out what is there, and how damage is kept to the record that has it.
 *
 * A sealed segment is walked by its table. An open one is walked record by record, each checked in full. Where a record is not
 * whole there are two stories: it was being written when the power failed, and nobody was told 250; or it was acknowledged and has
 * been damaged since. Each record says up to where the segment was durable when it was written (`synced`), so a later record can
 * prove the second story for what lies before that offset. Until then a record that is not whole is a doubt. Doubts that no record
 * settles are told as such where whole records lie behind them; at the end of the segment they are the torn tail.
 *
 * Behind a header that cannot be trusted the next record is searched at each multiple of 8: magic, the header's CRC, and the
 * segment's tag must be right. Zeros in a record's place are no reason to stop: a lost block looks the same. */
#include "disk.h"
#include "segment.h"
#include "table.h"
#include "window.h"

#define DOUBTS_MAX 64 /* more at once: the oldest is told without proof */

static const char no_header[] = "its header is damaged";
static const char unproven[] = "it was not written to the end, and nothing shows that it had been acknowledged";

struct doubt {
    uint64_t offset;
    const char *what;
};

struct walk {
    int fd;
    uint64_t size;
    uint64_t tag;
    bool (*each)(void *context, const struct record *record);
    void (*damaged)(void *context, uint64_t offset, const char *what);
    void *context;
    struct window window;
    struct doubt doubts[DOUBTS_MAX];
    unsigned ndoubts;
    uint64_t end; /* behind the last whole record */
    bool stopped; /* `each` has seen enough */
};

static void tell(const struct walk *walk, uint64_t offset, const char *what)
{
    if (walk->damaged)
        walk->damaged(walk->context, offset, what);
}

static void doubt(struct walk *walk, uint64_t offset, const char *what)
{
    if (walk->ndoubts == DOUBTS_MAX) {
        tell(walk, walk->doubts[0].offset, unproven);
        memmove(walk->doubts, walk->doubts + 1, (DOUBTS_MAX - 1) * sizeof walk->doubts[0]);
        walk->ndoubts--;
    }
    walk->doubts[walk->ndoubts++] = (struct doubt){ offset, what };
}

/* Tells the doubts before OFFSET, each with its own text or with WHAT, and forgets them. They are in ascending order. */
static void settle(struct walk *walk, uint64_t offset, const char *what)
{
    unsigned settled = 0;
    while (settled < walk->ndoubts && walk->doubts[settled].offset < offset) {
        tell(walk, walk->doubts[settled].offset, what ? what : walk->doubts[settled].what);
        settled++;
    }
    walk->ndoubts -= settled;
    memmove(walk->doubts, walk->doubts + settled, walk->ndoubts * sizeof walk->doubts[0]);
}

static void accept_record(struct walk *walk, const struct record *record)
{
    settle(walk, record->synced, NULL);
    walk->end = record_next_offset(record);
    walk->stopped = !walk->each(walk->context, record);
}

/* Searches the next header of this segment from offset FROM on; walk->size where there is none. False with errno. */
static bool find_record(struct walk *walk, uint64_t from, uint64_t *ret_offset)
{
    struct record record;
    struct span bytes;
    uint64_t at = from;
    while (at + RECORD_HEADER_SIZE <= walk->size) {
        if (!window_at(&walk->window, at, RECORD_HEADER_SIZE, &bytes))
            return false;
        if (bytes.n < RECORD_HEADER_SIZE)
            break;
        for (; bytes.n >= RECORD_HEADER_SIZE; bytes = span_skip(bytes, RECORD_ALIGN), at += RECORD_ALIGN) {
            if (bytes.p[0] == 'P' && record_decode((const unsigned char *)bytes.p, at, &record) == RECORD_OK &&
                record.tag == walk->tag) {
                *ret_offset = at;
                return true;
            }
        }
    }
    *ret_offset = walk->size;
    return true;
}

/* Is anything but zeros behind walk->end? What cannot be read counts as something. */
static bool has_tail(struct walk *walk)
{
    struct span bytes;
    for (uint64_t at = walk->end; at < walk->size; at += bytes.n) {
        if (!window_at(&walk->window, at, 1, &bytes))
            return true;
        if (!bytes.n)
            break;
        for (size_t i = 0; i < bytes.n; i++)
            if (bytes.p[i])
                return true;
    }
    return false;
}

/* Looks at what lies at OFFSET; *ret_next is where to look next. */
static enum record_verdict step(struct walk *walk, uint64_t offset, uint64_t *ret_next)
{
    struct record record;
    const char *what = no_header;
    enum record_verdict verdict = record_read(walk->fd, offset, walk->size, &record);
    if (verdict == RECORD_IO)
        return RECORD_IO;
    if (verdict == RECORD_OK && record.tag == walk->tag) {
        *ret_next = record_next_offset(&record);
        if (record_check(walk->fd, &record, &what) == RECORD_OK)
            accept_record(walk, &record);
        else
            doubt(walk, offset, what);
        return RECORD_OK;
    }
    if (!find_record(walk, offset + RECORD_ALIGN, ret_next))
        return RECORD_IO;
    doubt(walk, offset, no_header);
    return RECORD_OK;
}

static enum record_verdict walk_open(struct walk *walk, uint64_t offset, bool *ret_torn)
{
    uint64_t at = offset, next;
    while (at < walk->size && !walk->stopped) {
        enum record_verdict verdict = step(walk, at, &next);
        if (verdict != RECORD_OK)
            return verdict;
        at = next;
    }
    if (!walk->stopped) {
        settle(walk, walk->end, unproven);
        *ret_torn = has_tail(walk);
    }
    return RECORD_OK;
}

static enum record_verdict walk_table(struct walk *walk, uint64_t offset, const struct table *table)
{
    struct record record;
    for (size_t i = 0; i < table->count && !walk->stopped; i++) {
        uint64_t at = table->offsets[i];
        if (at < offset)
            continue;
        enum record_verdict verdict = record_read(walk->fd, at, table->start, &record);
        if (verdict == RECORD_OK && record.tag == walk->tag)
            accept_record(walk, &record);
        else
            tell(walk, at, verdict == RECORD_IO ? "it cannot be read from the disk" : no_header);
    }
    if (!walk->stopped)
        walk->end = table->start;
    return RECORD_OK;
}

enum record_verdict segment_walk(int fd, uint64_t offset, bool (*each)(void *context, const struct record *record),
                                 void (*damaged)(void *context, uint64_t offset, const char *what), void *context,
                                 uint64_t *ret_end, bool *ret_torn)
{
    struct walk walk = { .fd = fd, .each = each, .damaged = damaged, .context = context, .end = offset };
    struct table table;
    bool header_damaged, torn = false;
    enum record_verdict verdict = segment_tag(fd, &walk.tag, &header_damaged);
    if (verdict != RECORD_OK)
        return verdict;
    if (!disk_size(fd, &walk.size))
        return RECORD_IO;
    if (header_damaged)
        tell(&walk, 0, "the segment's header is damaged");
    window_init(&walk.window, fd);
    if (table_read(fd, walk.size, walk.tag, &table)) {
        verdict = walk_table(&walk, offset, &table);
        table_fini(&table);
    } else {
        verdict = walk_open(&walk, offset, &torn);
    }
    window_fini(&walk.window);
    *ret_end = walk.end;
    *ret_torn = torn;
    return verdict;
}

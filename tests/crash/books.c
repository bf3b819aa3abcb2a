#include "books.h"

#include "../../relay/base/text.h"
#include "../../relay/spool/disk.h"
#include "../../relay/spool/outcome.h"
#include "../../relay/spool/segment.h"
#include "memdisk.h"

#include <assert.h>
#include <stdlib.h>

char *books_bytes(uint32_t number, unsigned part, size_t size)
{
    char *bytes = text_zalloc(size + 8);
    uint64_t state = (number * 4ull + part + 1) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < size; i += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(bytes + i, &state, 8);
    }
    return bytes;
}

size_t books_envelope_size(uint32_t number)
{
    return 40 + number % 61;
}

size_t books_prefix_size(uint32_t number)
{
    return 80 + number % 53;
}

struct uid books_id(uint32_t number)
{
    struct uid id = { { 'i', 'd' } };
    memcpy(id.bytes + 8, &number, 4);
    return id;
}

size_t books_segment(struct books *books, uint64_t number)
{
    for (size_t i = 0; i < books->nsegments; i++)
        if (books->segments[i].number == number)
            return i;
    assert(books->nsegments < SEGMENTS_MAX);
    books->segments[books->nsegments].number = number;
    books->segments[books->nsegments].removed = NEVER;
    return books->nsegments++;
}

/* One look at one disk. */
struct look {
    const struct books *books;
    size_t after;
    struct verdict verdict;
    uint64_t segment;
    int fd;
    bool found[MESSAGES_MAX];
    bool finals[MESSAGES_MAX][RECIPIENTS_MAX];
    bool has_segment[SEGMENTS_MAX];
    unsigned doubts; /* in this segment */
};

static bool part_is(const struct record *record, uint32_t number, unsigned part, size_t size, int fd)
{
    struct buffer bytes;
    char *wanted = books_bytes(number, part, size);
    buffer_init(&bytes, 1u << 20);
    enum record_verdict verdict = part == 0   ? record_read_envelope(fd, record, &bytes)
                                  : part == 1 ? record_read_content(fd, record, 0, size, &bytes)
                                              : record_read_prefix(fd, record, &bytes);
    bool same = verdict == RECORD_OK && span_equal(buffer_span(&bytes), span_make(wanted, size));
    buffer_fini(&bytes);
    free(wanted);
    return same;
}

static bool is_as_stored(const struct record *record, const struct message *message, int fd)
{
    size_t envelope = books_envelope_size(message->number), prefix = books_prefix_size(message->number);
    return record->envelope_size == envelope && record->content_size == message->content_size && record->prefix_size == prefix &&
           record_check(fd, record, NULL) == RECORD_OK && part_is(record, message->number, 0, envelope, fd) &&
           part_is(record, message->number, 1, message->content_size, fd) && part_is(record, message->number, 2, prefix, fd);
}

/* The message ID of the segment that is looked at. */
static const struct message *message_of(const struct look *look, struct uid id)
{
    for (size_t i = 0; i < look->books->nmessages; i++)
        if (look->books->messages[i].segment == look->segment && uid_compare(books_id(look->books->messages[i].number), id) == 0)
            return &look->books->messages[i];
    return NULL;
}

static bool see_record(void *context, const struct record *record)
{
    struct look *look = context;
    const struct message *message = message_of(look, record->id);
    if (!message || message->stored.begun > look->after || look->found[message - look->books->messages]) {
        look->verdict.strange++;
        return true;
    }
    if (!is_as_stored(record, message, look->fd))
        look->verdict.altered++;
    look->found[message - look->books->messages] = true;
    return true;
}

static void see_damage(void *context, uint64_t offset, const char *what)
{
    struct look *look = context;
    (void)offset;
    (void)what;
    look->verdict.doubts++;
}

static bool see_outcome(void *context, const struct outcome *outcome)
{
    struct look *look = context;
    const struct message *message = message_of(look, outcome->id);
    if (!message || outcome->recipient >= message->nrecipients) {
        look->verdict.strange++;
        return true;
    }
    if (!outcome_is_final(outcome->kind))
        return true;
    if (message->finals[outcome->recipient].begun > look->after)
        look->verdict.strange++;
    look->finals[message - look->books->messages][outcome->recipient] = true;
    return true;
}

static void look_into(struct look *look, const char *name)
{
    uint64_t end;
    bool torn;
    if (segment_parse_name(name, ".log", &look->segment)) {
        if (!outcome_walk(MEMDISK_FOLDER, look->segment, false, see_outcome, see_damage, look))
            look->verdict.unreadable++;
        return;
    }
    if (!segment_parse_name(name, ".seg", &look->segment))
        return;
    for (size_t i = 0; i < look->books->nsegments; i++)
        if (look->books->segments[i].number == look->segment)
            look->has_segment[i] = true;
    look->fd = segment_open(MEMDISK_FOLDER, look->segment);
    enum record_verdict verdict = segment_walk(look->fd, SEGMENT_HEADER_SIZE, see_record, see_damage, look, &end, &torn);
    if (verdict == RECORD_IO)
        look->verdict.unreadable++;
    disk_close(look->fd);
}

static bool may_be_gone(const struct look *look, size_t segment)
{
    return look->books->segments[segment].removed <= look->after;
}

static void judge(struct look *look, size_t i)
{
    const struct message *message = &look->books->messages[i];
    size_t segment = books_segment((struct books *)(uintptr_t)look->books, message->segment);
    bool gone = (!look->has_segment[segment] && may_be_gone(look, segment)) || message->dropped <= look->after;
    if (message->stored.kept <= look->after && !look->found[i] && !gone)
        look->verdict.lost++;
    for (unsigned r = 0; r < message->nrecipients; r++)
        if (look->found[i] && message->finals[r].kept <= look->after && !look->finals[i][r])
            look->verdict.resurrected++;
}

static void keep(const struct look *look, struct books *found)
{
    *found = (struct books){ 0 };
    for (size_t i = 0; i < look->books->nsegments; i++)
        if (look->has_segment[i])
            books_segment(found, look->books->segments[i].number);
    for (size_t i = 0; i < look->books->nmessages; i++) {
        struct message message = look->books->messages[i];
        /* What was not found must not come back. */
        message.stored =
            (struct promise){ look->found[i] ? 0 : NEVER, look->found[i] && message.stored.kept <= look->after ? 0 : NEVER };
        message.dropped = NEVER;
        for (unsigned r = 0; r < message.nrecipients; r++) {
            message.sent[r] = look->finals[i][r];
            /* One that was torn may come back whole, where what is written over it happens to have its bytes: it is true all the same. */
            message.finals[r].begun = message.finals[r].begun <= look->after ? 0 : NEVER;
            message.finals[r].kept = message.sent[r] ? 0 : NEVER;
        }
        found->messages[found->nmessages++] = message;
    }
}

struct verdict books_compare(const struct books *books, size_t after, struct books *ret_found)
{
    static struct look look;
    const char *name;
    look = (struct look){ .books = books, .after = after };
    const struct memdisk *disk = memdisk_used();
    for (size_t cursor = 0; (name = memdisk_next(disk, &cursor));)
        look_into(&look, name);
    for (size_t i = 0; i < books->nmessages; i++)
        judge(&look, i);
    if (ret_found)
        keep(&look, ret_found);
    return look.verdict;
}

bool verdict_is_bad(const struct verdict *verdict)
{
    return verdict->lost || verdict->altered || verdict->strange || verdict->resurrected || verdict->unreadable;
}

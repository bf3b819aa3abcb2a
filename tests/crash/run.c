#include "run.h"

#include "../../relay/base/crc32c.h"
#include "../../relay/base/text.h"
#include "../../relay/spool/batch.h"
#include "../../relay/spool/compact.h"
#include "../../relay/spool/disk.h"
#include "../../relay/spool/outcome.h"
#include "../../relay/spool/segment.h"
#include "memdisk.h"

#include <assert.h>
#include <stdlib.h>

#define LOGS_MAX 8

struct log {
    uint64_t segment;
    int fd;
};

struct run {
    struct books *books;
    uint64_t state;
    uint32_t next_message;
    uint64_t next_segment;
    struct tail *tail; /* the shared segment */
    struct log logs[LOGS_MAX];
    size_t nlogs;
};

static unsigned chance(struct run *run, unsigned below)
{
    run->state ^= run->state << 13;
    run->state ^= run->state >> 7;
    run->state ^= run->state << 17;
    return (unsigned)(run->state >> 33) % below;
}

static size_t now(void)
{
    return memdisk_changes(memdisk_used());
}

/* --- messages --- */

static struct chunk *make_chunk(uint32_t number, size_t size)
{
    struct chunk *chunk = text_zalloc(sizeof *chunk + size);
    char *bytes = books_bytes(number, 1, size);
    memcpy(chunk->bytes, bytes, size);
    free(bytes);
    chunk->size = chunk->capacity = size;
    return chunk;
}

/* Message NUMBER as intake.c would hand it to the thread; its content in one chunk. */
static struct intake *make_intake(uint32_t number, size_t content_size)
{
    struct intake *intake = text_zalloc(sizeof *intake);
    size_t envelope_size = books_envelope_size(number), prefix_size = books_prefix_size(number);
    char *envelope = books_bytes(number, 0, envelope_size), *prefix = books_bytes(number, 2, prefix_size);
    struct chunk *chunk = make_chunk(number, content_size);
    list_init(&intake->chunks);
    list_init(&intake->parcel.node);
    list_append(&intake->chunks, &chunk->parcel.node);
    intake->nchunks = 1;
    intake->parcel.intake = intake;
    intake->record = (struct record){
        .id = books_id(number),
        .content_size = content_size,
        .envelope_size = (uint32_t)envelope_size,
        .prefix_size = (uint32_t)prefix_size,
        .envelope_crc = crc32c(0, envelope, envelope_size),
        .content_crc = crc32c(0, chunk->bytes, content_size),
        .prefix_crc = crc32c(0, prefix, prefix_size),
    };
    intake->trailer_size = (size_t)(record_next_offset(&intake->record) - record_envelope_offset(&intake->record));
    intake->trailer = text_zalloc(intake->trailer_size);
    memcpy(intake->trailer, envelope, envelope_size);
    memcpy(intake->trailer + envelope_size, prefix, prefix_size);
    free(envelope);
    free(prefix);
    return intake;
}

static void free_intake(struct intake *intake)
{
    LIST_EACH(node, &intake->chunks)
        free(CHUNK_OF(PARCEL_OF(node)));
    free(intake->trailer);
    free(intake);
}

static struct message *note(struct run *run, const struct intake *intake, uint32_t number, size_t begun)
{
    assert(run->books->nmessages < MESSAGES_MAX);
    struct message *message = &run->books->messages[run->books->nmessages++];
    *message = (struct message){
        .number = number,
        .segment = intake->segment,
        .offset = intake->record.offset,
        .content_size = intake->record.content_size,
        .nrecipients = 1 + number % RECIPIENTS_MAX,
        .stored = { begun, NEVER },
        .dropped = NEVER,
    };
    for (unsigned r = 0; r < RECIPIENTS_MAX; r++)
        message->finals[r] = (struct promise){ NEVER, NEVER };
    return message;
}

static struct tail *make_tail(struct run *run)
{
    uint64_t number = run->next_segment++;
    books_segment(run->books, number);
    int fd = segment_create(MEMDISK_FOLDER, number);
    assert(fd >= 0);
    struct tail *tail = tail_new(number, fd);
    bool usable = tail_is_usable(tail);
    assert(usable);
    (void)usable;
    return tail;
}

/* After a sync of TAIL: what lies before its end is told as stored. */
static void promise(struct run *run, struct tail *tail)
{
    enum writer_verdict verdict = tail_sync(tail);
    assert(verdict == WRITER_STORED);
    (void)verdict;
    for (size_t i = 0; i < run->books->nmessages; i++) {
        struct message *message = &run->books->messages[i];
        if (message->segment == tail->number && message->stored.kept == NEVER && message->offset < tail->synced)
            message->stored.kept = now();
    }
}

static void store_some(struct run *run)
{
    struct list waiting, written, refused;
    struct intake *intakes[4];
    uint32_t numbers[4];
    unsigned count = 1 + chance(run, 4);
    if (run->books->nmessages + count > MESSAGES_MAX)
        return;
    if (!run->tail)
        run->tail = make_tail(run);
    list_init(&waiting);
    list_init(&written);
    list_init(&refused);
    size_t begun = now() + 1;
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = run->next_message++;
        intakes[i] = make_intake(numbers[i], chance(run, chance(run, 3) ? 300 : 2500));
        list_append(&waiting, &intakes[i]->parcel.node);
    }
    batch_write(run->tail, &waiting, &written, &refused);
    assert(list_empty(&waiting) && list_empty(&refused));
    for (unsigned i = 0; i < count; i++) {
        note(run, intakes[i], numbers[i], begun);
        free_intake(intakes[i]);
    }
    if (chance(run, 5))
        promise(run, run->tail);
}

/* A message of its own segment: streamed behind the place of its header, the header last. */
static void store_large(struct run *run)
{
    if (run->books->nmessages == MESSAGES_MAX || run->books->nsegments + 2 > SEGMENTS_MAX)
        return;
    struct tail *tail = make_tail(run);
    uint32_t number = run->next_message++;
    size_t size = 1500 + chance(run, 4000), begun = now() + 1;
    struct intake *intake = make_intake(number, size);
    struct chunk *chunk = CHUNK_OF(PARCEL_OF(intake->chunks.next));
    while (tail->streamed < size) {
        size_t n = 1 + chance(run, 2000);
        n = n < size - tail->streamed ? n : (size_t)(size - tail->streamed);
        struct iovec part = { chunk->bytes + tail->streamed, n };
        enum writer_verdict verdict = tail_write(tail, &part, 1, tail->end + RECORD_HEADER_SIZE + tail->streamed);
        assert(verdict == WRITER_STORED);
        (void)verdict;
        tail->streamed += n;
    }
    enum writer_verdict verdict = batch_finish_large(tail, intake);
    assert(verdict == WRITER_STORED);
    (void)verdict;
    note(run, intake, number, begun);
    free_intake(intake);
    promise(run, tail);
    tail_close(tail);
    tail_free(&tail);
}

/* --- outcomes --- */

static void close_log(struct run *run, uint64_t segment)
{
    for (size_t i = 0; i < run->nlogs; i++)
        if (run->logs[i].segment == segment) {
            disk_close(run->logs[i].fd);
            run->logs[i] = run->logs[--run->nlogs];
            return;
        }
}

static int log_of(struct run *run, uint64_t segment)
{
    for (size_t i = 0; i < run->nlogs; i++)
        if (run->logs[i].segment == segment)
            return run->logs[i].fd;
    if (run->nlogs == LOGS_MAX)
        close_log(run, run->logs[0].segment);
    int fd = outcome_open(MEMDISK_FOLDER, segment);
    assert(fd >= 0);
    run->logs[run->nlogs++] = (struct log){ segment, fd };
    return fd;
}

/* Makes what is in SEGMENT's log durable. */
static void sync_log(struct run *run, uint64_t segment)
{
    bool done = outcome_sync(log_of(run, segment));
    assert(done);
    (void)done;
    for (size_t i = 0; i < run->books->nmessages; i++)
        for (unsigned r = 0; run->books->messages[i].segment == segment && r < RECIPIENTS_MAX; r++)
            if (run->books->messages[i].sent[r] && run->books->messages[i].finals[r].kept == NEVER)
                run->books->messages[i].finals[r].kept = now();
}

/* An outcome for RECIPIENT of MESSAGE; SYNC: told as durable behind it, with all before it in that log. */
static void record_outcome(struct run *run, struct message *message, unsigned recipient, bool final, bool sync)
{
    static const char reply[] =
        "250 2.0.0 kept, with a text that makes the outcome a little longer than one sector in a few of them";
    struct outcome outcome = {
        .kind = final ? OUTCOME_DELIVERED : OUTCOME_DEFERRED,
        .record_offset = message->offset,
        .id = books_id(message->number),
        .recipient = recipient,
        .attempt = 1,
        .mx = SPAN("mx1.example.com[192.0.2.1]"),
        .tls = SPAN("TLSv1.3"),
        .reply = span_make(reply, chance(run, sizeof reply)),
    };
    struct buffer bytes;
    int fd = log_of(run, message->segment);
    buffer_init(&bytes, 4096);
    outcome_encode(&outcome, &bytes);
    if (final) {
        message->sent[recipient] = true;
        if (message->finals[recipient].begun == NEVER)
            message->finals[recipient].begun = now() + 1;
    }
    bool done = outcome_append(fd, buffer_span(&bytes));
    assert(done);
    (void)done;
    buffer_fini(&bytes);
    if (sync)
        sync_log(run, message->segment);
}

static void send_one(struct run *run)
{
    size_t first = run->books->nmessages ? chance(run, (unsigned)run->books->nmessages) : 0;
    for (size_t k = 0; k < run->books->nmessages; k++) {
        struct message *message = &run->books->messages[(first + k) % run->books->nmessages];
        size_t segment = books_segment(run->books, message->segment);
        if (message->stored.kept == NEVER || run->books->segments[segment].removed != NEVER)
            continue;
        for (unsigned r = 0; r < message->nrecipients; r++)
            if (!message->sent[r]) {
                record_outcome(run, message, r, chance(run, 3) > 0, chance(run, 2) > 0);
                return;
            }
    }
}

/* --- the end of a segment --- */

struct offsets {
    uint64_t items[MESSAGES_MAX];
    size_t count;
};

static bool add_offset(void *context, const struct record *record)
{
    struct offsets *offsets = context;
    assert(offsets->count < MESSAGES_MAX);
    offsets->items[offsets->count++] = record->offset;
    return true;
}

static void seal(uint64_t number)
{
    struct offsets offsets = { .count = 0 };
    uint64_t end = SEGMENT_HEADER_SIZE;
    bool torn;
    int fd = segment_open(MEMDISK_FOLDER, number);
    enum record_verdict verdict = segment_walk(fd, SEGMENT_HEADER_SIZE, add_offset, NULL, &offsets, &end, &torn);
    disk_close(fd);
    if (verdict == RECORD_OK)
        segment_seal(MEMDISK_FOLDER, number, end, offsets.items, offsets.count);
}

static void close_tail(struct run *run)
{
    if (!run->tail)
        return;
    uint64_t number = run->tail->number;
    promise(run, run->tail);
    tail_close(run->tail);
    tail_free(&run->tail);
    seal(number);
}

static bool is_there(const struct message *message, uint64_t segment)
{
    return message->segment == segment && message->stored.begun != NEVER;
}

static bool is_finished(const struct books *books, uint64_t segment)
{
    for (size_t i = 0; i < books->nmessages; i++)
        for (unsigned r = 0; is_there(&books->messages[i], segment) && r < books->messages[i].nrecipients; r++)
            if (!books->messages[i].sent[r])
                return false;
    return true;
}

static void remove_finished(struct run *run)
{
    for (size_t i = 0; i < run->books->nsegments; i++) {
        uint64_t number = run->books->segments[i].number;
        bool written = run->tail && run->tail->number == number;
        if (run->books->segments[i].removed != NEVER || written || !is_finished(run->books, number))
            continue;
        close_log(run, number);
        run->books->segments[i].removed = now() + 1;
        bool done = segment_remove(MEMDISK_FOLDER, number);
        assert(done);
        (void)done;
    }
}

static bool is_sent(const struct message *message)
{
    for (unsigned r = 0; r < message->nrecipients; r++)
        if (!message->sent[r])
            return false;
    return true;
}

struct live {
    const struct books *books;
    struct compact_item *items;
    size_t count;
};

static bool add_live(void *context, const struct record *record)
{
    struct live *live = context;
    for (size_t i = 0; i < live->books->nmessages; i++)
        if (uid_compare(books_id(live->books->messages[i].number), record->id) == 0 && !is_sent(&live->books->messages[i]))
            live->items[live->count++] = (struct compact_item){ .id = record->id, .offset = record->offset };
    return true;
}

/* What is not finished in NUMBER, as a queue that has walked it knows it. */
static size_t find_live(const struct books *books, uint64_t number, struct compact_item items[MESSAGES_MAX])
{
    struct live live = { books, items, 0 };
    uint64_t end;
    bool torn;
    int fd = segment_open(MEMDISK_FOLDER, number);
    segment_walk(fd, SEGMENT_HEADER_SIZE, add_live, NULL, &live, &end, &torn);
    disk_close(fd);
    return live.count;
}

/* From the change BEGUN on, a start may find the segment without its finished messages. */
static void drop_finished(struct books *books, uint64_t number, size_t begun)
{
    books->compactions++;
    for (size_t i = 0; i < books->nmessages; i++)
        if (is_there(&books->messages[i], number) && is_sent(&books->messages[i]) && books->messages[i].dropped == NEVER)
            books->messages[i].dropped = begun;
}

static void compact(struct run *run, uint64_t number)
{
    struct compact_item items[MESSAGES_MAX];
    enum compact_verdict verdict = COMPACT_MORE;
    size_t count = find_live(run->books, number, items);
    sync_log(run, number);
    struct compact *compact = compact_new(MEMDISK_FOLDER, number, items, count);
    size_t begun = now() + 1;
    while (verdict == COMPACT_MORE)
        verdict = compact_step(compact);
    compact_free(&compact);
    if (verdict == COMPACT_DONE)
        drop_finished(run->books, number, begun);
}

/* Each segment that is sealed, not finished, and of which enough is. */
static void compact_some(struct run *run)
{
    if (chance(run, 2))
        close_tail(run);
    for (size_t i = 0; i < run->books->nsegments; i++) {
        uint64_t number = run->books->segments[i].number;
        bool written = run->tail && run->tail->number == number;
        if (run->books->segments[i].removed == NEVER && !written && !is_finished(run->books, number))
            compact(run, number);
    }
}

static void finish(struct run *run)
{
    while (run->nlogs)
        close_log(run, run->logs[0].segment);
    if (run->tail)
        tail_free(&run->tail);
}

void run_spool(uint64_t seed, unsigned steps, struct books *books)
{
    static void (*const doings[])(struct run *) = {
        store_some, store_some, store_some, store_some, store_large,     send_one,     send_one,
        send_one,   send_one,   send_one,   close_tail, remove_finished, compact_some, compact_some,
    };
    struct run run = { .books = books, .state = seed * 2 + 0x9e3779b97f4a7c15u, .next_message = 1, .next_segment = 1 };
    *books = (struct books){ 0 };
    for (unsigned i = 0; i < steps && books->nsegments + 2 < SEGMENTS_MAX; i++)
        doings[chance(&run, sizeof doings / sizeof *doings)](&run);
    finish(&run);
}

static bool no_outcome(void *context, const struct outcome *outcome)
{
    (void)context;
    (void)outcome;
    return true;
}

static void remove_rests(void)
{
    const char *name;
    for (size_t cursor = 0; (name = memdisk_next(memdisk_used(), &cursor));)
        if (compact_is_rest(name))
            disk_calls()->unlinkat(MEMDISK_FOLDER, name);
}

void run_start(struct books *books, uint32_t number)
{
    struct run run = { .books = books, .state = number * 77ull + 5, .next_message = number };
    uint64_t highest = 0;
    size_t nsegments = books->nsegments;
    remove_rests();
    for (size_t i = 0; i < nsegments; i++) {
        uint64_t segment = books->segments[i].number;
        highest = segment > highest ? segment : highest;
        outcome_walk(MEMDISK_FOLDER, segment, true, no_outcome, NULL, NULL);
        if (!is_finished(books, segment))
            seal(segment);
    }
    remove_finished(&run);
    run.next_segment = highest + 100;
    for (size_t i = 0; i < books->nmessages; i++)
        if (is_there(&books->messages[i], books->messages[i].segment) && !books->messages[i].sent[0]) {
            record_outcome(&run, &books->messages[i], 0, true, true);
            break;
        }
    store_some(&run);
    if (run.tail)
        promise(&run, run.tail);
    compact_some(&run);
    finish(&run);
}

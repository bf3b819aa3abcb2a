/* A message on its way in, in the loop's thread: content gathers in chunks that double in size up to 64 KiB, and is checksummed while
 * it is still in the processor's cache. Chunks are never copied again: the thread writes from where they lie.
 *
 * A small message keeps its chunks until it is committed and goes to the thread as a whole. Once it is beyond
 * SEGMENT_LARGE_MESSAGE it asks for a segment of its own; when that comes, full chunks go to the thread as they fill, and what is in
 * memory (`waiting`) is what the disk has not taken yet. */
#include "intake.h"

#include "../base/crc32c.h"
#include "../base/text.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_FIRST   4096
#define CHUNK_MAX     65536
#define WAITING_LIMIT (1024u * 1024) /* of one message in memory: beyond it the caller stops reading */

struct intake *intake_new(struct writer *writer, struct uid id, uint64_t max_size)
{
    struct intake *intake = text_zalloc(sizeof *intake);
    intake->parcel.intake = intake;
    intake->writer = writer;
    intake->record.id = id;
    intake->max_size = max_size;
    list_init(&intake->parcel.node);
    list_init(&intake->among);
    list_init(&intake->chunks);
    writer_prepare(writer);
    return intake;
}

static struct chunk *add_chunk(struct intake *intake, const struct chunk *last)
{
    size_t capacity = last ? last->capacity * 2 : CHUNK_FIRST;
    if (capacity > CHUNK_MAX || intake->large)
        capacity = CHUNK_MAX;
    struct chunk *chunk = text_realloc(NULL, sizeof *chunk + capacity);
    *chunk = (struct chunk){ .capacity = capacity };
    list_append(&intake->chunks, &chunk->parcel.node);
    intake->nchunks++;
    return chunk;
}

static struct chunk *last_chunk(const struct intake *intake)
{
    return list_empty(&intake->chunks) ? NULL : CHUNK_OF(PARCEL_OF(intake->chunks.previous));
}

static void gather(struct intake *intake, struct span content)
{
    struct chunk *chunk = last_chunk(intake);
    while (content.n) {
        if (!chunk || chunk->size == chunk->capacity)
            chunk = add_chunk(intake, chunk);
        struct span part = span_head(content, chunk->capacity - chunk->size);
        memcpy(chunk->bytes + chunk->size, part.p, part.n);
        chunk->size += part.n;
        content = span_skip(content, part.n);
    }
}

static void free_chunks(struct intake *intake)
{
    LIST_EACH(node, &intake->chunks) {
        struct chunk *chunk = CHUNK_OF(PARCEL_OF(node));
        intake->waiting -= chunk->size;
        list_remove(node);
        free(chunk);
    }
    intake->nchunks = 0;
}

static void destroy(struct intake *intake)
{
    assert(!intake->in_flight);
    free_chunks(intake);
    list_remove(&intake->among);
    free(intake->trailer);
    free(intake);
}

/* Calls `drained` where the caller was told to stop (WAS_FULL) and may go on now. */
static void tell_drained(struct intake *intake, bool was_full)
{
    if (was_full && !intake_is_full(intake) && intake->drained && !intake->adding && !intake->committed)
        intake->drained(intake->drained_context);
}

/* Forgets the content and gives the segment up. */
static void forget(struct intake *intake)
{
    free_chunks(intake);
    list_remove(&intake->among);
    if (intake->tail) {
        intake->tail->parcel.kind = PARCEL_RETIRE;
        writer_post(intake->writer, &intake->tail->parcel);
        intake->tail = NULL;
    }
}

static void post(struct intake *intake, enum parcel_kind kind)
{
    intake->posted = true;
    intake->parcel.kind = kind;
    intake->parcel.verdict = intake->verdict;
    intake->parcel.tail = intake->tail;
    intake->tail = NULL;
    list_remove(&intake->among);
    writer_post(intake->writer, &intake->parcel);
}

/* Hands chunks to the thread: full ones, or ALL. */
static void hand_over(struct intake *intake, bool all)
{
    LIST_EACH(node, &intake->chunks) {
        struct chunk *chunk = CHUNK_OF(PARCEL_OF(node));
        if (!all && chunk->size < chunk->capacity)
            break;
        list_remove(node);
        intake->nchunks--;
        intake->in_flight++;
        chunk->parcel.kind = PARCEL_CHUNK;
        chunk->parcel.intake = intake;
        chunk->parcel.tail = intake->tail;
        writer_post(intake->writer, &chunk->parcel);
    }
}

static bool is_over(const struct intake *intake)
{
    return intake->size > intake->max_size;
}

bool intake_add(struct intake *intake, struct span content)
{
    intake->size += content.n;
    if (is_over(intake))
        forget(intake);
    if (is_over(intake) || intake->verdict != WRITER_STORED)
        return false;
    intake->adding = true;
    gather(intake, content);
    intake->waiting += content.n;
    intake->record.content_size += content.n;
    intake->record.content_crc = crc32c(intake->record.content_crc, content.p, content.n);
    if (!intake->large && intake->record.content_size > SEGMENT_LARGE_MESSAGE) {
        intake->large = true;
        writer_ask_large(intake->writer, intake);
    }
    if (intake->tail)
        hand_over(intake, false);
    intake->adding = false;
    return intake->verdict == WRITER_STORED;
}

bool intake_is_full(const struct intake *intake)
{
    return intake->waiting > WAITING_LIMIT && intake->verdict == WRITER_STORED && !is_over(intake);
}

void intake_on_drained(struct intake *intake, void (*drained)(void *context), void *context)
{
    intake->drained = drained;
    intake->drained_context = context;
}

enum writer_verdict intake_verdict(const struct intake *intake)
{
    return intake->verdict;
}

uint64_t intake_size(const struct intake *intake)
{
    return intake->size;
}

/* Copies what follows the content on disk. */
static void make_trailer(struct intake *intake, struct span envelope, struct span prefix)
{
    struct record *record = &intake->record;
    record->envelope_size = (uint32_t)envelope.n;
    record->envelope_crc = crc32c(0, envelope.p, envelope.n);
    record->prefix_size = (uint32_t)prefix.n;
    record->prefix_crc = crc32c(0, prefix.p, prefix.n);
    intake->trailer_size = (size_t)(record_next_offset(record) - record_envelope_offset(record));
    intake->trailer = text_zalloc(intake->trailer_size);
    if (envelope.n)
        memcpy(intake->trailer, envelope.p, envelope.n);
    if (prefix.n)
        memcpy(intake->trailer + envelope.n, prefix.p, prefix.n);
}

void intake_commit(struct intake **intake, struct span envelope, struct span prefix,
                   void (*done)(void *context, enum writer_verdict verdict, const struct writer_place *place), void *context)
{
    struct intake *self = *intake;
    *intake = NULL;
    assert(envelope.n <= UINT32_MAX && prefix.n <= UINT32_MAX);
    self->committed = true;
    self->done = done;
    self->done_context = context;
    if (is_over(self))
        self->verdict = WRITER_FAILED;
    if (self->verdict == WRITER_STORED)
        make_trailer(self, envelope, prefix);
    if (self->verdict != WRITER_STORED || !self->large) {
        post(self, PARCEL_MESSAGE);
    } else if (self->tail) {
        hand_over(self, true);
        post(self, PARCEL_FINISH);
    }
}

void intake_free(struct intake **intake)
{
    struct intake *self = *intake;
    *intake = NULL;
    if (!self)
        return;
    forget(self);
    self->dropped = true;
    if (!self->in_flight)
        destroy(self);
}

void intake_give(struct intake *intake, struct tail *tail)
{
    intake->tail = tail;
    hand_over(intake, intake->committed);
    if (intake->committed)
        post(intake, PARCEL_FINISH);
}

/* WAS_FULL: the caller was told to stop. */
static void fail(struct intake *intake, enum writer_verdict verdict, bool was_full)
{
    intake->verdict = verdict;
    forget(intake);
    if (intake->committed)
        post(intake, PARCEL_MESSAGE);
    else
        tell_drained(intake, was_full);
}

void intake_fail(struct intake *intake, enum writer_verdict verdict)
{
    fail(intake, verdict, intake_is_full(intake));
}

void intake_chunk_back(struct chunk *chunk)
{
    struct intake *intake = chunk->parcel.intake;
    enum writer_verdict verdict = chunk->parcel.verdict;
    bool was_full = intake_is_full(intake);
    intake->waiting -= chunk->size;
    intake->in_flight--;
    free(chunk);
    if (intake->dropped) {
        if (!intake->in_flight)
            destroy(intake);
    } else if (verdict != WRITER_STORED && intake->verdict == WRITER_STORED && !intake->posted && !is_over(intake)) {
        fail(intake, verdict, was_full);
    } else {
        tell_drained(intake, was_full);
    }
}

void intake_finish(struct intake *intake)
{
    struct writer_place place = { .segment = intake->segment, .record = intake->record };
    enum writer_verdict verdict = intake->parcel.verdict;
    void (*done)(void *context, enum writer_verdict verdict, const struct writer_place *place) = intake->done;
    void *context = intake->done_context;
    destroy(intake);
    done(context, verdict, verdict == WRITER_STORED ? &place : NULL);
}

/* Header, chunks and trailer of each message become parts of one pwritev; nothing is copied together first. */
#include "batch.h"

#include "segment.h"

#include <assert.h>
#include <limits.h>
#include <sys/uio.h>

#define BATCH_PARTS IOV_MAX /* of one call */

struct batch {
    struct iovec parts[BATCH_PARTS];
    size_t count;
};

static void add(struct batch *batch, void *bytes, size_t size)
{
    batch->parts[batch->count++] = (struct iovec){ .iov_base = bytes, .iov_len = size };
}

/* Gives the record its place in TAIL's segment and writes its header into the intake. */
static void place(struct intake *intake, const struct tail *tail, uint64_t offset)
{
    intake->segment = tail->number;
    intake->record.offset = offset;
    intake->record.tag = tail->tag;
    intake->record.synced = tail->synced;
    record_encode(&intake->record, intake->header);
}

static void add_message(struct batch *batch, struct intake *intake)
{
    add(batch, intake->header, sizeof intake->header);
    LIST_EACH(node, &intake->chunks) {
        struct chunk *chunk = CHUNK_OF(PARCEL_OF(node));
        add(batch, chunk->bytes, chunk->size);
    }
    add(batch, intake->trailer, intake->trailer_size);
}

/* Takes messages from WAITING into BATCH and GATHERED. Returns the offset behind the last. */
static uint64_t fill(struct batch *batch, const struct tail *tail, struct list *waiting, struct list *gathered)
{
    uint64_t end = tail->end;
    while (!list_empty(waiting) && end < SEGMENT_SIZE_TARGET) {
        struct parcel *parcel = PARCEL_OF(waiting->next);
        struct intake *intake = parcel->intake;
        assert(intake->nchunks + 2 <= BATCH_PARTS);
        if (batch->count + intake->nchunks + 2 > BATCH_PARTS)
            break;
        place(intake, tail, end);
        add_message(batch, intake);
        end = record_next_offset(&intake->record);
        list_remove(&parcel->node);
        list_append(gathered, &parcel->node);
    }
    return end;
}

void batch_write(struct tail *tail, struct list *waiting, struct list *written, struct list *refused)
{
    struct batch batch;
    struct list gathered;
    batch.count = 0;
    list_init(&gathered);
    uint64_t end = fill(&batch, tail, waiting, &gathered);
    enum writer_verdict verdict = tail_write(tail, batch.parts, batch.count, tail->end);
    if (verdict == WRITER_STORED) {
        tail->end = end;
        parcel_move_all(written, &gathered);
        return;
    }
    LIST_EACH(node, &gathered)
        PARCEL_OF(node)->verdict = verdict;
    parcel_move_all(refused, &gathered);
}

enum writer_verdict batch_finish_large(struct tail *tail, struct intake *intake)
{
    struct iovec trailer = { .iov_base = intake->trailer, .iov_len = intake->trailer_size };
    struct iovec header = { .iov_base = intake->header, .iov_len = sizeof intake->header };
    assert(tail->streamed == intake->record.content_size);
    place(intake, tail, tail->end);
    enum writer_verdict verdict = tail_write(tail, &trailer, 1, record_envelope_offset(&intake->record));
    if (verdict == WRITER_STORED)
        verdict = tail_write(tail, &header, 1, tail->end);
    if (verdict == WRITER_STORED)
        tail->end = record_next_offset(&intake->record);
    return verdict;
}

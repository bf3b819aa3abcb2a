/* A direct-mapped cache: the slot follows from the entry's id, and a newer message takes it over. Bounded by slots and by recipients
 * in all of them, so that a few messages to thousands cost no more than many to one. */
#include "envelopes.h"

#include "../base/text.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS          512 /* a power of two; a slot has a kilobyte */
#define RECIPIENTS_MAX 100000

struct slot {
    bool used;
    struct envelope envelope;
};

struct envelopes {
    struct slot slots[SLOTS];
    size_t recipients;
    size_t hand;         /* where the search for recipients that may go has come to */
    struct buffer bytes; /* the stored form, while it is read */
};

struct envelopes *envelopes_new(void)
{
    struct envelopes *envelopes = text_zalloc(sizeof *envelopes);
    buffer_init(&envelopes->bytes, ENVELOPE_STORED_MAX);
    return envelopes;
}

static void empty(struct envelopes *envelopes, struct slot *slot)
{
    if (!slot->used)
        return;
    envelopes->recipients -= slot->envelope.nrecipients;
    envelope_fini(&slot->envelope);
    slot->used = false;
}

void envelopes_free(struct envelopes **envelopes)
{
    if (!*envelopes)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        empty(*envelopes, &(*envelopes)->slots[i]);
    buffer_fini(&(*envelopes)->bytes);
    free(*envelopes);
    *envelopes = NULL;
}

enum record_verdict envelopes_read(struct queue *queue, struct pair *pair, uint64_t offset, struct envelope *envelope,
                                   struct record *ret_record)
{
    struct record record;
    struct buffer *bytes = &queue->envelopes->bytes;
    int fd = pair_segment(queue->store, pair);
    if (fd < 0)
        return RECORD_IO;
    enum record_verdict verdict = record_read(fd, offset, INT64_MAX, &record);
    buffer_clear(bytes);
    if (verdict == RECORD_OK)
        verdict = record_read_envelope(fd, &record, bytes);
    if (verdict == RECORD_OK && !envelope_load(buffer_span(bytes), envelope))
        verdict = RECORD_DAMAGED;
    if (buffer_size(bytes) > 65536)
        buffer_fini(bytes);
    if (verdict != RECORD_OK)
        return verdict;
    envelope->id = record.id;
    if (ret_record)
        *ret_record = record;
    return RECORD_OK;
}

static struct slot *slot_of(struct envelopes *envelopes, struct uid id)
{
    unsigned hash = (unsigned)id.bytes[4] << 8 | id.bytes[5];
    return &envelopes->slots[(hash * 31 + ((unsigned)id.bytes[10] << 8 | id.bytes[11]) * 7 + id.bytes[9]) & (SLOTS - 1)];
}

void envelopes_keep(struct queue *queue, const struct entry *entry, struct envelope *envelope)
{
    struct envelopes *envelopes = queue->envelopes;
    struct slot *slot = slot_of(envelopes, entry->id);
    empty(envelopes, slot);
    for (size_t i = 0; i < SLOTS && envelopes->recipients + envelope->nrecipients > RECIPIENTS_MAX; i++)
        empty(envelopes, &envelopes->slots[envelopes->hand++ & (SLOTS - 1)]);
    slot->envelope = *envelope;
    slot->used = true;
    envelopes->recipients += envelope->nrecipients;
    envelope_init(envelope);
}

const struct envelope *envelopes_get(struct queue *queue, const struct entry *entry, enum record_verdict *ret_verdict)
{
    struct slot *slot = slot_of(queue->envelopes, entry->id);
    if (ret_verdict)
        *ret_verdict = RECORD_OK;
    if (slot->used && uid_compare(slot->envelope.id, entry->id) == 0)
        return &slot->envelope;
    struct envelope envelope;
    envelope_init(&envelope);
    enum record_verdict verdict = envelopes_read(queue, entry->pair, entry->offset, &envelope, NULL);
    if (verdict == RECORD_OK && uid_compare(envelope.id, entry->id) != 0)
        verdict = RECORD_DAMAGED;
    if (verdict == RECORD_OK)
        envelopes_keep(queue, entry, &envelope);
    envelope_fini(&envelope);
    if (ret_verdict)
        *ret_verdict = verdict;
    return verdict == RECORD_OK ? &slot->envelope : NULL;
}

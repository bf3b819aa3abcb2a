/* What happens to the file after a failure decides whether a refused message can come back.
 *
 * No space (ENOSPC, EDQUOT): nothing is wrong with what was written before, so the file is cut back to the last good end and used
 * on; the next message may fit. Any other error of a write: the file is cut back and given up after what was written before is
 * synced. fdatasync fails: which pages got to the disk is unknown and asking again proves nothing, so the file is given up, cut back
 * to what an earlier fdatasync had confirmed. Cutting is not synced; if it is lost with the power, recovery may deliver a message
 * that was refused (a duplicate where the client sent it again), never lose one. */
#include "tail.h"

#include "../base/text.h"
#include "disk.h"
#include "segment.h"

#include <errno.h>
#include <stdlib.h>

struct tail *tail_new(uint64_t number, int fd)
{
    struct tail *tail = text_zalloc(sizeof *tail);
    *tail = (struct tail){ .number = number, .fd = fd, .end = SEGMENT_HEADER_SIZE, .synced = SEGMENT_HEADER_SIZE };
    list_init(&tail->parcel.node);
    tail->parcel.tail = tail;
    return tail;
}

void tail_free(struct tail **tail)
{
    if (*tail && (*tail)->fd >= 0)
        disk_close((*tail)->fd);
    free(*tail);
    *tail = NULL;
}

static void give_up(struct tail *tail)
{
    tail->verdict = WRITER_FAILED;
    tail->failed = true;
}

bool tail_is_usable(struct tail *tail)
{
    bool damaged;
    if (!tail->ready) {
        tail->ready = true;
        if (segment_tag(tail->fd, &tail->tag, &damaged) != RECORD_OK || damaged)
            give_up(tail);
    }
    return tail->verdict == WRITER_STORED;
}

static bool is_full(int why)
{
    return why == ENOSPC || why == EDQUOT;
}

enum writer_verdict tail_write(struct tail *tail, struct iovec *parts, size_t count, uint64_t offset)
{
    if (disk_write(tail->fd, parts, count, offset))
        return WRITER_STORED;
    bool full = is_full(errno);
    if (disk_calls()->ftruncate(tail->fd, (off_t)tail->end) < 0 || !full)
        give_up(tail);
    return full ? WRITER_FULL : WRITER_FAILED;
}

enum writer_verdict tail_sync(struct tail *tail)
{
    if (tail->synced == tail->end)
        return WRITER_STORED;
    if (disk_calls()->fdatasync(tail->fd) == 0) {
        tail->synced = tail->end;
        return WRITER_STORED;
    }
    bool full = is_full(errno);
    give_up(tail);
    return full ? WRITER_FULL : WRITER_FAILED;
}

void tail_close(struct tail *tail)
{
    uint64_t size;
    if (disk_size(tail->fd, &size) && size > tail->synced && disk_calls()->ftruncate(tail->fd, (off_t)tail->synced) < 0)
        tail->failed = true;
    disk_close(tail->fd);
    tail->fd = -1;
}

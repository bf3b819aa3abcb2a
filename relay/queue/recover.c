/* Each pair is read on its own and a broken one stops nothing else. A round of the loop reads for some milliseconds, one pair at least,
 * so that mail is taken in while a large spool is read; a message that is told in a pair that was not read yet has that pair read first, since only its log knows
 * whether the message is finished. */
#include "recover.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../spool/compact.h"
#include "../spool/segment.h"
#include "../spool/table.h"
#include "arrive.h"
#include "entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUND_MS 20

struct finding {
    struct queue *queue;
    struct pair *pair;
    struct map *history;
    bool open; /* the segment was never sealed, and nobody writes */
};

static void complain(struct pair *pair, const char *what, const char *why)
{
    log_say(LOG_ERROR, "error", "segment %016llx: %s: %s; it stays in the spool and nothing of it is sent",
            (unsigned long long)pair->number, what, why);
    pair->damaged = true;
}

static bool found_record(void *context, const struct record *record)
{
    const struct finding *finding = context;
    const struct history *history = history_of(finding->history, record->id);
    arrive_recovered(finding->queue, finding->pair, record, history);
    return true;
}

static void found_damage(void *context, uint64_t offset, const char *what)
{
    const struct finding *finding = context;
    log_say(LOG_ERROR, "error", "segment %016llx, at %llu: %s; %s", (unsigned long long)finding->pair->number,
            (unsigned long long)offset, what,
            offset ? "that record is set aside, the others are sent" : "what is in the segment is sent");
    finding->pair->damaged = true;
}

static void found_log_damage(void *context, uint64_t offset, const char *what)
{
    struct pair *pair = context;
    log_say(LOG_ERROR, "error",
            "segment %016llx, its outcome log at %llu: %s; recipients whose outcome was there may be sent to again",
            (unsigned long long)pair->number, (unsigned long long)offset, what);
    pair->log_damaged = pair->log_damaged || what != outcome_torn_end;
}

/* Has FD a table at its end? */
static bool is_sealed(int fd)
{
    struct table table;
    struct stat status;
    uint64_t tag;
    if (segment_tag(fd, &tag, NULL) != RECORD_OK || fstat(fd, &status) != 0 ||
        !table_read(fd, (uint64_t)status.st_size, tag, &table))
        return false;
    table_fini(&table);
    return true;
}

/* The writer is looked for before the walk: what it writes meanwhile is then found when it has gone, never missed. */
static void read_segment(struct finding *finding, int fd)
{
    struct pair *pair = finding->pair;
    struct store *store = finding->queue->store;
    uint64_t end = SEGMENT_HEADER_SIZE;
    bool torn;
    if (segment_has_writer(store->folder, pair->number))
        pair->writer = PAIR_FOREIGN_WRITER;
    enum record_verdict verdict = segment_walk(fd, SEGMENT_HEADER_SIZE, found_record, found_damage, finding, &end, &torn);
    if (verdict == RECORD_IO)
        pair_unread(pair, "the segment cannot be read");
    else if (verdict == RECORD_DAMAGED)
        complain(pair, "the segment cannot be read", "it is damaged, or of another version");
    if (pair->known_end < end)
        pair->known_end = end;
    pair->settled_end = pair->known_end;
    finding->open = pair->writer == PAIR_NO_WRITER && verdict == RECORD_OK && !is_sealed(fd);
}

/* Does the log speak of a message that waits, and that is not there? */
static bool look_for(void *context, struct span key, void *value)
{
    const struct finding *finding = context;
    const struct history *history = value;
    char id[UID_TEXT_SIZE];
    (void)key;
    if (!history_waits(history) || entry_find(finding->queue, history->id))
        return true;
    uid_print(history->id, id);
    if (finding->pair->log_damaged) {
        log_say(
            LOG_ERROR, "error",
            "segment %016llx: message %s is not there, and its damaged log does not say that it is finished; it most likely is",
            (unsigned long long)finding->pair->number, id);
        return true;
    }
    log_say(LOG_ERROR, "error", "segment %016llx: message %s waits, its log says, but is not there; restore the segment",
            (unsigned long long)finding->pair->number, id);
    finding->pair->damaged = true;
    return true;
}

/* Reads the segment that is open as FD; a message of which the log alone knows is missed. */
static void read_open(struct finding *finding, int fd)
{
    struct pair *pair = finding->pair;
    uint64_t other;
    if (!segment_is_other(fd, pair->number, &other)) {
        read_segment(finding, fd);
        return;
    }
    char what[64];
    text_format(what, sizeof what, "it is segment %016llx, copied or renamed", (unsigned long long)other);
    complain(pair, "another segment lies here", what);
}

/* A log is made before anybody may write to its segment. */
static void miss_log(const struct finding *finding)
{
    const struct pair *pair = finding->pair;
    char name[SEGMENT_NAME_SIZE];
    struct stat status;
    segment_log_name(pair->number, name);
    if (pair->live && fstatat(finding->queue->store->folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        log_say(LOG_WARNING, "error", "segment %016llx has no outcome log; it is sent as if nothing had been tried",
                (unsigned long long)pair->number);
}

static void read_pair(struct finding *finding)
{
    struct pair *pair = finding->pair;
    int fd = segment_open(finding->queue->store->folder, pair->number);
    if (fd < 0 && errno != ENOENT)
        pair_unread(pair, "the segment cannot be opened");
    else if (fd >= 0)
        read_open(finding, fd);
    if (fd >= 0)
        close(fd);
    if (!pair->recovered)
        return;
    map_each(finding->history, look_for, finding);
    miss_log(finding);
    if (finding->open)
        store_seal(finding->queue->store, pair);
}

/* Not yet to be read again, or its log, which was read and is to be read anew, lacks what could not be written. */
static bool must_wait(const struct queue *queue, struct pair *pair)
{
    return pair->compacting || pair->again_ms > clock_monotonic_ms() ||
           (buffer_size(&pair->pending) && !pair_flush(queue->store, pair));
}

void recover_pair(struct queue *queue, struct pair *pair)
{
    if (pair->recovered || must_wait(queue, pair))
        return;
    pair->recovered = true;
    if (pair->known_end < SEGMENT_HEADER_SIZE)
        pair->known_end = SEGMENT_HEADER_SIZE;
    struct finding finding = { .queue = queue, .pair = pair };
    finding.history = history_read(queue->store->folder, pair->number, found_log_damage, pair);
    pair->deferred = pair->deferred || (finding.history && map_count(finding.history));
    if (finding.history)
        read_pair(&finding);
    else if (errno == EPROTONOSUPPORT)
        complain(pair, "its outcome log cannot be read", "it is of another version, or of another segment");
    else
        pair_unread(pair, "its outcome log cannot be read");
    history_free(&finding.history);
    if (pair->recovered && pair->unread)
        log_say(LOG_INFO, "notice", "segment %016llx can be read again", (unsigned long long)pair->number);
    pair->unread = !pair->recovered;
    store_consider(queue->store, pair);
}

static void recover_next(void *context)
{
    struct queue *queue = context;
    int64_t begun_ms = clock_monotonic_ms();
    LIST_EACH(node, &queue->store->all) {
        recover_pair(queue, LIST_ENTRY(node, struct pair, in_store));
        if (clock_monotonic_ms() - begun_ms > ROUND_MS) {
            timer_again(&queue->store->recovery, 0);
            return;
        }
    }
    if (entries_count(queue))
        log_say(LOG_INFO, "notice", "the spool has been read: %zu messages are queued", entries_count(queue));
}

/* Removes the unfinished file NAME of a compaction whose process died. */
static void remove_rest(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) != 0)
        log_say(LOG_WARNING, "error", "%s, which is of no use any more, cannot be removed: %s", name, strerror(errno));
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The numbers of all segments and logs in FOLDER, ascending, some twice. FIRST: the role has just begun. */
static uint64_t *list_numbers(DIR *folder, bool first, size_t *ret_count)
{
    uint64_t *numbers = text_zalloc(sizeof *numbers), number;
    const struct dirent *file;
    size_t count = 0;
    while ((file = readdir(folder))) {
        if (first && compact_is_rest(file->d_name))
            remove_rest(dirfd(folder), file->d_name);
        if (!segment_parse_name(file->d_name, ".seg", &number) && !segment_parse_name(file->d_name, ".log", &number))
            continue;
        if ((count & (count + 1)) == 0) /* 2^n - 1 */
            numbers = text_realloc(numbers, 2 * (count + 1) * sizeof *numbers);
        numbers[count++] = number;
    }
    qsort(numbers, count, sizeof *numbers, compare_numbers);
    *ret_count = count;
    return numbers;
}

/* A fresh spool begins to count at the seconds of the clock: numbers are then not used again when a spool was emptied and a writer
 * of an earlier segment is still about. */
static uint64_t first_number(uint64_t highest)
{
    uint64_t now_s = (uint64_t)clock_wall_ms() / 1000;
    return highest + 1 > now_s ? highest + 1 : now_s;
}

/* Makes a pair of each number in the folder from LEAST on that has none, and begins to recover them. *RET_HIGHEST is the highest number
 * that was not carried here, and 0 where there is none. */
static bool enlist(struct queue *queue, uint64_t least, unsigned *ret_found, uint64_t *ret_highest)
{
    struct store *store = queue->store;
    int fd = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        log_say(LOG_ERROR, "error", "spool.directory %s cannot be read: %s", queue_conf(queue)->spool.directory, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    size_t count;
    uint64_t *numbers = list_numbers(folder, !least, &count);
    closedir(folder);
    *ret_found = 0;
    *ret_highest = 0;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] < SEGMENT_CARRIED)
            *ret_highest = numbers[i];
        if (numbers[i] < least || store_pair(store, numbers[i]))
            continue;
        pair_new(store, numbers[i]);
        ++*ret_found;
    }
    free(numbers);
    timer_set(&store->recovery, store->loop, 0, recover_next, queue);
    return true;
}

bool recover_start(struct queue *queue)
{
    unsigned found;
    uint64_t highest;
    if (!enlist(queue, 0, &found, &highest))
        return false;
    queue->store->next_number = first_number(highest);
    return true;
}

bool recover_new(struct queue *queue, unsigned *ret_found)
{
    uint64_t highest;
    return enlist(queue, SEGMENT_CARRIED, ret_found, &highest);
}

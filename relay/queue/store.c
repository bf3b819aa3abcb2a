/* Jobs: sync of a log, seal of a segment, removal of a pair. While one runs for a pair, a flag at the pair keeps the others away and its
 * descriptors open. The room is looked at once a second; between "enough" and "not enough" lies a sixteenth, so that a disk at the
 * very limit does not flicker. */
#include "store.h"

#include "../base/log.h"
#include "../base/text.h"
#include "../spool/segment.h"
#include "channels.h"
#include "recover.h"
#include "supply.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* A job for one pair. */
struct errand {
    struct job job;
    struct pair *pair;
    int folder;
    int fd;
    uint64_t number;
    uint64_t end;
    bool deferred;
    bool done;
    int problem;
};

static void send_errand(struct store *store, struct pair *pair, void (*work)(struct job *), void (*done)(void *, struct job *))
{
    struct errand *errand = text_zalloc(sizeof *errand);
    *errand = (struct errand){
        .job = { .work = work, .done = done },
        .pair = pair,
        .folder = store->folder,
        .fd = pair->log_fd,
        .number = pair->number,
        .end = pair->known_end,
        .deferred = pair->deferred,
    };
    worker_submit(store->worker, &errand->job);
}

static void report_errand(const struct errand *errand, const char *what, const char *then)
{
    if (!errand->done)
        log_say(LOG_ERROR, "error", "segment %016llx: %s: %s; %s", (unsigned long long)errand->number, what,
                strerror(errand->problem), then);
}

static void do_sync(struct job *job)
{
    struct errand *errand = (struct errand *)job;
    errand->done = outcome_sync(errand->fd);
    errand->problem = errno;
}

/* After a failed sync the descriptor is not used again: what was appended since may be gone after a power cut, and its recipients
 * are then sent to once more. */
static void synced(void *context, struct job *job)
{
    struct queue *queue = context;
    struct errand *errand = (struct errand *)job;
    struct pair *pair = errand->pair;
    report_errand(errand, "its outcomes could not be synced", "after a power cut some recipients may be sent to again");
    pair->syncing = false;
    if (!errand->done) {
        close(pair->log_fd);
        pair->log_fd = -1;
        pair->small_enough = 0; /* what is finished may not be on the disk, and no later sync would show it: its records stay */
    }
    store_consider(queue->store, pair);
    free(errand);
}

struct offsets {
    uint64_t *items;
    size_t count;
    uint64_t limit;
};

static bool add_offset(void *context, const struct record *record)
{
    struct offsets *offsets = context;
    if (record->offset >= offsets->limit)
        return false;
    if (offsets->count % 1024 == 0)
        offsets->items = text_realloc(offsets->items, (offsets->count + 1024) * sizeof *offsets->items);
    offsets->items[offsets->count++] = record->offset;
    return true;
}

static void do_seal(struct job *job)
{
    struct errand *errand = (struct errand *)job;
    struct offsets offsets = { .limit = errand->end };
    uint64_t end;
    bool torn;
    int fd = segment_open(errand->folder, errand->number);
    enum record_verdict verdict =
        fd < 0 ? RECORD_IO : segment_walk(fd, SEGMENT_HEADER_SIZE, add_offset, NULL, &offsets, &end, &torn);
    errand->done =
        verdict == RECORD_OK && segment_seal(errand->folder, errand->number, errand->end, offsets.items, offsets.count);
    errand->problem = verdict == RECORD_OK || verdict == RECORD_IO ? errno : EBADMSG;
    if (fd >= 0)
        close(fd);
    free(offsets.items);
}

static void sealed(void *context, struct job *job)
{
    struct queue *queue = context;
    struct errand *errand = (struct errand *)job;
    report_errand(errand, "it could not be sealed", "it is used as it is");
    errand->pair->sealing = false;
    store_consider(queue->store, errand->pair);
    free(errand);
}

void store_seal(struct store *store, struct pair *pair)
{
    if (pair->live && pair->recovered && !pair->damaged && !pair->sealing) {
        pair->sealing = true;
        send_errand(store, pair, do_seal, sealed);
    } else {
        store_consider(store, pair);
    }
}

/* Where the log says that somebody waited, the end of that is synced first: after a power cut in the middle of the removal it would
 * tell of a message that is lost with its segment. */
static void do_remove(struct job *job)
{
    struct errand *errand = (struct errand *)job;
    bool synced = !errand->deferred || outcome_sync_log(errand->folder, errand->number);
    errand->done = synced && segment_remove(errand->folder, errand->number);
    errand->problem = errno;
}

static void removed(void *context, struct job *job)
{
    struct queue *queue = context;
    struct errand *errand = (struct errand *)job;
    report_errand(errand, "all is done, but it could not be removed", "it is tried again at the next start");
    pair_free(queue->store, &errand->pair);
    free(errand);
}

static void sync_pair(struct store *store, struct pair *pair)
{
    if (!pair->unsynced || pair->syncing || pair->log_fd < 0 || buffer_size(&pair->pending))
        return;
    pair->unsynced = false;
    pair->syncing = true;
    send_errand(store, pair, do_sync, synced);
}

void store_consider(struct store *store, struct pair *pair)
{
    if (pair->live || pair->writer != PAIR_NO_WRITER || !pair->recovered || pair->damaged)
        return;
    bool busy = pair->sealing || pair->syncing || pair->removing || pair->compacting || buffer_size(&pair->pending);
    if (busy)
        return;
    pair->unsynced = false;
    pair->removing = true;
    pair_close(store, pair);
    send_errand(store, pair, do_remove, removed);
}

struct pair *store_pair_from(const struct store *store, uint64_t number)
{
    LIST_EACH(node, (struct list *)(uintptr_t)&store->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        if (pair->number >= number)
            return pair;
    }
    return NULL;
}

static void look_at_room(struct store *store)
{
    struct statfs room;
    if (fstatfs(store->folder, &room) != 0)
        return;
    uint64_t want = queue_conf(store->queue)->spool.minimum_free, free_bytes = (uint64_t)room.f_bavail * (uint64_t)room.f_bsize;
    bool enough = free_bytes >= (store->enough ? want : want + want / 16);
    if (enough == store->enough)
        return;
    store->enough = enough;
    if (enough)
        log_say(LOG_INFO, "notice", "the spool has room again: mail is accepted");
    else
        log_say(LOG_ERROR, "error",
                "the spool has %llu MiB left, less than spool.minimum-free: no mail is accepted until there is more",
                (unsigned long long)(free_bytes >> 20));
    channels_tell_space(store->queue);
}

void store_tick(struct store *store)
{
    look_at_room(store);
    LIST_EACH(node, &store->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        if (buffer_size(&pair->pending) && pair_flush(store, pair))
            store_consider(store, pair);
        sync_pair(store, pair);
        if (pair->unread)
            recover_pair(store->queue, pair);
        if (pair->writer == PAIR_FOREIGN_WRITER && pair->recovered)
            supply_watch(store->queue, pair);
    }
}

void store_sync(struct store *store)
{
    LIST_EACH(node, &store->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        if (buffer_size(&pair->pending))
            pair_flush(store, pair);
        if (pair->unsynced && pair->log_fd >= 0)
            outcome_sync(pair->log_fd);
        pair->unsynced = false;
    }
}

/* Opens PATH as USER does (NULL: as the caller): root may have no right to read what others own, as under systemd. */
static int open_as(const struct passwd *user, const char *path)
{
    if (user)
        setfsuid(user->pw_uid);
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), problem = errno;
    if (user)
        setfsuid(geteuid());
    errno = problem;
    return folder;
}

/* Opens or makes the folder PATH; one that is root's is given to the role's user. */
static int open_folder(const struct role *role, const char *path)
{
    struct stat status;
    const struct passwd *user = geteuid() == 0 ? getpwnam(role_user(role->kind)) : NULL;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return -1;
    if (user && stat(path, &status) == 0 && status.st_uid == 0 && chown(path, user->pw_uid, user->pw_gid) != 0)
        log_say(LOG_WARNING, "notice", "%s belongs to root and cannot be given to %s: %s", path, user->pw_name, strerror(errno));
    return open_as(user, path);
}

/* Would the spool be gone with the power? */
static bool is_volatile(int folder)
{
    struct statfs kind;
    return fstatfs(folder, &kind) == 0 && (kind.f_type == TMPFS_MAGIC || kind.f_type == RAMFS_MAGIC);
}

static bool take_folder(const struct queue *queue, int folder, const char *path)
{
    if (is_volatile(folder) && !queue_conf(queue)->spool.allow_volatile)
        log_say(LOG_ERROR, "error",
                "spool.directory %s lies in memory: accepted mail would be lost with the power; use a disk, or set "
                "allow-volatile = yes in spool { }",
                path);
    else if (flock(folder, LOCK_EX | LOCK_NB) != 0)
        log_say(LOG_ERROR, "error", "spool.directory %s is in use by another postern queue: this one does not start", path);
    else
        return true;
    return false;
}

struct store *store_new(struct queue *queue)
{
    const char *path = queue_conf(queue)->spool.directory;
    int folder = open_folder(queue->role, path);
    if (folder < 0)
        log_say(LOG_ERROR, "error", "spool.directory %s cannot be opened: %s", path, strerror(errno));
    if (folder < 0 || !take_folder(queue, folder, path)) {
        if (folder >= 0)
            close(folder);
        return NULL;
    }
    struct store *store = text_zalloc(sizeof *store);
    *store = (struct store){ .queue = queue, .loop = queue->loop, .folder = folder, .enough = true, .pairs = map_new(0) };
    list_init(&store->all);
    list_init(&store->dirty);
    list_init(&store->open);
    store->worker = worker_new(queue->loop, queue);
    store->writer = writer_new(queue->loop, &supply_events, queue);
    if (store->worker && store->writer)
        return store;
    log_say(LOG_ERROR, "error", "the queue's threads cannot be started: %s", strerror(errno));
    store_free(&store);
    return NULL;
}

void store_end_writer(struct store *store)
{
    if (store)
        writer_free(&store->writer);
}

void store_free(struct store **store)
{
    if (!*store)
        return;
    store_end_writer(*store);
    timer_fini(&(*store)->recovery);
    timer_fini(&(*store)->flush);
    store_sync(*store);
    worker_free(&(*store)->worker);
    LIST_EACH(node, &(*store)->all) {
        struct pair *pair = LIST_ENTRY(node, struct pair, in_store);
        pair_free(*store, &pair);
    }
    map_free(&(*store)->pairs, NULL);
    close((*store)->folder);
    free(*store);
    *store = NULL;
}

/* The folder holds files limits-NUMBER.log of one kind of record: "this key of this limit had so much used at that time of the wall
 * clock"; and, in the same frame, pairs that were seen. All files are read in the order of their numbers, the last record of a key holds. That is all there is to a start, and
 * whatever was torn or damaged costs the rest of its file and nothing else.
 *
 * A file grows by what changes. When it is several times as large as it need be, the next one is begun: changes go there from then
 * on, and in small steps so does everything else, while questions are answered in between. When all is there, it is synced, and only
 * then the older files go. So at no moment is there less on the disk than before, and there is no second format for a snapshot. A
 * start begins a new file as well, and so does the retry after a failed write: a file that failed is never written again.
 *
 * Monotonic time means nothing to another process; the wall clock does, more or less. Where it went back, nothing is taken as drained
 * in between; where it was wrong and far ahead, limits begin anew. */
#include "store_local.h"

#include "../relay/base/buffer.h"
#include "../relay/base/clock.h"
#include "../relay/base/crc32c.h"
#include "../relay/base/log.h"
#include "../relay/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLUSH_MS     1000               /* what a kill may cost */
#define STEP_MS      20                 /* between steps of a rewriting */
#define RETRY_MS     30000              /* after a failed write */
#define CHUNK        (256u << 10)       /* bytes gathered before a write */
#define SIZE_MIN     ((int64_t)1 << 20) /* a file below this is left to grow */
#define GROWTH       4                  /* times what it was when all was written */
#define FILE_MAX     ((int64_t)1 << 32) /* larger ones are not read */
#define FILES_MAX    64                 /* there are two, or three where one could not be completed */
#define NUMBER_WIDTH 16
#define NUMBER_MAX   1000000000000000u /* what is beyond was not made here */
#define MAGIC        "postern limits 1"
#define MAGIC_SIZE   16

/* Kinds of records that are no bucket, in place of the limit's `key`: a share of share.h, whose three numbers are in `used`; or such that
 * speak of no limit, with an empty name, and in the key's place pairs of seen.h, or the key that they are hashed with. */
enum { KIND_SHARE = 0xfd, KIND_PAIRS = 0xfe, KIND_HASH_KEY = 0xff };
#define SHARE_BITS 21
#define SHARE_MOST ((UINT64_C(1) << SHARE_BITS) - 1)
#define PAIRS_SIZE (20 * SEEN_RECORD_SIZE) /* of one record */

/* Followed by the limit's name and the key. In the machine's own byte order: the folder stays where it is. */
struct record {
    uint32_t crc; /* of all that follows, name and key included */
    uint16_t size;
    uint8_t name_size, key_size;
    uint8_t key, count; /* what the limit is about, as enums of conf.h */
    uint8_t zero[6];
    uint64_t used;
    int64_t wall_ms;
};

struct store_local {
    struct loop *loop;
    struct limit_set *limits;
    struct seen *seen; /* borrowed */
    struct timer timer;
    int folder;
    int fd;                    /* -1 after a failure, until RETRY_MS have passed */
    uint64_t files[FILES_MAX]; /* numbers of those that are there, in order; the last is written to */
    size_t nfiles;
    int64_t size, full_size;
    bool rewriting;
    size_t limit;   /* how far it has come: to this one … */
    bool at_shares; /* … of which the buckets are written … */
    size_t cursor;  /* … and so much of the buckets, shares or pairs */
    int64_t flushed_ms, retry_ms;
    struct buffer out;
    struct buffer pairs;
    const struct limit *writing; /* whose keys are being visited … */
    int64_t wall_ms;             /* … and when */
};

bool store_local_prepare(const char *folder, const char *user)
{
    struct stat known;
    if (stat(folder, &known) == 0 && S_ISDIR(known.st_mode))
        return true;
    if (mkdir(folder, 0700) != 0) {
        log_say(LOG_ERROR, "error", "the folder %s of policy { directory } is missing and cannot be made: %s", folder,
                strerror(errno));
        return false;
    }
    const struct passwd *owner = geteuid() == 0 ? getpwnam(user) : NULL;
    if (owner && chown(folder, owner->pw_uid, owner->pw_gid) != 0)
        log_say(LOG_ERROR, "error", "the folder %s cannot be given to the user %s: %s", folder, user, strerror(errno));
    return true;
}

static void file_name(uint64_t number, char name[64])
{
    text_format(name, 64, "limits-%0*llu.log", NUMBER_WIDTH, (unsigned long long)number);
}

static bool file_number(const char *name, uint64_t *ret_number)
{
    struct span rest = span_of(name);
    if (!span_starts_nocase(rest, SPAN("limits-")) || !span_ends_nocase(rest, SPAN(".log")) || rest.n != 7 + NUMBER_WIDTH + 4)
        return false;
    return text_number(span_make(rest.p + 7, NUMBER_WIDTH), 1, NUMBER_MAX, ret_number);
}

/* Takes the record at the front of *REST. False where there is none that is whole. */
static bool next_record(struct span *rest, struct record *record, struct span *name, struct span *key)
{
    if (rest->n < sizeof *record)
        return false;
    memcpy(record, rest->p, sizeof *record);
    if (record->size != sizeof *record + record->name_size + record->key_size || record->size > rest->n)
        return false;
    if (crc32c(0, rest->p + sizeof record->crc, record->size - sizeof record->crc) != record->crc)
        return false;
    *name = span_make(rest->p + sizeof *record, record->name_size);
    *key = span_make(name->p + name->n, record->key_size);
    *rest = span_skip(*rest, record->size);
    return true;
}

/* A share counts as of when it was written, in its own window; one that is read again adds nothing. */
static void restore_share(struct limit_set *limits, const struct record *record, struct span name, struct span key)
{
    struct limit *limit = limit_named(limits, name, CONF_KEY_ACCOUNT, record->count);
    struct share share = { .bad = (uint32_t)(record->used >> 2 * SHARE_BITS & SHARE_MOST),
                           .all = (uint32_t)(record->used >> SHARE_BITS & SHARE_MOST),
                           .asked = (uint32_t)(record->used & SHARE_MOST) };
    if (!limit || !limit->shares)
        return;
    share_restore(limit->shares, key, share, record->wall_ms);
}

size_t store_local_read(struct limit_set *limits, struct seen *seen, struct span bytes)
{
    int64_t now_ms = clock_monotonic_ms(), wall_ms = clock_wall_ms();
    struct record record;
    struct span name, key;
    size_t count = 0;
    if (!span_equal(span_head(bytes, MAGIC_SIZE), SPAN(MAGIC)))
        return 0;
    bytes = span_skip(bytes, MAGIC_SIZE);
    for (; next_record(&bytes, &record, &name, &key); count++) {
        struct limit *limit = limit_named(limits, name, record.key, record.count);
        int64_t ago_ms = record.wall_ms >= 0 && record.wall_ms < wall_ms ? wall_ms - record.wall_ms : 0;
        if (record.key == KIND_PAIRS)
            seen_restore(seen, key);
        else if (record.key == KIND_HASH_KEY && key.n == SEEN_KEY_SIZE)
            seen_set_key(seen, (const unsigned char *)key.p);
        else if (record.key == KIND_SHARE)
            restore_share(limits, &record, name, key);
        else if (limit)
            bucket_restore(limit->buckets, key, record.used, ago_ms, now_ms);
    }
    if (bytes.n)
        log_say(LOG_WARNING, "notice", "the last %zu bytes of a file of what limits have counted are damaged and left out",
                bytes.n);
    return count;
}

static void read_file(struct store_local *store, uint64_t number)
{
    char name[64];
    struct stat known;
    file_name(number, name);
    int fd = openat(store->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &known) == 0 && S_ISREG(known.st_mode) && known.st_size > 0 && known.st_size < FILE_MAX) {
        size_t size = (size_t)known.st_size;
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            store_local_read(store->limits, store->seen, span_make(bytes, size));
            munmap(bytes, size);
        }
    }
    if (fd >= 0)
        close(fd);
}

/* Enters NUMBER in order. Where there are too many, the oldest is forgotten. */
static void add_file(struct store_local *store, uint64_t number)
{
    if (store->nfiles == FILES_MAX)
        memmove(store->files, store->files + 1, --store->nfiles * sizeof *store->files);
    size_t at = store->nfiles++;
    for (; at && store->files[at - 1] > number; at--)
        store->files[at] = store->files[at - 1];
    store->files[at] = number;
}

static void remove_file(const struct store_local *store, uint64_t number)
{
    char name[64];
    file_name(number, name);
    unlinkat(store->folder, name, 0);
}

/* Reads what is in the folder, oldest first. */
static void read_folder(struct store_local *store)
{
    int fd = dup(store->folder);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t number;
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (file_number(entry->d_name, &number))
            add_file(store, number);
    closedir(folder);
    for (size_t i = 0; i < store->nfiles; i++)
        read_file(store, store->files[i]);
}

static void fail(struct store_local *store, const char *what)
{
    log_say(LOG_ERROR, "error", "%s: %s; limits count on in memory, and it is tried again in %d s", what, strerror(errno),
            RETRY_MS / 1000);
    if (store->fd >= 0)
        close(store->fd);
    if (store->fd >= 0 && store->rewriting)
        remove_file(store, store->files[--store->nfiles]); /* it is not whole, and all that it has is in memory */
    store->fd = -1;
    store->rewriting = false;
    store->retry_ms = clock_monotonic_ms() + RETRY_MS;
    buffer_clear(&store->out);
}

/* Writes what was gathered. */
static bool write_out(struct store_local *store)
{
    while (store->fd >= 0 && buffer_size(&store->out)) {
        struct span bytes = buffer_span(&store->out);
        ssize_t n = write(store->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(store, "what limits have counted cannot be written");
            return false;
        }
        store->size += n;
        buffer_consume(&store->out, (size_t)n);
    }
    return store->fd >= 0;
}

/* Gathers RECORD with NAME and KEY behind it. */
static bool write_record(struct store_local *store, struct record *record, struct span name, struct span key)
{
    record->size = (uint16_t)(sizeof *record + name.n + key.n);
    record->name_size = (uint8_t)name.n;
    record->key_size = (uint8_t)key.n;
    record->wall_ms = store->wall_ms;
    record->crc = crc32c(0, (const char *)record + sizeof record->crc, sizeof *record - sizeof record->crc);
    record->crc = crc32c(record->crc, name.p, name.n);
    record->crc = crc32c(record->crc, key.p, key.n);
    buffer_add(&store->out, span_make((const char *)record, sizeof *record));
    buffer_add(&store->out, name);
    buffer_add(&store->out, key);
    return buffer_size(&store->out) < CHUNK || write_out(store);
}

static bool write_bucket(void *context, const struct bucket *bucket)
{
    struct store_local *store = context;
    const struct conf_limit *conf = store->writing->conf;
    struct record record = { .key = (uint8_t)conf->key, .count = (uint8_t)conf->count, .used = bucket->used };
    return write_record(store, &record, span_head(span_of(conf->name), UINT8_MAX), bucket->key);
}

static uint64_t clip(uint32_t count)
{
    return count < SHARE_MOST ? count : SHARE_MOST;
}

static void write_share(void *context, struct span key, struct share share)
{
    struct store_local *store = context;
    const struct conf_limit *conf = store->writing->conf;
    struct record record = { .key = KIND_SHARE, .count = (uint8_t)conf->count };
    record.used = clip(share.bad) << 2 * SHARE_BITS | clip(share.all) << SHARE_BITS | clip(share.asked);
    write_record(store, &record, span_head(span_of(conf->name), UINT8_MAX), key);
}

/* Gathers what is in `pairs`. */
static void write_pairs(struct store_local *store)
{
    struct span rest = buffer_span(&store->pairs);
    while (rest.n) {
        struct record record = { .key = KIND_PAIRS };
        struct span some = span_head(rest, PAIRS_SIZE);
        rest = span_skip(rest, some.n);
        if (!write_record(store, &record, SPAN(""), some))
            break;
    }
    buffer_clear(&store->pairs);
}

/* The walk over everything begins at its beginning. */
static void begin_anew(struct store_local *store)
{
    store->limit = store->cursor = 0;
    store->at_shares = false;
}

/* Begins the next file, into which everything is to be written. */
static void begin(struct store_local *store)
{
    char name[64];
    uint64_t number = store->nfiles ? store->files[store->nfiles - 1] + 1 : 1;
    file_name(number, name);
    if (store->fd >= 0)
        close(store->fd);
    store->fd = openat(store->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (store->fd < 0) {
        fail(store, "a file for what limits have counted cannot be made");
        return;
    }
    add_file(store, number);
    store->rewriting = true;
    begin_anew(store);
    store->size = 0;
    buffer_clear(&store->out);
    buffer_add(&store->out, SPAN(MAGIC));
    struct record record = { .key = KIND_HASH_KEY };
    write_record(store, &record, SPAN(""), span_make((const char *)seen_key(store->seen), SEEN_KEY_SIZE));
    write_out(store);
}

/* Everything is in the newest file: the others go once it is safe. */
static void finish(struct store_local *store)
{
    if (fdatasync(store->fd) != 0 || fsync(store->folder) != 0) {
        fail(store, "what limits have counted cannot be synced");
        return;
    }
    for (size_t i = 0; i + 1 < store->nfiles; i++)
        remove_file(store, store->files[i]);
    store->files[0] = store->files[store->nfiles - 1];
    store->nfiles = 1;
    store->rewriting = false;
    store->full_size = store->size;
}

/* Writes some more of the limit at hand: its buckets, then its shares. False where that was all. */
static bool write_some(struct store_local *store)
{
    store->writing = limit_at(store->limits, store->limit);
    if (store->at_shares)
        return share_walk(store->writing->shares, &store->cursor, store->wall_ms, write_share, store);
    if (bucket_walk(store->writing->buckets, &store->cursor, clock_monotonic_ms(), write_bucket, store))
        return true;
    store->at_shares = store->writing->shares != NULL;
    store->cursor = 0;
    return store->at_shares;
}

/* Writes some more of everything: the limits one by one, then the pairs. */
static void step(struct store_local *store)
{
    size_t limits = limit_number(store->limits);
    if (store->limit > limits) {
        finish(store);
        return;
    }
    bool more;
    if (store->limit < limits) {
        more = write_some(store);
    } else {
        more = seen_walk(store->seen, &store->cursor, &store->pairs);
        write_pairs(store);
    }
    if (!more) {
        store->limit++;
        store->cursor = 0;
        store->at_shares = false;
    }
    if (write_out(store) && fdatasync(store->fd) != 0)
        fail(store, "what limits have counted cannot be synced");
}

void store_local_flush(struct store_local *store)
{
    int64_t now_ms = clock_monotonic_ms();
    store->wall_ms = clock_wall_ms();
    store->flushed_ms = now_ms;
    if (store->fd < 0)
        return;
    for (size_t i = 0; i < limit_number(store->limits) && store->fd >= 0; i++) {
        store->writing = limit_at(store->limits, i);
        bucket_changes(store->writing->buckets, now_ms, write_bucket, store);
        if (store->writing->shares)
            share_each(store->writing->shares, false, store->wall_ms, write_share, store);
    }
    seen_changes(store->seen, &store->pairs);
    write_pairs(store);
    write_out(store);
}

static void tick(void *context)
{
    struct store_local *store = context;
    int64_t now_ms = clock_monotonic_ms();
    store->wall_ms = clock_wall_ms();
    if (store->fd < 0 && now_ms >= store->retry_ms)
        begin(store);
    if (now_ms - store->flushed_ms >= FLUSH_MS)
        store_local_flush(store);
    if (store->fd >= 0 && store->rewriting)
        step(store);
    else if (store->fd >= 0 && store->size > SIZE_MIN && store->size > GROWTH * store->full_size)
        begin(store);
    timer_again(&store->timer, store->rewriting ? STEP_MS : FLUSH_MS);
}

struct store_local *store_local_new(struct loop *loop, const char *folder, struct limit_set *limits, struct seen *seen)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        log_say(LOG_ERROR, "error", "the folder %s cannot be opened: %s; what limits count is forgotten when the process ends",
                folder, strerror(errno));
        return NULL;
    }
    struct store_local *store = text_zalloc(sizeof *store);
    *store = (struct store_local){ .loop = loop, .limits = limits, .seen = seen, .folder = fd, .fd = -1 };
    buffer_init(&store->out, 2 * CHUNK);
    buffer_init(&store->pairs, SEEN_CHANGES_MAX);
    read_folder(store);
    begin(store);
    timer_set(&store->timer, loop, STEP_MS, tick, store);
    return store;
}

void store_local_limits(struct store_local *store, struct limit_set *limits)
{
    store->limits = limits;
    begin_anew(store);
}

void store_local_free(struct store_local **store)
{
    if (!*store)
        return;
    store_local_flush(*store);
    if ((*store)->fd >= 0) {
        fdatasync((*store)->fd);
        close((*store)->fd);
    }
    close((*store)->folder);
    timer_fini(&(*store)->timer);
    buffer_fini(&(*store)->out);
    buffer_fini(&(*store)->pairs);
    free(*store);
    *store = NULL;
}

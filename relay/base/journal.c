/* NAME is the file, NAME.new the one that is to take its place: it is synced before it is renamed, so that a power cut leaves the one or
 * the other. Records are appended with write(2), which a kill does not undo. */
#include "journal.h"

#include "buffer.h"
#include "crc32c.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK    (256u << 10)       /* bytes gathered before a write */
#define SIZE_MIN ((int64_t)1 << 20) /* a file below this is left to grow */
#define GROWTH   4                  /* times what it was when all was written */
#define FILE_MAX ((int64_t)1 << 30) /* a larger one is not read */

/* In front of each record, in the machine's own byte order: the folder stays where it is. */
struct frame {
    uint32_t crc; /* of the record */
    uint32_t size;
};

struct journal {
    const char *name, *magic;
    char *path;              /* of the folder, for the log */
    int folder;              /* -1: cannot be used */
    int fd;                  /* -1: a new file is needed */
    bool fresh;              /* fd is NAME.new */
    unsigned failures;       /* one after the other … */
    unsigned rest;           /* … and so often journal_begin does nothing now */
    int64_t size, full_size; /* now, and when this process wrote all of it; 0: not yet, so that a large file is replaced once */
    struct buffer out;
};

static void new_name(const struct journal *journal, char name[64])
{
    text_format(name, 64, "%s.new", journal->name);
}

/* Takes the record at the front of *REST. False where there is none that is whole. */
static bool next(struct span *rest, struct span *ret_record)
{
    struct frame frame;
    if (rest->n < sizeof frame)
        return false;
    memcpy(&frame, rest->p, sizeof frame);
    if (frame.size > JOURNAL_RECORD_MAX || frame.size > rest->n - sizeof frame)
        return false;
    *ret_record = span_make(rest->p + sizeof frame, frame.size);
    if (crc32c(0, ret_record->p, ret_record->n) != frame.crc)
        return false;
    *rest = span_skip(*rest, sizeof frame + frame.size);
    return true;
}

/* Hands over the records of BYTES, a whole file. False where not all of it could be read. */
static bool read_records(const struct journal *journal, struct span bytes, journal_take take, void *context)
{
    char magic[JOURNAL_MAGIC_SIZE + 1] = "";
    struct span record;
    text_copy(magic, sizeof magic, span_of(journal->magic));
    bool good = span_equal(span_head(bytes, JOURNAL_MAGIC_SIZE), span_make(magic, JOURNAL_MAGIC_SIZE));
    if (good)
        bytes = span_skip(bytes, JOURNAL_MAGIC_SIZE);
    while (good && bytes.n) {
        good = next(&bytes, &record);
        if (good)
            take(context, record);
    }
    if (!good)
        log_say(LOG_WARNING, "notice", "the last %zu bytes of %s in %s are damaged and left out", bytes.n, journal->name,
                journal->path);
    return good;
}

/* Reads the file. Returns its size where all of it is good, 0 otherwise. */
static int64_t read_file(const struct journal *journal, int fd, journal_take take, void *context)
{
    struct stat known;
    if (fstat(fd, &known) != 0 || !S_ISREG(known.st_mode) || known.st_size <= 0)
        return 0;
    if (known.st_size > FILE_MAX) {
        log_say(LOG_WARNING, "notice", "%s in %s is larger than any this version writes; it is left out", journal->name,
                journal->path);
        return 0;
    }
    size_t size = (size_t)known.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return 0;
    bool good = read_records(journal, span_make(bytes, size), take, context);
    munmap(bytes, size);
    return good ? known.st_size : 0;
}

struct journal *journal_new(const char *folder, const char *name, const char *magic, journal_take take, void *context)
{
    struct journal *journal = text_zalloc(sizeof *journal);
    *journal = (struct journal){ .name = name, .magic = magic, .path = text_dup(span_of(folder)), .fd = -1 };
    buffer_init(&journal->out, 2 * CHUNK);
    journal->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->folder < 0) {
        log_say(LOG_ERROR, "error", "the folder %s cannot be opened: %s; %s is not kept", folder, strerror(errno), name);
        return journal;
    }
    int fd = openat(journal->folder, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    journal->size = fd >= 0 ? read_file(journal, fd, take, context) : 0;
    if (journal->size)
        journal->fd = fd;
    else if (fd >= 0)
        close(fd);
    return journal;
}

void journal_free(struct journal **journal)
{
    if (!*journal)
        return;
    if ((*journal)->fd >= 0)
        close((*journal)->fd);
    if ((*journal)->folder >= 0)
        close((*journal)->folder);
    buffer_fini(&(*journal)->out);
    free((*journal)->path);
    free(*journal);
    *journal = NULL;
}

/* Gives the file up, and the room that the new one took; a journal_begin makes one, the next or, after more failures, a later one. */
static void fail(struct journal *journal, const char *what)
{
    char name[64];
    if (!journal->failures)
        log_say(LOG_ERROR, "error", "%s in %s cannot be %s: %s; it stays in memory and is tried again", journal->name,
                journal->path, what, strerror(errno));
    journal->rest = (1u << journal->failures) - 1;
    if (journal->rest < JOURNAL_REST_MAX)
        journal->failures++;
    if (journal->fd >= 0)
        close(journal->fd);
    new_name(journal, name);
    unlinkat(journal->folder, name, 0);
    journal->fd = -1;
    buffer_clear(&journal->out);
}

static void write_out(struct journal *journal)
{
    while (journal->fd >= 0 && buffer_size(&journal->out)) {
        struct span bytes = buffer_span(&journal->out);
        ssize_t n = write(journal->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(journal, "written");
            return;
        }
        journal->size += n;
        buffer_consume(&journal->out, (size_t)n);
    }
}

bool journal_begin(struct journal *journal, bool sync)
{
    char name[64], magic[JOURNAL_MAGIC_SIZE + 1] = "";
    bool grown = journal->size > SIZE_MIN && journal->size > GROWTH * journal->full_size;
    if (journal->folder < 0 || (journal->fd >= 0 && !grown))
        return false;
    if (journal->rest && !sync) {
        journal->rest--;
        return false;
    }
    if (journal->fd >= 0)
        close(journal->fd);
    new_name(journal, name);
    journal->fd = openat(journal->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->fd < 0) {
        fail(journal, "made");
        return false;
    }
    journal->fresh = true;
    journal->size = 0;
    text_copy(magic, sizeof magic, span_of(journal->magic));
    buffer_add(&journal->out, span_make(magic, JOURNAL_MAGIC_SIZE));
    return true;
}

void journal_add(struct journal *journal, struct span record)
{
    struct frame frame = { crc32c(0, record.p, record.n), (uint32_t)record.n };
    if (journal->fd < 0 || record.n > JOURNAL_RECORD_MAX)
        return;
    buffer_add(&journal->out, span_make((const char *)&frame, sizeof frame));
    buffer_add(&journal->out, record);
    if (buffer_size(&journal->out) >= CHUNK)
        write_out(journal);
}

/* The new file takes the old one's place. */
static void replace(struct journal *journal)
{
    char name[64];
    new_name(journal, name);
    journal->fresh = false;
    journal->full_size = journal->size;
    if (fdatasync(journal->fd) != 0)
        fail(journal, "synced");
    else if (renameat(journal->folder, name, journal->folder, journal->name) != 0)
        fail(journal, "renamed");
}

void journal_end(struct journal *journal, bool sync)
{
    write_out(journal);
    if (journal->fd >= 0 && journal->fresh)
        replace(journal);
    else if (journal->fd >= 0 && sync && fdatasync(journal->fd) != 0)
        fail(journal, "synced");
    if (journal->fd >= 0 && sync && fsync(journal->folder) != 0)
        fail(journal, "synced");
    if (journal->fd >= 0 && journal->failures) {
        log_say(LOG_INFO, "notice", "%s in %s is written again", journal->name, journal->path);
        journal->failures = journal->rest = 0;
    }
}

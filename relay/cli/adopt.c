/* The steps of one pair stand in relay/spool/carry.h; here they are gone through for all pairs of a folder, with the folder's lock held,
 * so that its owner cannot start meanwhile. A note, ADOPTED, tells whoever comes later who took the spool. What another machine has taken
 * and not finished is left alone: only that machine knows what it has. */
#include "adopt.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "../spool/carry.h"
#include "../spool/compact.h"
#include "../spool/segment.h"
#include "commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NOTE          "ADOPTED"
#define SEGMENTS_STEP 1024

struct adoption {
    const struct conf *conf;
    const char *path;
    int from, to;
    struct stat owner; /* of our spool's folder */
    uint32_t tag;
    uint64_t *numbers; /* segments to carry */
    size_t count;
    unsigned carried, foreign;
};

static bool refuse(const struct adoption *adoption, const char *what)
{
    fprintf(stderr, "postern queue adopt: %s %s\n", adoption->path, what);
    return false;
}

static bool fail(const struct adoption *adoption, uint64_t number, const char *what)
{
    fprintf(stderr,
            "postern queue adopt: segment %016llx of %s cannot be %s: %s; nothing is lost, and the same command again goes on "
            "from here\n",
            (unsigned long long)number, adoption->path, what, strerror(errno));
    return false;
}

static bool open_folders(struct adoption *adoption)
{
    struct stat from;
    adoption->from = open(adoption->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    adoption->to = open(adoption->conf->spool.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (adoption->from < 0 || fstat(adoption->from, &from) != 0)
        return refuse(adoption, errno == ENOENT ? "is not there" : strerror(errno));
    if (adoption->to < 0 || fstat(adoption->to, &adoption->owner) != 0) {
        fprintf(stderr, "postern queue adopt: this machine's spool %s cannot be opened: %s\n", adoption->conf->spool.directory,
                strerror(errno));
        return false;
    }
    if (from.st_dev == adoption->owner.st_dev && from.st_ino == adoption->owner.st_ino)
        return refuse(adoption, "is this machine's own spool");
    if (flock(adoption->from, LOCK_EX | LOCK_NB) != 0)
        return refuse(adoption, "is in use: the posternd that owns it is alive; stop it first");
    return true;
}

static void add(struct adoption *adoption, uint64_t number)
{
    if (adoption->count % SEGMENTS_STEP == 0)
        adoption->numbers = text_realloc(adoption->numbers, (adoption->count + SEGMENTS_STEP) * sizeof *adoption->numbers);
    adoption->numbers[adoption->count++] = number;
}

/* Finishes a pair that was taken: its copy is whole, or was shown already. */
static bool finish(struct adoption *adoption, uint64_t number, uint64_t new_number)
{
    if (!carry_show(adoption->to, new_number))
        return fail(adoption, number, "given its name");
    adoption->carried++;
    return carry_drop(adoption->from, number, new_number, adoption->tag) || fail(adoption, number, "removed from there");
}

/* Lists what is to be carried, and finishes what was begun. */
static bool look(struct adoption *adoption)
{
    uint64_t number, new_number;
    uint32_t tag;
    int fd = openat(adoption->from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder)
        return refuse(adoption, strerror(errno));
    bool done = true;
    for (const struct dirent *file; done && (file = readdir(folder));) {
        if (segment_parse_name(file->d_name, ".seg", &number)) {
            if (segment_has_writer(adoption->from, number))
                done = refuse(adoption, "is in use: a process still writes to it; stop it first");
            add(adoption, number);
        } else if (carry_parse(file->d_name, &number, &new_number, &tag)) {
            if (tag == adoption->tag)
                done = finish(adoption, number, new_number);
            else
                adoption->foreign++;
        } else if (compact_is_rest(file->d_name)) {
            unlinkat(adoption->from, file->d_name, 0); /* the owner died while it made a smaller copy, which is of no use */
        }
    }
    closedir(folder);
    return done;
}

/* Is there room for all of it, and spool.minimum-free beside it? */
static bool fits(const struct adoption *adoption)
{
    struct statvfs room;
    uint64_t bytes = 0;
    for (size_t i = 0; i < adoption->count; i++) {
        char name[SEGMENT_NAME_SIZE];
        struct stat file;
        segment_name(adoption->numbers[i], name);
        if (fstatat(adoption->from, name, &file, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)file.st_size;
        segment_log_name(adoption->numbers[i], name);
        if (fstatat(adoption->from, name, &file, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)file.st_size;
    }
    if (fstatvfs(adoption->to, &room) != 0)
        return refuse(adoption, strerror(errno));
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize, kept = adoption->conf->spool.minimum_free;
    if (free_bytes >= kept && free_bytes - kept >= bytes)
        return true;
    fprintf(stderr,
            "postern queue adopt: %s holds %llu MiB, for which there is no room in %s beside spool.minimum-free; make room, then "
            "give the "
            "same command again\n",
            adoption->path, (unsigned long long)((bytes + (1 << 20) - 1) >> 20), adoption->conf->spool.directory);
    return false;
}

static bool carry(struct adoption *adoption, uint64_t number)
{
    uint64_t new_number = carry_free_number(adoption->from, number, adoption->to);
    if (!carry_copy(adoption->from, number, adoption->to, new_number, adoption->owner.st_uid, adoption->owner.st_gid))
        return fail(adoption, number, "copied");
    if (!carry_take(adoption->from, number, new_number, adoption->tag))
        return fail(adoption, number, "taken");
    return finish(adoption, number, new_number);
}

/* Who took it, and when, for a person. It is no guard, and so its failure stops nothing. */
static void leave_note(const struct adoption *adoption)
{
    char when[CLOCK_TEXT_SIZE];
    int fd = openat(adoption->from, NOTE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    clock_rfc3339(clock_wall_ms(), when);
    if (fd >= 0) {
        dprintf(fd, "%s by %s\n", when, adoption->conf->hostname);
        close(fd);
    }
}

static bool nothing_to_do(const struct adoption *adoption)
{
    char note[256] = "";
    int fd = openat(adoption->from, NOTE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, note, sizeof note - 1) : 0;
    if (fd >= 0)
        close(fd);
    if (n > 0) {
        char shown[512];
        text_escape(shown, sizeof shown, span_trim(span_make(note, (size_t)n)));
        fprintf(stderr, "postern queue adopt: %s was adopted already: %s\n", adoption->path, shown);
    } else if (adoption->foreign) {
        return refuse(adoption, "is being adopted by another machine, which has to finish that");
    } else {
        return refuse(adoption, "holds no segment; is it the spool.directory of a postern?");
    }
    return false;
}

static bool adopt_all(struct adoption *adoption)
{
    if (!open_folders(adoption) || !look(adoption))
        return false;
    if (!adoption->count && !adoption->carried)
        return nothing_to_do(adoption);
    if (!fits(adoption))
        return false;
    for (size_t i = 0; i < adoption->count; i++)
        if (!carry(adoption, adoption->numbers[i]))
            return false;
    leave_note(adoption);
    if (adoption->foreign)
        fprintf(stderr, "postern queue adopt: %u segments of %s are being adopted by another machine, which has to finish that\n",
                adoption->foreign, adoption->path);
    return true;
}

int adopt_run(const struct conf *conf, const char *path, unsigned *ret_carried)
{
    struct adoption adoption = { .conf = conf, .path = path, .from = -1, .to = -1, .tag = carry_tag(span_of(conf->hostname)) };
    bool done = adopt_all(&adoption);
    *ret_carried = adoption.carried;
    free(adoption.numbers);
    if (adoption.from >= 0)
        close(adoption.from);
    if (adoption.to >= 0)
        close(adoption.to);
    return done ? COMMANDS_DONE : COMMANDS_REFUSED;
}

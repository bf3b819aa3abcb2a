/* The lock is flock() on the folder: it leaves no file behind, and the rename that replaces the user file does not lose it, as a lock
 * on the file itself would. The auth processes need no lock: they open either the old file or the new one. */
#include "userlist.h"

#include "../base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES    50 /* a tenth of a second apart */
#define LOCK_PAUSE_NS 100000000L
#define AUTH_GROUP    "postern-auth"
#define MODE_SHARED   0640
#define MODE_OWN      0600

static bool fail(struct userlist *list, const char *what, const char *path)
{
    text_format(list->error, sizeof list->error, "%s %s: %s%s", what, path, strerror(errno),
                errno == EACCES && geteuid() != 0 ? "; use sudo" : "");
    return false;
}

/* The folder part of PATH, to be freed. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return text_dup(SPAN("."));
    return text_dup(span_make(path, slash == path ? 1 : (size_t)(slash - path)));
}

static bool lock_folder(struct userlist *list)
{
    const struct timespec pause = { 0, LOCK_PAUSE_NS };
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(list->folder, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(list, "cannot lock the folder of", list->path);
        nanosleep(&pause, NULL);
    }
    text_format(list->error, sizeof list->error, "somebody else is changing %s just now; try again", list->path);
    return false;
}

static bool read_text(struct userlist *list, int fd)
{
    if (fstat(fd, &list->status) < 0)
        return fail(list, "cannot read", list->path);
    if (!S_ISREG(list->status.st_mode) || list->status.st_size > USERLIST_SIZE_MAX / 2) {
        text_format(list->error, sizeof list->error, "%s is no file of accounts, or too large for one", list->path);
        return false;
    }
    list->exists = true;
    for (;;) {
        char *to = buffer_reserve(&list->text, 16384);
        if (!to) {
            errno = EFBIG;
            return fail(list, "cannot read", list->path);
        }
        ssize_t n = read(fd, to, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(list, "cannot read", list->path);
        if (n == 0)
            return true;
        buffer_commit(&list->text, (size_t)n);
    }
}

bool userlist_open(struct userlist *list, const char *path, bool lock)
{
    *list = (struct userlist){ .folder = -1 };
    buffer_init(&list->text, USERLIST_SIZE_MAX);
    char *real = realpath(path, NULL);
    list->path = real ? real : text_dup(span_of(path));
    char *folder = folder_of(list->path);
    list->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool opened = list->folder >= 0 || fail(list, "cannot open the folder", folder);
    free(folder);
    if (!opened || (lock && !lock_folder(list)))
        return false;
    int fd = open(list->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || fail(list, "cannot read", list->path);
    bool done = read_text(list, fd);
    close(fd);
    return done;
}

void userlist_close(struct userlist *list)
{
    buffer_wipe(&list->text);
    if (list->folder >= 0)
        close(list->folder);
    free(list->path);
    *list = (struct userlist){ .folder = -1 };
}

/* The account's name in LINE, in normal form; false where it is none. A line whose verifier makes no sense has its name still, so
 * that `passwd` and `remove` mend it. */
static bool name_in(struct span line, char name[SCRAM_NAME_SIZE])
{
    size_t colon = span_find(line, ':');
    return line.n && line.p[0] != '#' && colon < line.n && scram_name(span_head(line, colon), name);
}

static bool is_line_of(struct span line, const char *name)
{
    char found[SCRAM_NAME_SIZE];
    return name_in(line, found) && strcmp(found, name) == 0;
}

bool userlist_has(const struct userlist *list, const char *name)
{
    struct span text = buffer_span(&list->text);
    while (text.n)
        if (is_line_of(span_cut(&text, '\n'), name))
            return true;
    return false;
}

/* Makes the text anew with LINE in place of NAME's first line, or at the end; LINE "" takes NAME out. */
static bool replace(struct userlist *list, const char *name, struct span line)
{
    struct buffer made;
    struct span text = buffer_span(&list->text);
    buffer_init(&made, USERLIST_SIZE_MAX);
    while (text.n) {
        struct span old = span_cut(&text, '\n');
        bool its = is_line_of(old, name);
        struct span kept = its ? line : old;
        if (its)
            line = SPAN("");
        if (its && !kept.n)
            continue;
        buffer_add(&made, kept);
        buffer_add_byte(&made, '\n');
    }
    if (line.n) {
        buffer_add(&made, line);
        buffer_add_byte(&made, '\n');
    }
    bool fits = !made.overflow;
    if (fits) {
        struct buffer old = list->text;
        list->text = made;
        made = old;
    } else {
        text_format(list->error, sizeof list->error, "%s would become too large", list->path);
    }
    buffer_wipe(&made);
    return fits;
}

bool userlist_set(struct userlist *list, const char *name, const struct scram_verifier *verifier)
{
    char text[SCRAM_TEXT_SIZE], line[SCRAM_LINE_MAX];
    scram_print(verifier, text);
    text_format(line, sizeof line, "%s:%s", name, text);
    return replace(list, name, span_of(line));
}

bool userlist_remove(struct userlist *list, const char *name)
{
    return replace(list, name, SPAN(""));
}

void userlist_each(const struct userlist *list, void (*each)(void *context, const char *name), void *context)
{
    struct span text = buffer_span(&list->text);
    char name[SCRAM_NAME_SIZE];
    while (text.n)
        if (name_in(span_cut(&text, '\n'), name))
            each(context, name);
}

/* Gives the new file FD the owner, group and mode that it is to have. */
static bool take_owner(struct userlist *list, int fd)
{
    const struct stat *old = &list->status;
    if (list->exists)
        return fchown(fd, old->st_uid, old->st_gid) == 0 && fchmod(fd, old->st_mode & 07777) == 0;
    const struct group *group = geteuid() == 0 ? getgrnam(AUTH_GROUP) : NULL;
    if (group)
        return fchown(fd, 0, group->gr_gid) == 0 && fchmod(fd, MODE_SHARED) == 0;
    return fchmod(fd, MODE_OWN) == 0;
}

static bool write_text(const struct userlist *list, int fd)
{
    struct span text = buffer_span(&list->text);
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text = span_skip(text, (size_t)n);
    }
    return fsync(fd) == 0;
}

bool userlist_save(struct userlist *list)
{
    char *folder = folder_of(list->path);
    char other[PATH_MAX];
    bool named = text_format(other, sizeof other, "%s/.postern-users.XXXXXX", folder);
    free(folder);
    errno = ENAMETOOLONG;
    int fd = named ? mkostemp(other, O_CLOEXEC) : -1;
    if (fd < 0)
        return fail(list, "cannot make a new file beside", list->path);
    bool written = write_text(list, fd) && take_owner(list, fd);
    int problem = errno;
    if (close(fd) < 0 && written) {
        written = false;
        problem = errno;
    }
    if (written && rename(other, list->path) == 0)
        return fsync(list->folder) == 0 || fail(list, "cannot sync the folder of", list->path);
    if (!written)
        errno = problem;
    fail(list, "cannot replace", list->path);
    unlink(other);
    return false;
}

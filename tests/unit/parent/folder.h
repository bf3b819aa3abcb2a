/* A temporary folder for what the parent reads and makes, emptied with all that is in it; and complaints, collected. */
#ifndef POSTERN_TESTS_UNIT_PARENT_FOLDER_H
#define POSTERN_TESTS_UNIT_PARENT_FOLDER_H

#include "../../../relay/base/log.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER static inline __attribute__((unused))

struct complaints {
    char text[16384];
    unsigned count;
};

FOLDER void complaints_take(void *context, const char *line)
{
    struct complaints *complaints = context;
    size_t used = strlen(complaints->text);
    text_format(complaints->text + used, sizeof complaints->text - used, "%s\n", line);
    complaints->count++;
}

FOLDER void folder_make(char path[64])
{
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "parent");
    text_copy(path, 64, SPAN("/tmp/postern-parent-XXXXXX"));
    assert_non_null(mkdtemp(path));
}

FOLDER int folder_remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status;
    (void)kind;
    (void)ftw;
    return remove(path);
}

FOLDER void folder_clear(const char *path)
{
    assert_int_equal(nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Writes TEXT to the file NAME in FOLDER; PATH gets where it is. */
FOLDER void folder_write(const char *folder, const char *name, struct span text, char path[128])
{
    text_format(path, 128, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
    close(fd);
}

#endif

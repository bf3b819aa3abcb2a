/* A folder of a test's own, removed with what is in it. */
#ifndef TESTS_UNIT_FOLDER_H
#define TESTS_UNIT_FOLDER_H

#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static inline int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/postern-unit-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int folder_remove(void **state)
{
    char path[400];
    (void)state;
    DIR *dir = opendir(folder);
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
    return 0;
}

/* Sets the byte at OFFSET from the end of the file NAME to another one. */
static inline void folder_damage(const char *name, long offset)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, -offset, SEEK_END), 0);
    int byte = fgetc(file);
    fseek(file, -offset, SEEK_END);
    fputc(byte ^ 0x5a, file);
    assert_int_equal(fclose(file), 0);
}

/* How large the file NAME is; -1 where there is none. */
static inline long folder_size(const char *name)
{
    char path[400];
    struct stat known;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &known) == 0 ? (long)known.st_size : -1;
}

#endif

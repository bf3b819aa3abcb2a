/* Written beside the old file, synced, and renamed over it, so that a crash leaves the one or the other. */
#include "standing_file.h"

#include "../relay/base/log.h"
#include "../relay/base/text.h"
#include "account.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX     "account-"
#define SUFFIX     ".json"
#define FRESH      "account.new"
#define FOUND_STEP 1024
#define NAME_SIZE  (sizeof PREFIX + 2 * SHA256_DIGEST_LENGTH + sizeof SUFFIX)

static void file_name(struct span account, char name[NAME_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)account.p, account.n, digest);
    text_copy(name, NAME_SIZE, SPAN(PREFIX));
    for (size_t i = 0; i < sizeof digest; i++)
        text_format(name + strlen(name), NAME_SIZE - strlen(name), "%02x", digest[i]);
    text_copy(name + strlen(name), NAME_SIZE - strlen(name), SPAN(SUFFIX));
}

static bool write_all(int fd, struct span bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = span_skip(bytes, (size_t)n);
    }
    return fdatasync(fd) == 0;
}

bool standing_file_write(int folder, struct span account, const json_t *record)
{
    char name[NAME_SIZE];
    char *text = json_dumps(record, JSON_INDENT(2));
    int fd = text ? openat(folder, FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    file_name(account, name);
    bool written = fd >= 0 && write_all(fd, span_of(text));
    if (fd >= 0)
        close(fd);
    written = written && renameat(folder, FRESH, folder, name) == 0;
    int error = errno;
    if (!written)
        unlinkat(folder, FRESH, 0); /* on a full disk its blocks are somebody else's */
    free(text);
    errno = error;
    return written;
}

void standing_file_remove(int folder, struct span account)
{
    char name[NAME_SIZE];
    file_name(account, name);
    unlinkat(folder, name, 0);
}

/* Is the file NAME the one of the account that RECORD is about? */
static bool is_its_file(const json_t *record, const char *name)
{
    char own[NAME_SIZE];
    const char *account = json_string_value(json_object_get(record, "name"));
    if (!account || !*account || strlen(account) >= ACCOUNT_NAME_SIZE)
        return false;
    file_name(span_of(account), own);
    return strcmp(own, name) == 0;
}

/* The first SIZE bytes at FD as JSON, or NULL. json_loadfd makes a system call for each of them. */
static json_t *load(int fd, size_t size)
{
    char *text = text_realloc(NULL, size + 1);
    size_t got = 0;
    ssize_t n;
    while (got < size && (n = read(fd, text + got, size - got)) > 0)
        got += (size_t)n;
    json_t *record = json_loadb(text, got, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    return record;
}

/* The record in the file NAME, or NULL. */
static json_t *read_one(int folder, const char *name)
{
    struct stat known;
    json_t *record = NULL;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &known) == 0 && S_ISREG(known.st_mode) && (size_t)known.st_size <= STANDING_FILE_MAX)
        record = load(fd, (size_t)known.st_size);
    if (fd >= 0)
        close(fd);
    if (!json_is_object(record) || !is_its_file(record, name)) {
        log_say(LOG_ERROR, "error", "the record of an account in %s cannot be read; it is left as it is, and does not hold",
                name);
        json_decref(record);
        record = NULL;
    }
    return record;
}

struct found {
    struct timespec written;
    char name[NAME_MAX + 1];
};

static int compare_found(const void *a, const void *b)
{
    const struct timespec *one = &((const struct found *)a)->written, *other = &((const struct found *)b)->written;
    int by_second = (one->tv_sec > other->tv_sec) - (one->tv_sec < other->tv_sec);
    return by_second ? by_second : (one->tv_nsec > other->tv_nsec) - (one->tv_nsec < other->tv_nsec);
}

/* The files of NAMES that may be records, *RET_COUNT of them, to be freed. */
static struct found *find_files(DIR *names, size_t *ret_count)
{
    struct found *found = NULL;
    size_t count = 0;
    for (const struct dirent *entry = readdir(names); entry; entry = readdir(names)) {
        struct span name = span_of(entry->d_name);
        struct stat known;
        if (!span_starts_nocase(name, SPAN(PREFIX)) || !span_ends_nocase(name, SPAN(SUFFIX)) ||
            fstatat(dirfd(names), entry->d_name, &known, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (count % FOUND_STEP == 0)
            found = text_realloc(found, (count + FOUND_STEP) * sizeof *found);
        found[count].written = known.st_mtim;
        text_copy(found[count++].name, sizeof found->name, name);
    }
    *ret_count = count;
    return found;
}

void standing_file_each(int folder, void (*each)(void *context, struct span account, json_t *record), void *context)
{
    size_t count;
    int fd = dup(folder);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    if (!names) {
        if (fd >= 0)
            close(fd);
        return;
    }
    rewinddir(names); /* the place is shared with FOLDER */
    struct found *found = find_files(names, &count);
    closedir(names);
    if (count)
        qsort(found, count, sizeof *found, compare_found);
    for (size_t i = 0; i < count; i++) {
        json_t *record = read_one(folder, found[i].name);
        if (record)
            each(context, span_of(json_string_value(json_object_get(record, "name"))), record);
        json_decref(record);
    }
    free(found);
}

#include "tag.h"

#include "../relay/base/log.h"
#include "../relay/base/random.h"
#include "../relay/base/text.h"
#include "../relay/message/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FILE TAG_FILE ".new"

/* Reads the whole key. False, with errno, where it is not there or not whole. */
static bool read_key(int folder, struct tag_key *ret_key)
{
    char bytes[sizeof ret_key->bytes + 1];
    int fd = openat(folder, TAG_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, bytes, sizeof bytes);
    int error = n < 0 ? errno : EINVAL;
    close(fd);
    if (n == (ssize_t)sizeof ret_key->bytes) {
        memcpy(ret_key->bytes, bytes, sizeof ret_key->bytes);
        return true;
    }
    errno = error;
    return false;
}

/* Puts KEY in its place, whole or not at all. */
static bool write_key(int folder, const struct tag_key *key)
{
    unlinkat(folder, NEW_FILE, 0);
    int fd = openat(folder, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool done = write(fd, key->bytes, sizeof key->bytes) == (ssize_t)sizeof key->bytes && fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return done && renameat(folder, NEW_FILE, folder, TAG_FILE) == 0 && fsync(folder) == 0;
}

static void complain(const char *folder)
{
    log_say(LOG_ERROR, "error",
            "the file " TAG_FILE
            " in %s cannot be kept: %s; reports about mail that is sent from now on lead to no account after a "
            "restart",
            folder, strerror(errno));
}

void tag_load(const char *folder, struct tag_key *ret_key)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool known = fd >= 0 && read_key(fd, ret_key);
    if (fd >= 0 && !known && errno == EINVAL)
        log_say(LOG_WARNING, "notice",
                "the file " TAG_FILE " in %s is damaged: reports about mail sent so far lead to no account", folder);
    if (!known) {
        random_bytes(ret_key->bytes, sizeof ret_key->bytes);
        if (fd < 0 || !write_key(fd, ret_key))
            complain(folder);
    }
    if (fd >= 0)
        close(fd);
}

uint64_t tag_of(const struct tag_key *key, struct span account)
{
    struct siphash hash;
    siphash_begin(&hash, key->bytes);
    siphash_add(&hash, account);
    uint64_t tag = siphash_end(&hash);
    return tag ? tag : 1;
}

bool tag_fits(const struct tag_key *key, struct span account, struct uid id, uint64_t mark)
{
    return mark && mark_of(tag_of(key, account), id) == mark;
}

#include "carry.h"

#include "../base/crc32c.h"
#include "bytes.h"
#include "disk.h"
#include "outcome.h"
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CARRY_NAME_SIZE 80
#define CARRY_PIECE     65536 /* bytes of one read */

/* A pair's two files: where the number and the CRC stand in their headers (see README.md). */
static const struct kind {
    void (*name)(uint64_t number, char name[SEGMENT_NAME_SIZE]);
    size_t header, at_number, at_crc;
} kinds[] = {
    { segment_log_name, 32, 16, 28 }, /* the log first: a segment without its log would be sent anew */
    { segment_name, SEGMENT_HEADER_SIZE, 16, 60 },
};
#define KINDS (sizeof kinds / sizeof *kinds)

uint32_t carry_tag(struct span hostname)
{
    return crc32c(0, hostname.p, hostname.n);
}

static void print_copy(const struct kind *kind, uint64_t number, char name[CARRY_NAME_SIZE])
{
    char plain[SEGMENT_NAME_SIZE];
    kind->name(number, plain);
    snprintf(name, CARRY_NAME_SIZE, "%s.adopt", plain);
}

static void print_taken(uint64_t number, uint64_t new_number, uint32_t tag, char name[CARRY_NAME_SIZE])
{
    char plain[SEGMENT_NAME_SIZE];
    segment_name(number, plain);
    snprintf(name, CARRY_NAME_SIZE, "%s.adopted-%016llx-%08x", plain, (unsigned long long)new_number, tag);
}

static bool read_hex(const char *text, size_t digits, uint64_t *ret_value)
{
    static const char alphabet[] = "0123456789abcdef";
    *ret_value = 0;
    for (size_t i = 0; i < digits; i++) {
        const char *digit = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!digit)
            return false;
        *ret_value = *ret_value << 4 | (uint64_t)(digit - alphabet);
    }
    return true;
}

bool carry_parse(const char *name, uint64_t *ret_number, uint64_t *ret_new_number, uint32_t *ret_tag)
{
    char again[CARRY_NAME_SIZE];
    uint64_t number, new_number, tag;
    static const char between[] = ".seg.adopted-";
    const size_t at_new = 16 + sizeof between - 1;
    if (strlen(name) != at_new + 16 + 1 + 8 || !read_hex(name, 16, &number) || !read_hex(name + at_new, 16, &new_number) ||
        !read_hex(name + at_new + 17, 8, &tag))
        return false;
    print_taken(number, new_number, (uint32_t)tag, again);
    if (strcmp(name, again) != 0)
        return false;
    *ret_number = number;
    *ret_new_number = new_number;
    *ret_tag = (uint32_t)tag;
    return true;
}

static bool is_there(int folder, const char *name)
{
    int fd = disk_open(folder, name, O_RDONLY);
    if (fd >= 0)
        disk_close(fd);
    return fd >= 0 || errno != ENOENT;
}

/* The tag of segment FD; false where it has none: its header was not written to the end. */
static bool read_tag(int folder, const char *name, uint64_t *ret_tag)
{
    int fd = disk_open(folder, name, O_RDONLY);
    bool found = fd >= 0 && segment_tag(fd, ret_tag, NULL) == RECORD_OK;
    if (fd >= 0)
        disk_close(fd);
    return found;
}

/* May a copy of NUMBER be written over what TO holds of NEW_NUMBER? What was left of a copy that was never taken may: it has no whole
 * segment, or this very one. */
static bool is_free(int from, uint64_t number, int to, uint64_t new_number)
{
    char name[SEGMENT_NAME_SIZE], copy[CARRY_NAME_SIZE];
    uint64_t tag, copied;
    for (size_t i = 0; i < KINDS; i++) {
        kinds[i].name(new_number, name);
        if (is_there(to, name))
            return false;
    }
    print_copy(&kinds[1], new_number, copy);
    segment_name(number, name);
    return !read_tag(to, copy, &copied) || (read_tag(from, name, &tag) && tag == copied);
}

uint64_t carry_free_number(int from, uint64_t number, int to)
{
    uint64_t new_number = number | SEGMENT_CARRIED;
    while (!is_free(from, number, to, new_number))
        new_number = (new_number + 1) | SEGMENT_CARRIED;
    return new_number;
}

/* Puts NEW_NUMBER into the header at the front of BYTES; one that is damaged is carried as it is. */
static void renumber(const struct kind *kind, unsigned char *bytes, size_t size, uint64_t new_number)
{
    if (size < kind->header || bytes_get32(bytes + kind->at_crc) != crc32c(0, bytes, kind->at_crc))
        return;
    bytes_put64(bytes + kind->at_number, new_number);
    bytes_put32(bytes + kind->at_crc, crc32c(0, bytes, kind->at_crc));
}

static bool copy_bytes(const struct kind *kind, int in, int out, uint64_t new_number)
{
    static unsigned char piece[CARRY_PIECE];
    uint64_t at = 0;
    for (ssize_t n; (n = disk_read(in, piece, sizeof piece, at)) != 0; at += (uint64_t)n) {
        if (n < 0)
            return false;
        if (at == 0)
            renumber(kind, piece, (size_t)n, new_number);
        if (!disk_write_bytes(out, piece, (size_t)n, at))
            return false;
    }
    return true;
}

/* The copy belongs to whom the spool belongs: fchown is no call that a test of the spool replaces. */
static bool copy_file(const struct kind *kind, int in, int to, uint64_t new_number, uid_t owner, gid_t group)
{
    char name[CARRY_NAME_SIZE];
    print_copy(kind, new_number, name);
    int out = disk_open(to, name, O_WRONLY | O_CREAT | O_TRUNC);
    if (out < 0)
        return false;
    bool done = copy_bytes(kind, in, out, new_number) && fchown(out, owner, group) == 0 && disk_calls()->fsync(out) == 0;
    disk_close(out);
    return done;
}

static void remove_copies(int to, uint64_t new_number)
{
    char name[CARRY_NAME_SIZE];
    int before = errno;
    for (size_t i = 0; i < KINDS; i++) {
        print_copy(&kinds[i], new_number, name);
        disk_calls()->unlinkat(to, name);
    }
    errno = before;
}

static bool copy_both(int from, uint64_t number, int to, uint64_t new_number, uid_t owner, gid_t group)
{
    char name[SEGMENT_NAME_SIZE];
    for (size_t i = 0; i < KINDS; i++) {
        kinds[i].name(number, name);
        int in = disk_open(from, name, O_RDONLY);
        if (in < 0 && errno == ENOENT && kinds[i].name == segment_log_name)
            continue;
        bool done = in >= 0 && copy_file(&kinds[i], in, to, new_number, owner, group);
        if (in >= 0)
            disk_close(in);
        if (!done)
            return false;
    }
    return disk_calls()->fsync(to) == 0;
}

bool carry_copy(int from, uint64_t number, int to, uint64_t new_number, uid_t owner, gid_t group)
{
    if (copy_both(from, number, to, new_number, owner, group))
        return true;
    remove_copies(to, new_number);
    return false;
}

bool carry_take(int from, uint64_t number, uint64_t new_number, uint32_t tag)
{
    char name[SEGMENT_NAME_SIZE], taken[CARRY_NAME_SIZE];
    segment_name(number, name);
    print_taken(number, new_number, tag, taken);
    return disk_calls()->renameat(from, name, from, taken) == 0 && disk_calls()->fsync(from) == 0;
}

bool carry_show(int to, uint64_t new_number)
{
    char copy[CARRY_NAME_SIZE], name[SEGMENT_NAME_SIZE];
    for (size_t i = 0; i < KINDS; i++) {
        print_copy(&kinds[i], new_number, copy);
        kinds[i].name(new_number, name);
        if (disk_calls()->renameat(to, copy, to, name) != 0 && errno != ENOENT)
            return false;
        if (disk_calls()->fsync(to) != 0)
            return false;
    }
    return true;
}

bool carry_drop(int from, uint64_t number, uint64_t new_number, uint32_t tag)
{
    char log[SEGMENT_NAME_SIZE], taken[CARRY_NAME_SIZE];
    segment_log_name(number, log);
    print_taken(number, new_number, tag, taken);
    if (disk_calls()->unlinkat(from, log) != 0 && errno != ENOENT)
        return false;
    if (disk_calls()->unlinkat(from, taken) != 0 && errno != ENOENT)
        return false;
    return disk_calls()->fsync(from) == 0;
}

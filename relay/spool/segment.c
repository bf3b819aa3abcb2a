/* The file of a segment: names, making, checking, sealing, removing. The walk over its records is in walk.c.
 *
 * A segment is made under its final name: header written, synced, folder synced, and only then is its descriptor given to a
 * writer. What a crash leaves before that is a file too short for its header, or whose header is not whole and behind which
 * nothing lies; nobody ever wrote a message into it.
 *
 * Sealing happens when the writer has gone. The table is written behind the last record and synced; until it is whole, readers do
 * not find its footer at the end of the file and walk the records instead. */
#include "segment.h"

#include "../base/clock.h"
#include "../base/crc32c.h"
#include "../base/random.h"
#include "bytes.h"
#include "disk.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#define SEGMENT_VERSION 1
#define NUMBER_DIGITS   16

static const char segment_magic[8] = { 'P', 'S', 'T', 'R', 'N', 'S', 'E', 'G' };

/* Offsets of the header's fields. */
enum { AT_MAGIC = 0, AT_VERSION = 8, AT_NUMBER = 16, AT_TAG = 24, AT_CREATED = 32, AT_CRC = 60 };

static void print_name(uint64_t number, const char *ending, char name[SEGMENT_NAME_SIZE])
{
    snprintf(name, SEGMENT_NAME_SIZE, "%016llx%s", (unsigned long long)number, ending);
}

void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE])
{
    print_name(number, ".seg", name);
}

void segment_log_name(uint64_t number, char name[SEGMENT_NAME_SIZE])
{
    print_name(number, ".log", name);
}

bool segment_parse_name(const char *name, const char *ending, uint64_t *ret_number)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t number = 0;
    for (unsigned i = 0; i < NUMBER_DIGITS; i++) {
        const char *digit = name[i] ? strchr(digits, name[i]) : NULL;
        if (!digit)
            return false;
        number = number << 4 | (uint64_t)(digit - digits);
    }
    if (strcmp(name + NUMBER_DIGITS, ending) != 0)
        return false;
    *ret_number = number;
    return true;
}

bool segment_write_header(int fd, uint64_t number, uint64_t *ret_tag)
{
    unsigned char header[SEGMENT_HEADER_SIZE] = { 0 };
    random_bytes(ret_tag, sizeof *ret_tag);
    memcpy(header + AT_MAGIC, segment_magic, sizeof segment_magic);
    bytes_put32(header + AT_VERSION, SEGMENT_VERSION);
    bytes_put64(header + AT_NUMBER, number);
    bytes_put64(header + AT_TAG, *ret_tag);
    bytes_put64(header + AT_CREATED, (uint64_t)clock_wall_ms());
    bytes_put32(header + AT_CRC, crc32c(0, header, AT_CRC));
    return disk_write_bytes(fd, header, sizeof header, 0);
}

/* Writes the header of a fresh segment and makes file and name durable. */
static bool make_durable(int folder, int fd, uint64_t number)
{
    const struct disk *disk = disk_calls();
    uint64_t tag;
    return disk->flock(fd, LOCK_EX | LOCK_NB) == 0 && segment_write_header(fd, number, &tag) && disk->fsync(fd) == 0 &&
           disk->fsync(folder) == 0;
}

int segment_create(int folder, uint64_t number)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    int fd = disk_open(folder, name, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0)
        return -1;
    if (make_durable(folder, fd, number))
        return fd;
    int why = errno;
    disk_calls()->unlinkat(folder, name);
    disk_close(fd);
    errno = why;
    return -1;
}

int segment_open(int folder, uint64_t number)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    return disk_open(folder, name, O_RDONLY);
}

bool segment_has_writer(int folder, uint64_t number)
{
    int fd = segment_open(folder, number);
    if (fd < 0)
        return errno != ENOENT;
    bool free = disk_calls()->flock(fd, LOCK_SH | LOCK_NB) == 0;
    disk_close(fd);
    return !free;
}

struct header {
    uint64_t number;
    uint64_t tag;
    bool foreign; /* another version: whole, but not for this program */
};

static enum record_verdict read_header(int fd, struct header *ret_header)
{
    unsigned char bytes[SEGMENT_HEADER_SIZE];
    ssize_t n = disk_read(fd, bytes, sizeof bytes, 0);
    *ret_header = (struct header){ 0 };
    if (n < 0)
        return RECORD_IO;
    if ((size_t)n < sizeof bytes)
        return RECORD_TORN;
    if (memcmp(bytes + AT_MAGIC, segment_magic, sizeof segment_magic) != 0 ||
        bytes_get32(bytes + AT_CRC) != crc32c(0, bytes, AT_CRC))
        return RECORD_DAMAGED;
    ret_header->number = bytes_get64(bytes + AT_NUMBER);
    ret_header->tag = bytes_get64(bytes + AT_TAG);
    ret_header->foreign = bytes_get32(bytes + AT_VERSION) != SEGMENT_VERSION;
    return ret_header->foreign ? RECORD_DAMAGED : RECORD_OK;
}

enum record_verdict segment_check(int fd, uint64_t number)
{
    struct header header;
    enum record_verdict verdict = read_header(fd, &header);
    return verdict == RECORD_OK && header.number != number ? RECORD_DAMAGED : verdict;
}

bool segment_is_other(int fd, uint64_t number, uint64_t *ret_number)
{
    struct header header;
    if (read_header(fd, &header) != RECORD_OK || header.number == number)
        return false;
    *ret_number = header.number;
    return true;
}

enum record_verdict segment_tag(int fd, uint64_t *ret_tag, bool *ret_damaged)
{
    struct header header;
    struct record first;
    uint64_t size;
    enum record_verdict verdict = read_header(fd, &header);
    bool damaged = verdict == RECORD_DAMAGED && !header.foreign;
    if (damaged && disk_size(fd, &size) && record_read(fd, SEGMENT_HEADER_SIZE, size, &first) == RECORD_OK) {
        header.tag = first.tag;
        verdict = RECORD_OK;
    }
    if (ret_damaged)
        *ret_damaged = damaged;
    if (verdict == RECORD_OK)
        *ret_tag = header.tag;
    return verdict;
}

/* Cuts the tail and writes the table behind END; cuts the table off again where it did not get to the disk. */
static bool seal(int fd, uint64_t end, const uint64_t *offsets, size_t count)
{
    const struct disk *disk = disk_calls();
    uint64_t tag;
    if (segment_tag(fd, &tag, NULL) != RECORD_OK) {
        errno = EBADMSG;
        return false;
    }
    if (disk->ftruncate(fd, (off_t)end) < 0)
        return false;
    if (table_write(fd, end, tag, offsets, count) && disk->fdatasync(fd) == 0)
        return true;
    int why = errno;
    if (disk->ftruncate(fd, (off_t)end) == 0)
        errno = why;
    return false;
}

bool segment_seal(int folder, uint64_t number, uint64_t end, const uint64_t *offsets, size_t count)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(number, name);
    int fd = disk_open(folder, name, O_RDWR);
    if (fd < 0)
        return false;
    bool sealed = seal(fd, end, offsets, count);
    disk_close(fd);
    return sealed;
}

static bool unlink_name(int folder, const char *name)
{
    return disk_calls()->unlinkat(folder, name) == 0 || errno == ENOENT;
}

bool segment_remove(int folder, uint64_t number)
{
    char segment[SEGMENT_NAME_SIZE], log[SEGMENT_NAME_SIZE];
    segment_name(number, segment);
    segment_log_name(number, log);
    return unlink_name(folder, segment) && disk_calls()->fsync(folder) == 0 && unlink_name(folder, log);
}

/* What the spool's tests share: a temporary folder, messages that are known by their number, and a look at what a folder holds. */
#ifndef POSTERN_TESTS_SPOOL_H
#define POSTERN_TESTS_SPOOL_H

#include "../unit.h"

#include "../../../relay/base/crc32c.h"
#include "../../../relay/base/text.h"
#include "../../../relay/spool/disk.h"
#include "../../../relay/spool/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SHARED static inline __attribute__((unused))

struct box {
    char path[64];
    int folder;
};

SHARED void box_open(struct box *box)
{
    strcpy(box->path, "/tmp/postern-spool-XXXXXX");
    assert_non_null(mkdtemp(box->path));
    box->folder = open(box->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(box->folder >= 0);
}

/* Empties the folder. */
SHARED void box_clear(struct box *box)
{
    DIR *dir = opendir(box->path);
    struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlinkat(box->folder, entry->d_name, 0);
    closedir(dir);
}

SHARED void box_close(struct box *box)
{
    box_clear(box);
    close(box->folder);
    rmdir(box->path);
}

SHARED uint64_t box_size(const struct box *box, const char *name)
{
    struct stat stat;
    assert_int_equal(fstatat(box->folder, name, &stat, 0), 0);
    return (uint64_t)stat.st_size;
}

/* Message NUMBER: its id, and parts whose bytes follow from the number. */
struct sample {
    struct uid id;
    char *envelope, *content, *prefix;
    size_t envelope_size, content_size, prefix_size;
};

SHARED struct uid sample_id(uint32_t number)
{
    struct uid id = { { 'i', 'd' } };
    memcpy(id.bytes + 8, &number, 4);
    return id;
}

SHARED uint32_t sample_number(struct uid id)
{
    uint32_t number;
    memcpy(&number, id.bytes + 8, 4);
    return number;
}

SHARED char *sample_bytes(uint32_t seed, size_t size)
{
    char *bytes = text_zalloc(size + 8);
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 0x1234567;
    for (size_t i = 0; i < size; i += 8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(bytes + i, &state, 8);
    }
    return bytes;
}

SHARED struct sample sample_make(uint32_t number, size_t content_size)
{
    struct sample sample = {
        .id = sample_id(number), .envelope_size = 60 + number % 50, .content_size = content_size, .prefix_size = 100 + number % 31
    };
    sample.envelope = sample_bytes(number * 3, sample.envelope_size);
    sample.content = sample_bytes(number * 3 + 1, sample.content_size);
    sample.prefix = sample_bytes(number * 3 + 2, sample.prefix_size);
    return sample;
}

SHARED void sample_free(struct sample *sample)
{
    free(sample->envelope);
    free(sample->content);
    free(sample->prefix);
}

/* The record that SAMPLE makes at OFFSET. */
SHARED struct record sample_record(const struct sample *sample, uint64_t tag, uint64_t offset, uint64_t synced)
{
    return (struct record){ .id = sample->id,
                            .offset = offset,
                            .tag = tag,
                            .synced = synced,
                            .envelope_size = (uint32_t)sample->envelope_size,
                            .content_size = sample->content_size,
                            .prefix_size = (uint32_t)sample->prefix_size,
                            .envelope_crc = crc32c(0, sample->envelope, sample->envelope_size),
                            .content_crc = crc32c(0, sample->content, sample->content_size),
                            .prefix_crc = crc32c(0, sample->prefix, sample->prefix_size) };
}

/* Writes SAMPLE at OFFSET of the segment FD; returns where the next begins. */
SHARED uint64_t sample_write(int fd, const struct sample *sample, uint64_t offset, uint64_t synced)
{
    static const char zeros[RECORD_ALIGN];
    unsigned char header[RECORD_HEADER_SIZE];
    uint64_t tag = 0;
    assert_int_equal(segment_tag(fd, &tag, NULL), RECORD_OK);
    struct record record = sample_record(sample, tag, offset, synced);
    record_encode(&record, header);
    uint64_t end = record_prefix_offset(&record) + sample->prefix_size;
    assert_true(disk_write_bytes(fd, header, sizeof header, offset));
    assert_true(disk_write_bytes(fd, sample->content, sample->content_size, record_content_offset(&record)));
    assert_true(disk_write_bytes(fd, sample->envelope, sample->envelope_size, record_envelope_offset(&record)));
    assert_true(disk_write_bytes(fd, sample->prefix, sample->prefix_size, record_prefix_offset(&record)));
    assert_true(disk_write_bytes(fd, zeros, (size_t)(record_next_offset(&record) - end), end));
    return record_next_offset(&record);
}

/* Is the message at RECORD, byte for byte, what its number says? Content of any size. */
SHARED bool sample_is_at(int fd, const struct record *record)
{
    struct sample sample = sample_make(sample_number(record->id), (size_t)record->content_size);
    struct buffer part;
    bool same = sample.envelope_size == record->envelope_size && sample.prefix_size == record->prefix_size;
    buffer_init(&part, 64u << 20);
    same = same && record_read_envelope(fd, record, &part) == RECORD_OK &&
           span_equal(buffer_span(&part), span_make(sample.envelope, sample.envelope_size));
    buffer_clear(&part);
    same = same && record_check_content(fd, record) == RECORD_OK &&
           record_read_content(fd, record, 0, (size_t)record->content_size, &part) == RECORD_OK &&
           span_equal(buffer_span(&part), span_make(sample.content, sample.content_size));
    buffer_clear(&part);
    same = same && record_read_prefix(fd, record, &part) == RECORD_OK &&
           span_equal(buffer_span(&part), span_make(sample.prefix, sample.prefix_size));
    buffer_fini(&part);
    sample_free(&sample);
    return same;
}

/* What a walk found. */
#define SEEN_MAX 4096
struct seen {
    int fd;
    uint32_t numbers[SEEN_MAX];
    uint64_t offsets[SEEN_MAX];
    unsigned count;
    unsigned altered; /* records that are not what their number says */
    uint64_t damage[SEEN_MAX];
    const char *what;
    unsigned ndamage;
    uint64_t end;
    bool torn;
};

SHARED bool seen_record(void *context, const struct record *record)
{
    struct seen *seen = context;
    assert_true(seen->count < SEEN_MAX);
    seen->offsets[seen->count] = record->offset;
    seen->numbers[seen->count++] = sample_number(record->id);
    if (!sample_is_at(seen->fd, record))
        seen->altered++;
    return true;
}

SHARED void seen_damage(void *context, uint64_t offset, const char *what)
{
    struct seen *seen = context;
    assert_true(seen->ndamage < SEEN_MAX);
    seen->damage[seen->ndamage++] = offset;
    seen->what = what;
}

/* Walks the segment FD; the numbers go behind what SEEN has. */
SHARED enum record_verdict seen_walk(struct seen *seen, int fd)
{
    seen->fd = fd;
    return segment_walk(fd, SEGMENT_HEADER_SIZE, seen_record, seen_damage, seen, &seen->end, &seen->torn);
}

SHARED unsigned seen_times(const struct seen *seen, uint32_t number)
{
    unsigned times = 0;
    for (unsigned i = 0; i < seen->count; i++)
        times += seen->numbers[i] == number;
    return times;
}

#endif

/* A segment that the disk, or nobody knows who, has changed. The first byte says how the input is taken: as a whole file, or as edits
 * (place, length, bytes) to a segment with some records, open or sealed, whose end may be cut off. Whatever it is, the walk ends and
 * tells of records that lie in the file, in order; and damage stays where it is: each record that was not edited is told. */
#include "../../relay/base/crc32c.h"
#include "../../relay/base/text.h"
#include "../../relay/spool/disk.h"
#include "../../relay/spool/segment.h"
#include "../../relay/spool/table.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORDS    6
#define IMAGE_SIZE 4096
#define RAW        1 /* bits of the first byte */
#define SEALED     2
#define CUT        4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The segment before the edits, and what was walked of it after them. */
static struct image {
    char open[IMAGE_SIZE], sealed[IMAGE_SIZE];
    size_t open_size, sealed_size;
    uint64_t starts[RECORDS + 1]; /* the last is the end */
} image;

struct walked {
    int fd;
    uint64_t size, last;
    unsigned told[RECORDS];
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static uint64_t write_record(int fd, unsigned number, uint64_t tag, uint64_t at, uint64_t synced)
{
    unsigned char bytes[RECORD_HEADER_SIZE];
    char content[256];
    memset(content, 'a' + (int)number, sizeof content);
    struct record record = { .id = { { (unsigned char)number } },
                             .offset = at,
                             .tag = tag,
                             .synced = synced,
                             .content_size = 50 + number * 31,
                             .envelope_size = 20 + number,
                             .prefix_size = 30 + number * 3 };
    record.content_crc = crc32c(0, content, record.content_size);
    record.envelope_crc = crc32c(0, content, record.envelope_size);
    record.prefix_crc = crc32c(0, content, record.prefix_size);
    record_encode(&record, bytes);
    require(disk_write_bytes(fd, bytes, sizeof bytes, at));
    require(disk_write_bytes(fd, content, record.content_size, record_content_offset(&record)));
    require(disk_write_bytes(fd, content, record.envelope_size, record_envelope_offset(&record)));
    require(disk_write_bytes(fd, content, record.prefix_size, record_prefix_offset(&record)));
    require(ftruncate(fd, (off_t)record_next_offset(&record)) == 0);
    return record_next_offset(&record);
}

/* Makes the segment once, in a folder that is gone again at once. */
static void make_image(void)
{
    char path[] = "/tmp/postern-walk-XXXXXX", name[SEGMENT_NAME_SIZE];
    uint64_t tag, at = SEGMENT_HEADER_SIZE;
    require(mkdtemp(path));
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = segment_create(folder, 1);
    require(fd >= 0 && segment_tag(fd, &tag, NULL) == RECORD_OK);
    segment_name(1, name);
    unlinkat(folder, name, 0);
    close(folder);
    rmdir(path);
    for (unsigned i = 0; i < RECORDS; i++) {
        image.starts[i] = at;
        at = write_record(fd, i, tag, at, i < 3 ? SEGMENT_HEADER_SIZE : image.starts[3]);
    }
    image.starts[RECORDS] = at;
    image.open_size = (size_t)disk_read(fd, image.open, IMAGE_SIZE, 0);
    require(table_write(fd, at, tag, image.starts, RECORDS));
    image.sealed_size = (size_t)disk_read(fd, image.sealed, IMAGE_SIZE, 0);
    require(image.open_size == at && image.sealed_size > at && image.sealed_size < IMAGE_SIZE);
    close(fd);
}

static bool each(void *context, const struct record *record)
{
    struct walked *walked = context;
    struct buffer out;
    require(record->offset >= walked->last && record->offset % RECORD_ALIGN == 0);
    require(record_next_offset(record) > record->offset && record->offset + RECORD_HEADER_SIZE <= walked->size);
    walked->last = record->offset + RECORD_HEADER_SIZE;
    for (unsigned i = 0; i < RECORDS; i++)
        walked->told[i] += image.starts[i] == record->offset;
    buffer_init(&out, IMAGE_SIZE);
    if (record->envelope_size < IMAGE_SIZE)
        record_read_envelope(walked->fd, record, &out);
    buffer_clear(&out);
    record_read_content(walked->fd, record, 0, IMAGE_SIZE, &out);
    buffer_fini(&out);
    return true;
}

static void damaged(void *context, uint64_t offset, const char *what)
{
    struct walked *walked = context;
    require(offset <= walked->size && what && *what);
}

/* Walks SIZE bytes at BYTES as a segment. */
static enum record_verdict walk(int fd, const char *bytes, size_t size, struct walked *walked)
{
    uint64_t end = 0;
    bool torn = false;
    *walked = (struct walked){ .fd = fd, .size = size, .last = SEGMENT_HEADER_SIZE };
    require(ftruncate(fd, 0) == 0 && disk_write_bytes(fd, bytes, size, 0));
    enum record_verdict verdict = segment_walk(fd, SEGMENT_HEADER_SIZE, each, damaged, walked, &end, &torn);
    if (verdict == RECORD_OK)
        require(end < size + RECORD_ALIGN || end == SEGMENT_HEADER_SIZE); /* the last record's padding may be cut off */
    segment_check(fd, 1);
    return verdict;
}

static void edit_and_walk(int fd, unsigned how, struct span edits)
{
    char bytes[IMAGE_SIZE];
    struct walked walked;
    bool touched[RECORDS + 1] = { false }; /* the last is the segment's header */
    size_t size = how & SEALED ? image.sealed_size : image.open_size;
    memcpy(bytes, how & SEALED ? image.sealed : image.open, size);
    if (how & CUT && edits.n >= 2) {
        size_t cut = (size_t)((unsigned char)edits.p[0] << 8 | (unsigned char)edits.p[1]) % size;
        edits = span_skip(edits, 2);
        size = cut;
    }
    while (edits.n >= 3) {
        size_t at = (size_t)((unsigned char)edits.p[0] << 8 | (unsigned char)edits.p[1]) % IMAGE_SIZE;
        struct span run = span_head(span_skip(edits, 3), (unsigned char)edits.p[2]);
        edits = span_skip(edits, 3 + run.n);
        run = span_head(run, at < size ? size - at : 0);
        memcpy(bytes + (run.n ? at : 0), run.p, run.n);
        touched[RECORDS] |= run.n && at < SEGMENT_HEADER_SIZE;
        for (unsigned i = 0; i < RECORDS; i++)
            touched[i] |= run.n && at < image.starts[i + 1] && at + run.n > image.starts[i];
    }
    enum record_verdict verdict = walk(fd, bytes, size, &walked);
    require(verdict == RECORD_OK || touched[RECORDS] || size < SEGMENT_HEADER_SIZE);
    for (unsigned i = 0; i < RECORDS; i++)
        require(walked.told[i] <= 1 && (touched[i] || touched[RECORDS] || size < image.starts[i + 1] || walked.told[i] == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct walked walked;
    if (fd < 0) {
        make_image();
        fd = memfd_create("segment", MFD_CLOEXEC);
    }
    if (!size)
        return 0;
    if (data[0] & RAW)
        walk(fd, (const char *)data + 1, size - 1, &walked);
    else
        edit_and_walk(fd, data[0], span_make((const char *)data + 1, size - 1));
    return 0;
}

/* The walk over an open segment: torn at every byte, blocks lost or old, bytes flipped, lookalikes; neighbours untouched. */
#include "spool.h"

#define BATCHES   3
#define PER_BATCH 3
#define RECORDS   (BATCHES * PER_BATCH)

struct segment {
    struct box box;
    int fd;
    uint64_t offsets[RECORDS + 1]; /* the last is the end */
    uint64_t tag;
    char *image;
    size_t size;
};

/* Three batches of three, each batch written when the ones before it were durable. */
static void open_segment(struct segment *segment)
{
    box_open(&segment->box);
    segment->fd = segment_create(segment->box.folder, 1);
    assert_int_equal(segment_tag(segment->fd, &segment->tag, NULL), RECORD_OK);
    uint64_t at = SEGMENT_HEADER_SIZE, synced = at;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct sample sample = sample_make(i, 200 + i * 301);
        if (i % PER_BATCH == 0)
            synced = at;
        segment->offsets[i] = at;
        at = sample_write(segment->fd, &sample, at, synced);
        sample_free(&sample);
    }
    segment->offsets[RECORDS] = at;
    segment->size = (size_t)at;
    segment->image = text_zalloc(segment->size);
    assert_int_equal(disk_read(segment->fd, segment->image, segment->size, 0), segment->size);
}

/* As it was before the damage. */
static void restore(struct segment *segment)
{
    assert_int_equal(ftruncate(segment->fd, 0), 0);
    assert_true(disk_write_bytes(segment->fd, segment->image, segment->size, 0));
}

static void close_segment(struct segment *segment)
{
    free(segment->image);
    close(segment->fd);
    box_close(&segment->box);
}

/* Puts SIZE bytes at OFFSET, walks, and restores. */
static void walk_with(struct segment *segment, const void *bytes, size_t size, uint64_t offset, struct seen *seen)
{
    memset(seen, 0, sizeof *seen);
    assert_true(disk_write_bytes(segment->fd, bytes, size, offset));
    assert_int_equal(seen_walk(seen, segment->fd), RECORD_OK);
    assert_int_equal(seen->altered, 0);
    restore(segment);
}

static void test_whole(void **state)
{
    (void)state;
    struct segment segment;
    struct seen seen = { 0 };
    open_segment(&segment);
    assert_int_equal(seen_walk(&seen, segment.fd), RECORD_OK);
    assert_int_equal(seen.count, RECORDS);
    assert_int_equal(seen.ndamage, 0);
    assert_int_equal(seen.end, segment.offsets[RECORDS]);
    assert_false(seen.torn);
    for (unsigned i = 0; i < RECORDS; i++)
        assert_int_equal(seen.offsets[i], segment.offsets[i]);
    memset(&seen, 0, sizeof seen);
    seen.fd = segment.fd; /* from the middle on */
    assert_int_equal(segment_walk(segment.fd, segment.offsets[4], seen_record, NULL, &seen, &seen.end, &seen.torn), RECORD_OK);
    assert_int_equal(seen.count, RECORDS - 4);
    close_segment(&segment);
}

static bool stop_at_third(void *context, const struct record *record)
{
    unsigned *count = context;
    (void)record;
    return ++*count < 3;
}

static void test_stops_when_told(void **state)
{
    (void)state;
    struct segment segment;
    uint64_t end;
    bool torn;
    open_segment(&segment);
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        unsigned count = 0;
        assert_int_equal(segment_walk(segment.fd, SEGMENT_HEADER_SIZE, stop_at_third, NULL, &count, &end, &torn), RECORD_OK);
        assert_int_equal(count, 3);
        assert_int_equal(end, segment.offsets[3]);
        assert_true(segment_seal(segment.box.folder, 1, segment.offsets[RECORDS], segment.offsets, RECORDS));
    }
    close_segment(&segment);
}

/* Cut at every byte: what is whole is found, the rest is the torn tail, and nothing is called damage. */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    struct segment segment;
    open_segment(&segment);
    for (uint64_t size = segment.size; size >= SEGMENT_HEADER_SIZE; size--) {
        struct seen seen = { 0 };
        struct record last = { 0 };
        unsigned whole = 0;
        while (whole < RECORDS && record_read(segment.fd, segment.offsets[whole], size, &last) == RECORD_OK)
            whole++;
        assert_int_equal(ftruncate(segment.fd, (off_t)size), 0);
        assert_int_equal(seen_walk(&seen, segment.fd), RECORD_OK);
        assert_int_equal(seen.count, whole);
        assert_int_equal(seen.altered + seen.ndamage, 0);
        assert_int_equal(seen.end, segment.offsets[whole]);
        if (seen.torn)
            assert_true(size > segment.offsets[whole]);
        else
            assert_true(size <= segment.offsets[whole] + RECORD_ALIGN);
    }
    close_segment(&segment);
}

/* A file longer than what was written, as after a crash of some file systems: zeros behind the end are no tail. */
static void test_zeros_behind_the_end(void **state)
{
    (void)state;
    struct segment segment;
    struct seen seen = { 0 };
    open_segment(&segment);
    assert_int_equal(ftruncate(segment.fd, (off_t)segment.size + 300000), 0);
    assert_int_equal(seen_walk(&seen, segment.fd), RECORD_OK);
    assert_int_equal(seen.count, RECORDS);
    assert_int_equal(seen.ndamage, 0);
    assert_false(seen.torn);
    assert_true(disk_write_bytes(segment.fd, "x", 1, segment.size + 299999));
    memset(&seen, 0, sizeof seen);
    assert_int_equal(seen_walk(&seen, segment.fd), RECORD_OK);
    assert_true(seen.torn);
    close_segment(&segment);
}

/* Any 512 bytes of the last batch lost (zero) or old (what was there before it): what they do not touch is found, what they
 * touch is not, or is found unaltered (padding); no acknowledged record suffers, and it is not called proven damage. */
static void test_blocks_of_the_last_batch(void **state)
{
    (void)state;
    static const char zeros[512];
    struct segment segment;
    struct seen *seen = text_zalloc(sizeof *seen);
    uint64_t first = RECORDS - PER_BATCH;
    open_segment(&segment);
    for (uint64_t block = segment.offsets[first] / 512 * 512; block < segment.size; block += 512) {
        uint64_t from = block > segment.offsets[first] ? block : segment.offsets[first];
        uint64_t until = block + 512 < segment.size ? block + 512 : segment.size;
        walk_with(&segment, zeros, (size_t)(until - from), from, seen);
        for (unsigned i = 0; i < RECORDS; i++) {
            bool touched = i >= first && segment.offsets[i] < until && segment.offsets[i + 1] - RECORD_ALIGN > from;
            if (!touched && (segment.offsets[i + 1] <= from || segment.offsets[i] >= until))
                assert_int_equal(seen_times(seen, i), 1);
            if (touched)
                assert_int_equal(seen_times(seen, i), 0);
        }
        for (unsigned i = 0; i < seen->ndamage; i++)
            assert_non_null(strstr(seen->what, "nothing shows that it had been acknowledged"));
    }
    free(seen);
    close_segment(&segment);
}

/* Each byte of a record flipped, in an acknowledged batch: it alone is missing, and it is told. */
static void test_every_byte_flipped(void **state)
{
    (void)state;
    struct segment segment;
    struct seen *seen = text_zalloc(sizeof *seen);
    const unsigned victim = 1;
    open_segment(&segment);
    for (uint64_t at = segment.offsets[victim]; at < segment.offsets[victim + 1]; at++) {
        char flipped = (char)(segment.image[at] ^ 0x20);
        walk_with(&segment, &flipped, 1, at, seen);
        assert_int_equal(seen->end, segment.offsets[RECORDS]);
        assert_false(seen->torn);
        if (seen->count == RECORDS) { /* padding: belongs to nothing */
            assert_true(at + RECORD_ALIGN > segment.offsets[victim + 1]);
            continue;
        }
        assert_int_equal(seen->count, RECORDS - 1);
        assert_int_equal(seen_times(seen, victim), 0);
        assert_int_equal(seen->ndamage, 1);
        assert_int_equal(seen->damage[0], segment.offsets[victim]);
        assert_null(strstr(seen->what, "nothing shows"));
    }
    free(seen);
    close_segment(&segment);
}

static void test_every_byte_of_the_segment_header_flipped(void **state)
{
    (void)state;
    struct segment segment;
    struct seen *seen = text_zalloc(sizeof *seen);
    open_segment(&segment);
    for (uint64_t at = 0; at < SEGMENT_HEADER_SIZE; at++) {
        char flipped = (char)(segment.image[at] ^ 0x20);
        walk_with(&segment, &flipped, 1, at, seen);
        assert_int_equal(seen->count, RECORDS);
        assert_int_equal(seen->ndamage, 1);
        assert_int_equal(seen->damage[0], 0);
    }
    free(seen);
    close_segment(&segment);
}

/* Lengths that a header may claim with its CRC right. */
static void test_lengths(void **state)
{
    (void)state;
    static const struct {
        uint64_t content;
        uint32_t envelope, prefix;
    } cases[] = {
        { 0, 0, 0 },
        { UINT32_MAX, 0, 0 },
        { 0, UINT32_MAX, 0 },
        { 0, 0, UINT32_MAX },
        { UINT32_MAX, UINT32_MAX, UINT32_MAX },
        { (uint64_t)1 << 40, UINT32_MAX, UINT32_MAX },
        { UINT64_MAX, 0, 0 },
        { UINT64_MAX - 63, UINT32_MAX, UINT32_MAX },
    };
    struct segment segment;
    struct seen *seen = text_zalloc(sizeof *seen);
    open_segment(&segment);
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char header[RECORD_HEADER_SIZE];
        struct record record;
        const unsigned victim = 4;
        assert_int_equal(record_read(segment.fd, segment.offsets[victim], segment.size, &record), RECORD_OK);
        record.content_size = cases[i].content;
        record.envelope_size = cases[i].envelope;
        record.prefix_size = cases[i].prefix;
        record_encode(&record, header);
        walk_with(&segment, header, sizeof header, segment.offsets[victim], seen);
        assert_int_equal(seen_times(seen, victim), 0);
        assert_int_equal(seen->count, RECORDS - 1);
        assert_true(seen->ndamage >= 1);
        assert_int_equal(seen->damage[0], segment.offsets[victim]);
    }
    free(seen);
    close_segment(&segment);
}

/* Content that holds whole records, with another tag or copied from elsewhere in this segment: never taken for records, even
 * where the record that holds them is damaged and the search goes through its content. */
static void test_lookalikes(void **state)
{
    (void)state;
    struct segment segment;
    struct seen *seen = text_zalloc(sizeof *seen);
    open_segment(&segment);
    struct sample inner = sample_make(500, 100), outer = sample_make(RECORDS, 4096);
    for (size_t at = 0; at + 600 < outer.content_size; at += 600) {
        struct record fake = sample_record(&inner, at % 1200 ? 0 : segment.tag, segment.size + 8 * (at % 7), 0);
        record_encode(&fake, (unsigned char *)outer.content + at / 8 * 8);
    }
    memcpy(outer.content + 4096 - 600, segment.image + segment.offsets[0], 600); /* an old record, at another place */
    uint64_t offset = segment.size, end = sample_write(segment.fd, &outer, offset, offset);
    struct sample next = sample_make(RECORDS + 1, 10);
    sample_write(segment.fd, &next, end, end);
    assert_true(disk_write_bytes(segment.fd, "x", 1, offset)); /* its header is gone: the search begins inside it */
    assert_int_equal(seen_walk(seen, segment.fd), RECORD_OK);
    assert_int_equal(seen->count, RECORDS + 1);
    assert_int_equal(seen_times(seen, 500), 0);
    assert_int_equal(seen_times(seen, 0), 1);
    assert_int_equal(seen_times(seen, RECORDS + 1), 1);
    assert_int_equal(seen->ndamage, 1);
    assert_int_equal(seen->damage[0], offset);
    sample_free(&inner);
    sample_free(&outer);
    sample_free(&next);
    free(seen);
    close_segment(&segment);
}

/* More damage at once than the walk keeps in mind, all of it told. */
static void test_many_damaged(void **state)
{
    (void)state;
    struct box box;
    struct seen *seen = text_zalloc(sizeof *seen);
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    uint64_t at = SEGMENT_HEADER_SIZE;
    for (uint32_t i = 0; i < 301; i++) {
        struct sample sample = sample_make(i, 50);
        uint64_t next = sample_write(fd, &sample, at, SEGMENT_HEADER_SIZE);
        if (i < 300) {
            unsigned char byte;
            uint64_t victim = at + (i % 2 ? 10 : 70);
            assert_int_equal(pread(fd, &byte, 1, (off_t)victim), 1);
            byte ^= 0x80;
            assert_true(disk_write_bytes(fd, &byte, 1, victim));
        }
        at = next;
        sample_free(&sample);
    }
    assert_int_equal(seen_walk(seen, fd), RECORD_OK);
    assert_int_equal(seen->count, 1);
    /* Half of them are headers; such a one and those that follow until the next good header are told as one. */
    assert_true(seen->ndamage >= 150 && seen->ndamage <= 300);
    for (unsigned i = 1; i < seen->ndamage; i++)
        assert_true(seen->damage[i - 1] < seen->damage[i]);
    close(fd);
    free(seen);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_stops_when_told),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_zeros_behind_the_end),
        cmocka_unit_test(test_blocks_of_the_last_batch),
        cmocka_unit_test(test_every_byte_flipped),
        cmocka_unit_test(test_every_byte_of_the_segment_header_flipped),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_lookalikes),
        cmocka_unit_test(test_many_damaged),
    };
    return cmocka_run_group_tests_name("spool/walk", tests, NULL, NULL);
}

/* The file of a segment: its name, its making, its lock, its seal, its end. */
#include "spool.h"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *ending;
        bool ours;
        uint64_t number;
    } cases[] = {
        { "00000000000000a1.seg", ".seg", true, 0xa1 },
        { "ffffffffffffffff.log", ".log", true, UINT64_MAX },
        { "0000000000000000.seg", ".seg", true, 0 },
        { "00000000000000a1.log", ".seg", false, 0 },
        { "00000000000000A1.seg", ".seg", false, 0 },
        { "0000000000000a1.seg", ".seg", false, 0 },
        { "000000000000000a1.seg", ".seg", false, 0 },
        { "00000000000000a1.seg~", ".seg", false, 0 },
        { "00000000000000a1", ".seg", false, 0 },
        { ".", ".seg", false, 0 },
        { "", ".seg", false, 0 },
        { "0x000000000000a1.seg", ".seg", false, 0 },
    };
    char name[SEGMENT_NAME_SIZE];
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t number = 0;
        assert_int_equal(segment_parse_name(cases[i].name, cases[i].ending, &number), cases[i].ours);
        assert_int_equal(number, cases[i].number);
    }
    segment_name(0xa1, name);
    assert_string_equal(name, "00000000000000a1.seg");
    segment_log_name(UINT64_MAX, name);
    assert_string_equal(name, "ffffffffffffffff.log");
}

static void test_create_and_lock(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    int fd = segment_create(box.folder, 5);
    assert_true(fd >= 0);
    assert_int_equal(box_size(&box, "0000000000000005.seg"), SEGMENT_HEADER_SIZE);
    assert_int_equal(segment_check(fd, 5), RECORD_OK);
    assert_int_equal(segment_check(fd, 6), RECORD_DAMAGED);
    assert_int_equal(segment_create(box.folder, 5), -1);
    assert_int_equal(errno, EEXIST);
    assert_true(segment_has_writer(box.folder, 5));
    int copy = dup(fd), reader = segment_open(box.folder, 5);
    close(fd);
    assert_true(segment_has_writer(box.folder, 5)); /* as long as any copy lives */
    close(copy);
    assert_false(segment_has_writer(box.folder, 5));
    assert_int_equal(segment_check(reader, 5), RECORD_OK);
    assert_int_equal(write(reader, "x", 1), -1); /* for reading only */
    close(reader);
    assert_false(segment_has_writer(box.folder, 99));
    assert_int_equal(segment_open(box.folder, 99), -1);
    box_close(&box);
}

static void test_tags_differ(void **state)
{
    (void)state;
    struct box box;
    uint64_t a, b;
    bool damaged;
    box_open(&box);
    int one = segment_create(box.folder, 1), two = segment_create(box.folder, 2);
    assert_int_equal(segment_tag(one, &a, &damaged), RECORD_OK);
    assert_false(damaged);
    assert_int_equal(segment_tag(two, &b, &damaged), RECORD_OK);
    assert_true(a != b);
    close(one);
    close(two);
    box_close(&box);
}

static void test_headers_that_are_none(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    for (off_t size = 0; size < SEGMENT_HEADER_SIZE; size++) {
        int fd = segment_create(box.folder, 1);
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(segment_check(fd, 1), RECORD_TORN);
        close(fd);
        box_clear(&box);
    }
    for (unsigned at = 0; at < SEGMENT_HEADER_SIZE; at++) {
        unsigned char byte;
        int fd = segment_create(box.folder, 1);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_int_equal(segment_check(fd, 1), RECORD_DAMAGED);
        close(fd);
        box_clear(&box);
    }
    assert_int_equal(segment_check(-1, 1), RECORD_IO);
    box_close(&box);
}

/* Another version, its own CRC right: not touched, not searched. */
static void test_foreign_version(void **state)
{
    (void)state;
    struct box box;
    struct seen seen = { 0 };
    struct sample sample = sample_make(1, 100);
    unsigned char header[SEGMENT_HEADER_SIZE];
    uint64_t tag;
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    sample_write(fd, &sample, SEGMENT_HEADER_SIZE, SEGMENT_HEADER_SIZE);
    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    header[8]++;
    uint32_t crc = crc32c(0, header, 60);
    memcpy(header + 60, &crc, 4);
    assert_int_equal(pwrite(fd, header, sizeof header, 0), sizeof header);
    assert_int_equal(segment_check(fd, 1), RECORD_DAMAGED);
    assert_int_equal(segment_tag(fd, &tag, NULL), RECORD_DAMAGED);
    assert_int_equal(seen_walk(&seen, fd), RECORD_DAMAGED);
    assert_int_equal(seen.count + seen.ndamage, 0);
    close(fd);
    sample_free(&sample);
    box_close(&box);
}

#define RECORDS 9

/* Writes RECORDS messages into segment 1; returns the end. */
static uint64_t write_records(int fd, uint64_t offsets[RECORDS])
{
    uint64_t at = SEGMENT_HEADER_SIZE;
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct sample sample = sample_make(i, 100 + i * 37);
        offsets[i] = at;
        at = sample_write(fd, &sample, at, at);
        sample_free(&sample);
    }
    return at;
}

static void test_seal(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[RECORDS];
    box_open(&box);
    for (size_t count = 0; count <= RECORDS; count++) {
        struct seen seen = { 0 };
        int fd = segment_create(box.folder, 1);
        uint64_t end = write_records(fd, offsets);
        assert_true(disk_write_bytes(fd, "torn", 4, end));
        assert_true(segment_seal(box.folder, 1, count < RECORDS ? offsets[count] : end, offsets, count));
        assert_int_equal(seen_walk(&seen, fd), RECORD_OK);
        assert_int_equal(seen.count, count);
        assert_int_equal(seen.altered + seen.ndamage, 0);
        assert_false(seen.torn);
        assert_int_equal(seen.end, count < RECORDS ? offsets[count] : end);
        assert_true(segment_seal(box.folder, 1, seen.end, offsets, count)); /* once more is the same */
        memset(&seen, 0, sizeof seen);
        assert_int_equal(seen_walk(&seen, fd), RECORD_OK);
        assert_int_equal(seen.count, count);
        close(fd);
        box_clear(&box);
    }
    assert_false(segment_seal(box.folder, 1, SEGMENT_HEADER_SIZE, NULL, 0));
    assert_int_equal(errno, ENOENT);
    box_close(&box);
}

/* Whatever is wrong with the table, the records are found without it; each byte of it flipped, and cut at each. */
static void test_damaged_table(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[RECORDS];
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    uint64_t end = write_records(fd, offsets);
    assert_true(segment_seal(box.folder, 1, end, offsets, RECORDS));
    uint64_t size = box_size(&box, "0000000000000001.seg");
    assert_int_equal(size, end + 8 * RECORDS + 40);
    for (uint64_t at = end; at < size; at++) {
        struct seen seen = { 0 };
        unsigned char byte, flipped;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        flipped = byte ^ 0x04;
        assert_true(disk_write_bytes(fd, &flipped, 1, at));
        assert_int_equal(seen_walk(&seen, fd), RECORD_OK);
        assert_int_equal(seen.count, RECORDS);
        assert_int_equal(seen.altered + seen.ndamage, 0);
        assert_int_equal(seen.end, end);
        assert_true(seen.torn);
        assert_true(disk_write_bytes(fd, &byte, 1, at));
    }
    for (uint64_t at = size - 1; at > end; at--) {
        struct seen seen = { 0 };
        assert_int_equal(ftruncate(fd, (off_t)at), 0);
        assert_int_equal(seen_walk(&seen, fd), RECORD_OK);
        assert_int_equal(seen.count, RECORDS);
        assert_int_equal(seen.end, end);
    }
    close(fd);
    box_close(&box);
}

static void test_sealed_and_damaged_records(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[RECORDS];
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    uint64_t end = write_records(fd, offsets);
    assert_true(segment_seal(box.folder, 1, end, offsets, RECORDS));
    for (unsigned i = 0; i < RECORDS; i++) {
        struct seen seen = { 0 };
        unsigned char byte, flipped;
        uint64_t at = offsets[i] + i * 7;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        flipped = byte ^ 0x04;
        assert_true(disk_write_bytes(fd, &flipped, 1, at));
        assert_int_equal(seen_walk(&seen, fd), RECORD_OK);
        assert_int_equal(seen.count, RECORDS - 1);
        assert_int_equal(seen_times(&seen, i), 0);
        assert_int_equal(seen.ndamage, 1);
        assert_int_equal(seen.damage[0], offsets[i]);
        assert_true(disk_write_bytes(fd, &byte, 1, at));
    }
    close(fd);
    box_close(&box);
}

static void test_remove(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    assert_true(segment_remove(box.folder, 3)); /* is gone already */
    close(segment_create(box.folder, 3));
    close(openat(box.folder, "0000000000000003.log", O_CREAT | O_WRONLY, 0600));
    assert_true(segment_remove(box.folder, 3));
    assert_int_equal(faccessat(box.folder, "0000000000000003.seg", F_OK, 0), -1);
    assert_int_equal(faccessat(box.folder, "0000000000000003.log", F_OK, 0), -1);
    close(openat(box.folder, "0000000000000003.log", O_CREAT | O_WRONLY, 0600));
    assert_true(segment_remove(box.folder, 3));
    assert_int_equal(faccessat(box.folder, "0000000000000003.log", F_OK, 0), -1);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),           cmocka_unit_test(test_create_and_lock),
        cmocka_unit_test(test_tags_differ),     cmocka_unit_test(test_headers_that_are_none),
        cmocka_unit_test(test_foreign_version), cmocka_unit_test(test_seal),
        cmocka_unit_test(test_damaged_table),   cmocka_unit_test(test_sealed_and_damaged_records),
        cmocka_unit_test(test_remove),
    };
    return cmocka_run_group_tests_name("spool/segment", tests, NULL, NULL);
}

/* The record: header there and back, every flip noticed, parts read and checked, a lookalike not taken. */
#include "spool.h"

static const uint64_t tag = 0x1122334455667788u;

static void test_header_there_and_back(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { 0, 1, 4096, 1u << 20, (uint64_t)1 << 40 };
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct record record = { .id = sample_id(7),
                                 .offset = 64 + 8 * i,
                                 .tag = tag,
                                 .synced = 4096,
                                 .content_size = sizes[i],
                                 .envelope_size = (uint32_t)(UINT32_MAX - i),
                                 .prefix_size = (uint32_t)i,
                                 .envelope_crc = 1,
                                 .content_crc = 2,
                                 .prefix_crc = 3 };
        struct record again;
        unsigned char bytes[RECORD_HEADER_SIZE], again_bytes[RECORD_HEADER_SIZE];
        record_encode(&record, bytes);
        assert_int_equal(record_decode(bytes, record.offset, &again), RECORD_OK);
        assert_true(again.content_size == sizes[i] && again.offset == record.offset && again.tag == tag && again.synced == 4096);
        record_encode(&again, again_bytes);
        assert_memory_equal(bytes, again_bytes, sizeof bytes);
    }
}

/* The format is fixed: a header made today is these bytes. */
static void test_header_bytes(void **state)
{
    (void)state;
    static const unsigned char expected[60] = { 'P',  'R',  'e',  'c',  1,    0,    0,    0, /* magic, version */
                                                1,    2,    3,    4,    5,    6,    7,    8,    9,    10, 11, 12, /* id */
                                                0x78, 0x56, 0x34, 0x12,                                           /* envelope */
                                                0x08, 0x07, 0x06, 0x05, 0x04, 0,    0,    0,                      /* content */
                                                0x44, 0x33, 0x22, 0x11,                                           /* prefix */
                                                0xa1, 0,    0,    0,    0xa2, 0,    0,    0,    0xa3, 0,  0,  0,  /* CRCs */
                                                0xc8, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,                   /* mark */
                                                0x02, 0,    0,    0 };                                            /* synced */
    struct record record = { .id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } },
                             .offset = 64,
                             .tag = tag,
                             .synced = 16,
                             .content_size = 0x0405060708,
                             .envelope_size = 0x12345678,
                             .prefix_size = 0x11223344,
                             .envelope_crc = 0xa1,
                             .content_crc = 0xa2,
                             .prefix_crc = 0xa3 };
    unsigned char bytes[RECORD_HEADER_SIZE];
    record_encode(&record, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    uint32_t crc = crc32c(0, bytes, 60);
    assert_memory_equal(bytes + 60, &crc, 4);
}

static void test_every_bit_of_the_header_counts(void **state)
{
    (void)state;
    struct record record = { .id = sample_id(1), .offset = 64, .tag = tag, .content_size = 100 }, again;
    unsigned char bytes[RECORD_HEADER_SIZE];
    for (unsigned bit = 0; bit < RECORD_HEADER_SIZE * 8; bit++) {
        record_encode(&record, bytes);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(record_decode(bytes, 64, &again), RECORD_DAMAGED);
    }
}

/* Version and sizes that a whole header may not have: the CRC is right in each. */
static void test_foreign_headers(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        unsigned char byte;
    } cases[] = { { 4, 2 }, { 5, 1 }, { 30, 1 }, { 31, 0xff } };
    struct record record = { .id = sample_id(1), .offset = 64, .tag = tag }, again;
    unsigned char bytes[RECORD_HEADER_SIZE];
    for (size_t i = 0; i < COUNT(cases); i++) {
        record_encode(&record, bytes);
        bytes[cases[i].at] = cases[i].byte;
        uint32_t crc = crc32c(0, bytes, 60);
        memcpy(bytes + 60, &crc, 4);
        assert_int_equal(record_decode(bytes, 64, &again), RECORD_DAMAGED);
    }
}

static void test_another_place_gives_another_tag(void **state)
{
    (void)state;
    struct record record = { .id = sample_id(1), .offset = 64, .tag = tag }, again;
    unsigned char bytes[RECORD_HEADER_SIZE];
    record_encode(&record, bytes);
    assert_int_equal(record_decode(bytes, 72, &again), RECORD_OK);
    assert_true(again.tag != tag);
}

static void test_read_at_the_end(void **state)
{
    (void)state;
    struct box box;
    struct record record;
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    struct sample sample = sample_make(5, 300);
    uint64_t end = sample_write(fd, &sample, 64, 64);
    assert_int_equal(record_read(fd, 64, end, &record), RECORD_OK);
    assert_int_equal(record_next_offset(&record), end);
    assert_true(sample_is_at(fd, &record));
    assert_int_equal(record_read(fd, end, end, &record), RECORD_END);
    assert_int_equal(record_read(fd, end + 1000, end, &record), RECORD_END);
    assert_int_equal(ftruncate(fd, (off_t)end + 200), 0);
    assert_int_equal(record_read(fd, end, end + 200, &record), RECORD_END);
    assert_int_equal(ftruncate(fd, (off_t)end + 20), 0);
    assert_int_equal(record_read(fd, end, end + 20, &record), RECORD_END);
    assert_true(disk_write_bytes(fd, "PRec", 4, end));
    assert_int_equal(record_read(fd, end, end + 20, &record), RECORD_TORN);
    assert_int_equal(record_read(-1, 64, end, &record), RECORD_IO);
    for (uint64_t size = 64 + RECORD_HEADER_SIZE;
         size < 64 + RECORD_HEADER_SIZE + 300 + sample.envelope_size + sample.prefix_size; size++)
        assert_int_equal(record_read(fd, 64, size, &record), RECORD_TORN);
    sample_free(&sample);
    close(fd);
    box_close(&box);
}

static void test_parts_are_checked(void **state)
{
    (void)state;
    struct box box;
    struct record record;
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    struct sample sample = sample_make(5, 200000);
    uint64_t end = sample_write(fd, &sample, 64, 64);
    assert_int_equal(record_read(fd, 64, end, &record), RECORD_OK);
    const struct {
        uint64_t at;
        enum record_verdict envelope, content, prefix;
        const char *what;
    } cases[] = {
        { record_content_offset(&record), RECORD_OK, RECORD_DAMAGED, RECORD_OK, "content" },
        { record_content_offset(&record) + 199999, RECORD_OK, RECORD_DAMAGED, RECORD_OK, "content" },
        { record_envelope_offset(&record), RECORD_DAMAGED, RECORD_OK, RECORD_OK, "envelope" },
        { record_prefix_offset(&record) - 1, RECORD_DAMAGED, RECORD_OK, RECORD_OK, "envelope" },
        { record_prefix_offset(&record), RECORD_OK, RECORD_OK, RECORD_DAMAGED, "prefix" },
    };
    struct buffer out;
    buffer_init(&out, 4096);
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char byte, flipped;
        const char *what = NULL;
        assert_int_equal(pread(fd, &byte, 1, (off_t)cases[i].at), 1);
        flipped = byte ^ 0x10;
        assert_true(disk_write_bytes(fd, &flipped, 1, cases[i].at));
        assert_int_equal(record_read_envelope(fd, &record, &out), cases[i].envelope);
        assert_int_equal(record_check_content(fd, &record), cases[i].content);
        buffer_clear(&out);
        assert_int_equal(record_read_prefix(fd, &record, &out), cases[i].prefix);
        assert_int_equal(buffer_size(&out), cases[i].prefix == RECORD_OK ? sample.prefix_size : 0);
        assert_int_equal(record_check(fd, &record, &what), RECORD_DAMAGED);
        assert_non_null(strstr(what, cases[i].what));
        buffer_clear(&out);
        assert_true(disk_write_bytes(fd, &byte, 1, cases[i].at));
    }
    buffer_fini(&out);
    sample_free(&sample);
    close(fd);
    box_close(&box);
}

static void test_content_in_pieces(void **state)
{
    (void)state;
    struct box box;
    struct record record;
    struct buffer out, tight;
    box_open(&box);
    int fd = segment_create(box.folder, 1);
    struct sample sample = sample_make(5, 10000);
    uint64_t end = sample_write(fd, &sample, 64, 64);
    assert_int_equal(record_read(fd, 64, end, &record), RECORD_OK);
    buffer_init(&out, 20000);
    for (uint64_t at = 0; at < 10000; at += 3333)
        assert_int_equal(record_read_content(fd, &record, at, 3333, &out), RECORD_OK);
    assert_true(span_equal(buffer_span(&out), span_make(sample.content, 10000)));
    assert_int_equal(record_read_content(fd, &record, 10000, 10, &out), RECORD_OK);
    assert_int_equal(record_read_content(fd, &record, UINT64_MAX, 10, &out), RECORD_OK);
    assert_int_equal(buffer_size(&out), 10000);
    buffer_init(&tight, 10);
    errno = 0;
    assert_int_equal(record_read_envelope(fd, &record, &tight), RECORD_IO);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(ftruncate(fd, 5000), 0);
    assert_int_equal(record_read_content(fd, &record, 4000, 3000, &out), RECORD_TORN);
    assert_int_equal(record_check_content(fd, &record), RECORD_TORN);
    buffer_fini(&out);
    buffer_fini(&tight);
    sample_free(&sample);
    close(fd);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_there_and_back),
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_every_bit_of_the_header_counts),
        cmocka_unit_test(test_foreign_headers),
        cmocka_unit_test(test_another_place_gives_another_tag),
        cmocka_unit_test(test_read_at_the_end),
        cmocka_unit_test(test_parts_are_checked),
        cmocka_unit_test(test_content_in_pieces),
    };
    return cmocka_run_group_tests_name("spool/record", tests, NULL, NULL);
}

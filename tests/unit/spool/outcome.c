/* The outcome log: there and back, torn at every byte, damaged in between, foreign, full disks. */
#include "spool.h"

#include "../../../relay/spool/outcome.h"

#define OUTCOMES 6

static struct outcome make(unsigned number)
{
    static const char *const replies[] = { "250 2.0.0 ok", "", "550 5.1.1 no such user",
                                           "451 4.7.1 greylisted, come back later" };
    static const enum outcome_kind kinds[] = { OUTCOME_DELIVERED, OUTCOME_DEFERRED, OUTCOME_BOUNCED, OUTCOME_HELD,
                                               OUTCOME_RELEASED,  OUTCOME_REMOVED,  OUTCOME_DELAYED };
    return (struct outcome){ .kind = kinds[number % COUNT(kinds)],
                             .record_offset = 64 + number * 8,
                             .id = sample_id(number),
                             .recipient = number % 5 ? number : OUTCOME_ALL_RECIPIENTS,
                             .attempt = number,
                             .time_ms = 1700000000000 + number,
                             .next_ms = -(int64_t)number,
                             .mx = SPAN("mx.example.net[192.0.2.1]:25"),
                             .tls = number % 2 ? SPAN("TLSv1.3") : SPAN(""),
                             .reply = span_of(replies[number % COUNT(replies)]) };
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
    return a->kind == b->kind && a->record_offset == b->record_offset && uid_compare(a->id, b->id) == 0 &&
           a->recipient == b->recipient && a->attempt == b->attempt && a->time_ms == b->time_ms && a->next_ms == b->next_ms &&
           span_equal(a->mx, b->mx) && span_equal(a->tls, b->tls) && span_equal(a->reply, b->reply);
}

struct found {
    unsigned numbers[64];
    uint64_t positions[64];
    unsigned count;
    uint64_t damage[64];
    unsigned ndamage;
    unsigned stop_at; /* 0: never */
};

static bool find(void *context, const struct outcome *outcome)
{
    struct found *found = context;
    unsigned number = sample_number(outcome->id);
    struct outcome expected = make(number);
    assert_true(is_same(outcome, &expected));
    found->positions[found->count] = outcome->position;
    found->numbers[found->count++] = number;
    return found->count != found->stop_at;
}

static void find_damage(void *context, uint64_t offset, const char *what)
{
    struct found *found = context;
    assert_non_null(what);
    found->damage[found->ndamage++] = offset;
}

static struct found walk(struct box *box, bool cut)
{
    struct found found = { 0 };
    assert_true(outcome_walk(box->folder, 1, cut, find, find_damage, &found));
    return found;
}

static void append(int fd, unsigned number)
{
    struct buffer buffer;
    struct outcome outcome = make(number);
    buffer_init(&buffer, 65536);
    assert_true(outcome_encode(&outcome, &buffer));
    assert_true(outcome_append(fd, buffer_span(&buffer)));
    buffer_fini(&buffer);
}

/* A log of OUTCOMES outcomes; where each begins, and the end. */
static int open_log(struct box *box, uint64_t offsets[OUTCOMES + 1])
{
    box_open(box);
    int fd = outcome_open(box->folder, 1);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < OUTCOMES; i++) {
        offsets[i] = box_size(box, "0000000000000001.log");
        append(fd, i);
    }
    offsets[OUTCOMES] = box_size(box, "0000000000000001.log");
    return fd;
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        enum outcome_kind kind;
        const char *name;
        bool final;
    } cases[] = { { OUTCOME_DELIVERED, "delivered", true },   { OUTCOME_BOUNCED, "bounced", true },
                  { OUTCOME_DEFERRED, "deferred", false },    { OUTCOME_HELD, "held", false },
                  { OUTCOME_RELEASED, "released", false },    { OUTCOME_REMOVED, "removed", true },
                  { OUTCOME_DELAYED, "delayed", false },      { (enum outcome_kind)0, "unknown", false },
                  { (enum outcome_kind)99, "unknown", false } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_string_equal(outcome_name(cases[i].kind), cases[i].name);
        assert_int_equal(outcome_is_final(cases[i].kind), cases[i].final);
    }
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[OUTCOMES + 1];
    int fd = open_log(&box, offsets);
    struct found found = walk(&box, true);
    assert_int_equal(found.count, OUTCOMES);
    assert_int_equal(found.ndamage, 0);
    for (unsigned i = 0; i < OUTCOMES; i++) {
        assert_int_equal(found.numbers[i], i);
        assert_int_equal(found.positions[i], offsets[i]);
    }
    found = (struct found){ .stop_at = 2 };
    assert_true(outcome_walk(box.folder, 1, true, find, NULL, &found));
    assert_int_equal(found.count, 2);
    assert_true(outcome_sync(fd));
    assert_false(outcome_sync(-1));
    close(fd);
    fd = outcome_open(box.folder, 1); /* a second opening goes on behind */
    append(fd, OUTCOMES);
    close(fd);
    assert_int_equal(walk(&box, false).count, OUTCOMES + 1);
    box_close(&box);
}

static void test_texts(void **state)
{
    (void)state;
    struct buffer buffer;
    struct outcome outcome = make(1), again;
    size_t size;
    char *text = sample_bytes(1, 3000);
    outcome.mx = outcome.tls = outcome.reply = span_make(text, 3000);
    buffer_init(&buffer, 64 + 3 * OUTCOME_TEXT_MAX);
    assert_true(outcome_encode(&outcome, &buffer));
    assert_true(outcome_decode(buffer_span(&buffer), &again, &size));
    assert_int_equal(size, buffer_size(&buffer));
    assert_true(span_equal(again.reply, span_make(text, OUTCOME_TEXT_MAX)));
    assert_false(outcome_encode(&outcome, &buffer)); /* full */
    assert_int_equal(size, buffer_size(&buffer));
    outcome.mx = outcome.tls = outcome.reply = (struct span){ NULL, 0 };
    buffer_clear(&buffer);
    assert_true(outcome_encode(&outcome, &buffer));
    assert_int_equal(buffer_size(&buffer), 64);
    buffer_fini(&buffer);
    free(text);
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    struct buffer buffer;
    struct outcome outcome = make(3), again;
    size_t size;
    buffer_init(&buffer, 4096);
    assert_true(outcome_encode(&outcome, &buffer));
    size_t whole = 64 + outcome.mx.n + outcome.tls.n + outcome.reply.n;
    for (size_t bit = 0; bit < whole * 8; bit++) {
        buffer.data[bit / 8] = (char)(buffer.data[bit / 8] ^ 1 << bit % 8);
        assert_false(outcome_decode(buffer_span(&buffer), &again, &size));
        buffer.data[bit / 8] = (char)(buffer.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < whole; n++)
        assert_false(outcome_decode(span_head(buffer_span(&buffer), n), &again, &size));
    assert_true(outcome_decode(span_head(buffer_span(&buffer), whole), &again, &size));
    buffer_fini(&buffer);
}

/* Fields that a whole outcome may not have: the CRC is right in each. */
static void test_foreign_outcomes(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        unsigned char byte;
    } cases[] = { { 6, 2 },  { 7, 0 },    { 7, 8 },     { 7, 255 }, { 4, 0 },
                  { 4, 63 }, { 5, 0xff }, { 53, 0xff }, { 55, 5 },  { 57, 0xff } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char bytes[4096] = { 0 };
        struct buffer buffer;
        struct outcome outcome = make(3), again;
        size_t size;
        buffer_init(&buffer, sizeof bytes);
        assert_true(outcome_encode(&outcome, &buffer));
        size_t whole = 64 + outcome.mx.n + outcome.tls.n + outcome.reply.n;
        memcpy(bytes, buffer_span(&buffer).p, buffer_size(&buffer));
        bytes[cases[i].at] = cases[i].byte;
        uint32_t crc = crc32c(crc32c(0, bytes, 60), bytes + 64, whole - 64);
        memcpy(bytes + 60, &crc, 4);
        assert_false(outcome_decode(span_make((const char *)bytes, sizeof bytes), &again, &size));
        buffer_fini(&buffer);
    }
}

static void test_torn_at_every_byte(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[OUTCOMES + 1];
    char image[4096];
    int fd = open_log(&box, offsets);
    assert_true(offsets[OUTCOMES] <= sizeof image);
    assert_int_equal(disk_read(fd, image, sizeof image, 0), offsets[OUTCOMES]);
    close(fd);
    for (uint64_t size = offsets[OUTCOMES] - 1; size > 0; size--) {
        unsigned whole = 0;
        while (whole < OUTCOMES && offsets[whole + 1] <= size)
            whole++;
        fd = openat(box.folder, "0000000000000001.log", O_RDWR | O_TRUNC);
        assert_true(disk_write_bytes(fd, image, (size_t)size, 0));
        struct found found = walk(&box, false); /* only looked at: nothing changes */
        assert_int_equal(box_size(&box, "0000000000000001.log"), size);
        /* A last outcome that lacks only padding is whole. */
        assert_true(found.count == whole || (found.count == whole + 1 && size + 8 > offsets[whole + 1]));
        assert_true(walk(&box, true).count == found.count);
        close(fd);
        fd = outcome_open(box.folder, 1);
        append(fd, 40);
        close(fd);
        struct found after = walk(&box, true);
        assert_int_equal(after.count, found.count + 1);
        assert_int_equal(after.ndamage, 0);
        assert_int_equal(after.numbers[found.count], 40);
    }
    box_close(&box);
}

/* Each byte flipped: that outcome is missing and told, the others are there; only damage at the end is cut off. */
static void test_every_byte_flipped(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[OUTCOMES + 1];
    int fd = open_log(&box, offsets);
    for (uint64_t at = offsets[0]; at < offsets[OUTCOMES - 1]; at++) {
        unsigned victim = 0;
        unsigned char byte, flipped;
        while (offsets[victim + 1] <= at)
            victim++;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        flipped = byte ^ 0x11;
        assert_true(disk_write_bytes(fd, &flipped, 1, at));
        struct found found = walk(&box, true);
        if (found.count < OUTCOMES) {
            assert_int_equal(found.count, OUTCOMES - 1);
            assert_int_equal(found.ndamage, 1);
            assert_int_equal(found.damage[0], offsets[victim]);
            for (unsigned i = 0; i < found.count; i++)
                assert_int_not_equal(found.numbers[i], victim);
        } else {
            assert_true(at + 8 > offsets[victim + 1]); /* padding */
        }
        assert_int_equal(box_size(&box, "0000000000000001.log"), offsets[OUTCOMES]);
        assert_true(disk_write_bytes(fd, &byte, 1, at));
    }
    assert_true(disk_write_bytes(fd, "x", 1, offsets[OUTCOMES - 1]));
    struct found found = walk(&box, true);
    assert_int_equal(found.count, OUTCOMES - 1);
    assert_int_equal(found.damage[0], offsets[OUTCOMES - 1]);
    assert_int_equal(box_size(&box, "0000000000000001.log"), offsets[OUTCOMES - 1]);
    close(fd);
    box_close(&box);
}

static void test_header(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[OUTCOMES + 1];
    struct found found = { 0 };
    int fd = open_log(&box, offsets);
    for (uint64_t at = 0; at < offsets[0]; at++) {
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        byte ^= 0x11;
        assert_true(disk_write_bytes(fd, &byte, 1, at));
        found = walk(&box, true); /* damaged: the outcomes stand for themselves */
        assert_int_equal(found.count, OUTCOMES);
        assert_int_equal(found.ndamage, 1);
        int again = outcome_open(box.folder, 1); /* and it is put right */
        assert_true(again >= 0);
        close(again);
        assert_int_equal(walk(&box, true).ndamage, 0);
    }
    unsigned char header[32];
    static const unsigned foreign[] = { 8, 16 }; /* version, number */
    for (size_t i = 0; i < COUNT(foreign); i++) {
        assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
        header[foreign[i]]++;
        uint32_t crc = crc32c(0, header, 28);
        memcpy(header + 28, &crc, 4);
        assert_true(disk_write_bytes(fd, header, sizeof header, 0));
        errno = 0;
        assert_int_equal(outcome_open(box.folder, 1), -1);
        assert_int_equal(errno, EPROTONOSUPPORT);
        assert_false(outcome_walk(box.folder, 1, true, find, find_damage, &found));
        header[foreign[i]]--;
        crc = crc32c(0, header, 28);
        memcpy(header + 28, &crc, 4);
        assert_true(disk_write_bytes(fd, header, sizeof header, 0));
    }
    assert_int_equal(walk(&box, true).count, OUTCOMES);
    close(fd);
    box_close(&box);
}

static void test_missing_and_empty(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    assert_int_equal(walk(&box, true).count, 0);
    close(openat(box.folder, "0000000000000001.log", O_CREAT | O_WRONLY, 0600));
    struct found found = walk(&box, true);
    assert_int_equal(found.count + found.ndamage, 0);
    int fd = outcome_open(box.folder, 1);
    append(fd, 3);
    close(fd);
    assert_int_equal(walk(&box, true).count, 1);
    box_close(&box);
}

/* A disk that takes a part of an append and then no more. */
static unsigned takes;

static ssize_t full_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    (void)count;
    if (!takes) {
        errno = ENOSPC;
        return -1;
    }
    size_t n = parts[0].iov_len < takes ? parts[0].iov_len : takes;
    takes -= (unsigned)n;
    return pwrite(fd, parts[0].iov_base, n, offset);
}

static int no_ftruncate(int fd, off_t size)
{
    (void)fd;
    (void)size;
    errno = EIO;
    return -1;
}

static void test_full_disk(void **state)
{
    (void)state;
    struct box box;
    uint64_t offsets[OUTCOMES + 1];
    struct buffer buffer;
    struct outcome outcome = make(9);
    struct disk full = disk_kernel, stuck = disk_kernel;
    int fd = open_log(&box, offsets);
    full.pwritev = stuck.pwritev = full_pwritev;
    stuck.ftruncate = no_ftruncate;
    buffer_init(&buffer, 4096);
    assert_true(outcome_encode(&outcome, &buffer));
    for (unsigned n = 0; n < buffer_size(&buffer); n++) {
        takes = n;
        disk_replace(&full);
        errno = 0;
        assert_false(outcome_append(fd, buffer_span(&buffer)));
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(box_size(&box, "0000000000000001.log"), offsets[OUTCOMES]);
    }
    /* Even where nothing can be cut off again, what is appended later is found. */
    takes = 13;
    disk_replace(&stuck);
    assert_false(outcome_append(fd, buffer_span(&buffer)));
    disk_replace(NULL);
    assert_true(outcome_append(fd, buffer_span(&buffer)));
    struct found found = walk(&box, true);
    assert_int_equal(found.count, OUTCOMES + 1);
    assert_int_equal(found.ndamage, 1);
    buffer_fini(&buffer);
    close(fd);
    box_close(&box);
}

static bool count_up(void *context, const struct outcome *outcome)
{
    unsigned *count = context;
    assert_int_equal(outcome->attempt, *count);
    ++*count;
    return true;
}

/* More than a window holds. */
static void test_long_log(void **state)
{
    (void)state;
    struct box box;
    struct buffer buffer;
    unsigned written = 0, found = 0;
    box_open(&box);
    int fd = outcome_open(box.folder, 1);
    buffer_init(&buffer, 1 << 20);
    struct outcome outcome = make(3);
    for (outcome.attempt = 0; outcome_encode(&outcome, &buffer); outcome.attempt++)
        written++;
    assert_true(outcome_append(fd, buffer_span(&buffer)));
    close(fd);
    assert_true(outcome_walk(box.folder, 1, true, count_up, NULL, &found));
    assert_int_equal(found, written);
    buffer_fini(&buffer);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_foreign_outcomes),
        cmocka_unit_test(test_torn_at_every_byte),
        cmocka_unit_test(test_every_byte_flipped),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_missing_and_empty),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_long_log),
    };
    return cmocka_run_group_tests_name("spool/outcome", tests, NULL, NULL);
}

/* Compaction of a segment: what is kept, what is not worth it, damage, and a disk that says no at each call. */
#include "spool.h"

#include "../../../relay/spool/compact.h"

#define RECORDS 12
#define NUMBER  7

/* Message I; every fourth is kept. */
static size_t size_of(unsigned i)
{
    return i % 4 == 1 ? 3000 + i : 200000 + i;
}

static bool is_kept(unsigned i)
{
    return i % 4 == 1;
}

/* Segment NUMBER, sealed; ITEMS are what is to be kept of it. Returns how many. */
static size_t make_segment(const struct box *box, struct compact_item items[RECORDS])
{
    uint64_t offsets[RECORDS], end = SEGMENT_HEADER_SIZE;
    size_t count = 0;
    int fd = segment_create(box->folder, NUMBER);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct sample sample = sample_make(i, size_of(i));
        offsets[i] = end;
        end = sample_write(fd, &sample, end, end);
        if (is_kept(i))
            items[count++] = (struct compact_item){ .id = sample.id, .offset = offsets[i] };
        sample_free(&sample);
    }
    close(fd);
    assert_true(segment_seal(box->folder, NUMBER, end, offsets, RECORDS));
    return count;
}

static enum compact_verdict run(const struct box *box, struct compact_item *items, size_t count)
{
    struct compact *compact = compact_new(box->folder, NUMBER, items, count);
    enum compact_verdict verdict;
    do
        verdict = compact_step(compact);
    while (verdict == COMPACT_MORE);
    int why = errno;
    compact_free(&compact);
    errno = why;
    return verdict;
}

static unsigned count_files(const struct box *box)
{
    DIR *dir = opendir(box->path);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void see(const struct box *box, struct seen *seen)
{
    int fd = segment_open(box->folder, NUMBER);
    *seen = (struct seen){ 0 };
    assert_int_equal(seen_walk(seen, fd), RECORD_OK);
    assert_int_equal(seen->altered, 0);
    assert_int_equal(seen->ndamage, 0);
    close(fd);
}

/* The new segment is as good as one that was written so: sealed, its records found with its table and without. */
static void what_is_needed_is_kept(void **state)
{
    (void)state;
    struct box box;
    struct compact_item items[RECORDS];
    struct seen seen;
    box_open(&box);
    size_t count = make_segment(&box, items);
    uint64_t before = box_size(&box, "0000000000000007.seg");
    int old = segment_open(box.folder, NUMBER);
    assert_int_equal(run(&box, items, count), COMPACT_DONE);
    assert_in_range(box_size(&box, "0000000000000007.seg"), 1, before / 10);
    assert_int_equal(count_files(&box), 1);
    see(&box, &seen);
    assert_int_equal(seen.count, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(seen.numbers[i], sample_number(items[i].id));
        assert_int_equal(seen.offsets[i], items[i].new_offset);
    }
    int fd = openat(box.folder, "0000000000000007.seg", O_RDWR);
    assert_int_equal(ftruncate(fd, (off_t)seen.end), 0);
    close(fd);
    see(&box, &seen);
    assert_int_equal(seen.count, count);
    struct seen still = { 0 }; /* who has the old file open reads on */
    assert_int_equal(seen_walk(&still, old), RECORD_OK);
    assert_int_equal(still.count, RECORDS);
    close(old);
    box_close(&box);
}

static void once_more(void **state)
{
    (void)state;
    struct box box;
    struct compact_item items[RECORDS];
    struct seen seen;
    box_open(&box);
    size_t count = make_segment(&box, items);
    assert_int_equal(run(&box, items, count), COMPACT_DONE);
    struct compact_item last = { .id = items[count - 1].id, .offset = items[count - 1].new_offset };
    assert_int_equal(run(&box, &last, 1), COMPACT_DONE);
    see(&box, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.numbers[0], sample_number(last.id));
    last.offset = last.new_offset;
    assert_int_equal(run(&box, &last, 1), COMPACT_NOTHING);
    box_close(&box);
}

static void what_is_mostly_needed_stays(void **state)
{
    (void)state;
    struct box box;
    struct compact_item items[RECORDS];
    struct seen seen;
    box_open(&box);
    make_segment(&box, items);
    see(&box, &seen);
    for (unsigned i = 0; i < 9; i++)
        items[i] = (struct compact_item){ .id = sample_id(seen.numbers[i]), .offset = seen.offsets[i] };
    assert_int_equal(run(&box, items, 9), COMPACT_NOTHING);
    assert_int_equal(count_files(&box), 1);
    see(&box, &seen);
    assert_int_equal(seen.count, RECORDS);
    box_close(&box);
}

/* A byte that is not as it was written, anywhere in what would be kept or in the segment's header: the segment stays for a person. */
static void damage_is_not_carried_on(void **state)
{
    (void)state;
    struct box box;
    struct compact_item items[RECORDS];
    box_open(&box);
    size_t count = make_segment(&box, items);
    const uint64_t places[] = { 30, items[1].offset + 9, items[1].offset + 70, items[1].offset + 3000, items[2].offset + 3150 };
    int fd = openat(box.folder, "0000000000000007.seg", O_RDWR);
    for (unsigned i = 0; i < COUNT(places); i++) {
        unsigned char byte, flipped;
        assert_int_equal(pread(fd, &byte, 1, (off_t)places[i]), 1);
        flipped = byte ^ 0x10;
        assert_true(disk_write_bytes(fd, &flipped, 1, places[i]));
        assert_int_equal(run(&box, items, count), COMPACT_DAMAGED);
        assert_true(disk_write_bytes(fd, &byte, 1, places[i]));
        assert_int_equal(count_files(&box), 1);
    }
    items[1].id = sample_id(4000); /* another message than the queue knows there */
    assert_int_equal(run(&box, items, count), COMPACT_DAMAGED);
    close(fd);
    box_close(&box);
}

/* --- a disk that says no --- */

static struct {
    unsigned n; /* the call that fails; what undoes things always works */
    unsigned calls;
    bool hit;
    int why; /* 0: a short write */
} fault;

static bool fails(void)
{
    errno = fault.why;
    bool now = ++fault.calls == fault.n;
    fault.hit = fault.hit || now;
    return now;
}

static int bad_openat(int folder, const char *name, int flags, mode_t mode)
{
    return fails() ? -1 : openat(folder, name, flags, mode);
}

static ssize_t bad_pread(int fd, void *bytes, size_t size, off_t offset)
{
    return fails() ? -1 : pread(fd, bytes, size, offset);
}

static ssize_t bad_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (!fails())
        return pwritev(fd, parts, count, offset);
    return fault.why ? -1 : pwrite(fd, parts[0].iov_base, (parts[0].iov_len + 1) / 2, offset);
}

static int bad_fsync(int fd)
{
    (void)fd;
    return fails() ? -1 : 0;
}

static int bad_fstat(int fd, struct stat *stat)
{
    return fails() ? -1 : fstat(fd, stat);
}

static int bad_renameat(int folder, const char *name, int new_folder, const char *new_name)
{
    return fails() ? -1 : renameat(folder, name, new_folder, new_name);
}

/* Errors at the n-th call, n = 1, 2, … until there is no n-th: the segment is as it was or as it should be, and nothing lies about. */
static void every_call_fails_once(void **state)
{
    (void)state;
    static const int errors[] = { EIO, ENOSPC, 0 };
    struct disk table = disk_kernel;
    unsigned tried = 0;
    table.openat = bad_openat;
    table.pread = bad_pread;
    table.pwritev = bad_pwritev;
    table.fsync = bad_fsync;
    table.fstat = bad_fstat;
    table.renameat = bad_renameat;
    for (unsigned e = 0; e < COUNT(errors); e++)
        for (fault.n = 1, fault.hit = true; fault.hit; fault.n++, tried++) {
            struct box box;
            struct compact_item items[RECORDS];
            struct seen seen;
            box_open(&box);
            size_t count = make_segment(&box, items);
            fault.calls = 0;
            fault.hit = false;
            fault.why = errors[e];
            disk_replace(&table);
            enum compact_verdict verdict = run(&box, items, count);
            disk_replace(NULL);
            see(&box, &seen);
            assert_int_equal(seen.count, verdict == COMPACT_DONE ? count : RECORDS);
            assert_true(verdict == COMPACT_DONE || verdict == COMPACT_FAILED);
            assert_int_equal(count_files(&box), 1);
            box_close(&box);
        }
    assert_in_range(tried, 60, 1000);
}

static void names_of_rests(void **state)
{
    (void)state;
    assert_true(compact_is_rest("0000000000000007.seg.compact"));
    assert_false(compact_is_rest("0000000000000007.seg"));
    assert_false(compact_is_rest("000000000000007.seg.compact"));
    assert_false(compact_is_rest("0000000000000007.seg.compact~"));
    assert_false(compact_is_rest("0000000000000007.seg.adopt"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_needed_is_kept),      cmocka_unit_test(once_more),
        cmocka_unit_test(what_is_mostly_needed_stays), cmocka_unit_test(damage_is_not_carried_on),
        cmocka_unit_test(every_call_fails_once),       cmocka_unit_test(names_of_rests),
    };
    return cmocka_run_group_tests_name("compact", tests, NULL, NULL);
}

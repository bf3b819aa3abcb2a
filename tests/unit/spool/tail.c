/* What a failed write or sync leaves of the file, and whether it may be used on. */
#include "spool.h"

#include "../../../relay/spool/tail.h"

static struct {
    int write_why, sync_why, cut_why; /* 0: works */
    unsigned syncs;
} disk;

/* Half of it gets there, then the error. */
static ssize_t half_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    static bool second;
    if (!disk.write_why)
        return pwritev(fd, parts, count, offset);
    second = !second;
    errno = disk.write_why;
    return second ? pwrite(fd, parts[0].iov_base, parts[0].iov_len / 2, offset) : -1;
}

static int count_fdatasync(int fd)
{
    (void)fd;
    disk.syncs++;
    errno = disk.sync_why;
    return disk.sync_why ? -1 : 0;
}

static int maybe_ftruncate(int fd, off_t size)
{
    errno = disk.cut_why;
    return disk.cut_why ? -1 : ftruncate(fd, size);
}

static struct tail *open_tail(struct box *box)
{
    static struct disk table;
    table = disk_kernel;
    table.pwritev = half_pwritev;
    table.fdatasync = count_fdatasync;
    table.ftruncate = maybe_ftruncate;
    memset(&disk, 0, sizeof disk);
    box_open(box);
    struct tail *tail = tail_new(1, segment_create(box->folder, 1));
    disk_replace(&table);
    assert_true(tail_is_usable(tail));
    return tail;
}

static void close_tail(struct box *box, struct tail *tail)
{
    tail_free(&tail);
    assert_null(tail);
    disk_replace(NULL);
    box_close(box);
}

static enum writer_verdict write_text(struct tail *tail, char *text)
{
    struct iovec part = { text, strlen(text) };
    enum writer_verdict verdict = tail_write(tail, &part, 1, tail->end);
    if (verdict == WRITER_STORED)
        tail->end += strlen(text);
    return verdict;
}

static uint64_t file_size(const struct box *box)
{
    return box_size(box, "0000000000000001.seg");
}

static void test_failed_write(void **state)
{
    (void)state;
    static const struct {
        int why, cut_why;
        enum writer_verdict verdict;
        bool failed;
        bool cut;
    } cases[] = {
        { ENOSPC, 0, WRITER_FULL, false, true },   { EDQUOT, 0, WRITER_FULL, false, true },
        { ENOSPC, EIO, WRITER_FULL, true, false }, { EIO, 0, WRITER_FAILED, true, true },
        { EROFS, 0, WRITER_FAILED, true, true },   { EIO, EIO, WRITER_FAILED, true, false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct box box;
        struct tail *tail = open_tail(&box);
        assert_int_equal(write_text(tail, "first message"), WRITER_STORED);
        uint64_t end = tail->end;
        disk.write_why = cases[i].why;
        disk.cut_why = cases[i].cut_why;
        assert_int_equal(write_text(tail, "second message, longer"), cases[i].verdict);
        assert_int_equal(tail->end, end);
        assert_int_equal(tail->failed, cases[i].failed);
        assert_int_equal(tail_is_usable(tail), !cases[i].failed);
        assert_int_equal(file_size(&box) == end, cases[i].cut);
        assert_int_equal(tail_sync(tail), WRITER_STORED); /* the first is still made durable */
        assert_int_equal(tail->synced, end);
        disk.write_why = disk.cut_why = 0;
        tail_close(tail);
        assert_int_equal(file_size(&box), end);
        close_tail(&box, tail);
    }
}

static void test_failed_sync(void **state)
{
    (void)state;
    static const struct {
        int why;
        enum writer_verdict verdict;
    } cases[] = { { EIO, WRITER_FAILED }, { ENOSPC, WRITER_FULL }, { EDQUOT, WRITER_FULL } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct box box;
        struct tail *tail = open_tail(&box);
        assert_int_equal(write_text(tail, "first"), WRITER_STORED);
        assert_int_equal(tail_sync(tail), WRITER_STORED);
        assert_int_equal(tail_sync(tail), WRITER_STORED); /* nothing new: no call */
        assert_int_equal(disk.syncs, 1);
        uint64_t end = tail->end;
        assert_int_equal(write_text(tail, "second"), WRITER_STORED);
        disk.sync_why = cases[i].why;
        assert_int_equal(tail_sync(tail), cases[i].verdict);
        assert_false(tail_is_usable(tail));
        tail_close(tail);
        assert_true(tail->failed);
        assert_int_equal(disk.syncs, 2);
        assert_int_equal(file_size(&box), end); /* the refused one is gone */
        close_tail(&box, tail);
    }
}

static void test_not_a_segment(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    int fd = openat(box.folder, "0000000000000001.seg", O_CREAT | O_RDWR, 0600);
    struct tail *tail = tail_new(1, fd);
    assert_false(tail_is_usable(tail));
    assert_true(tail->failed);
    tail_free(&tail);
    tail_free(&tail);
    box_close(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_write),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_not_a_segment),
    };
    return cmocka_run_group_tests_name("spool/tail", tests, NULL, NULL);
}

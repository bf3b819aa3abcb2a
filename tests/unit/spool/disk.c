/* The two loops of disk.c: short reads, short writes, EINTR, and what ends them. */
#include "spool.h"

#include <limits.h>

static struct {
    size_t most;      /* bytes a call takes */
    unsigned calls;   /* so far */
    unsigned fail_at; /* this call fails, from 1 on; 0: none */
    int why;
    bool interrupted; /* every other call is */
} slow;

static ssize_t slow_pread(int fd, void *bytes, size_t size, off_t offset)
{
    slow.calls++;
    errno = slow.calls == slow.fail_at ? slow.why : EINTR;
    if (slow.calls == slow.fail_at || (slow.interrupted && slow.calls % 2))
        return -1;
    return pread(fd, bytes, size < slow.most ? size : slow.most, offset);
}

static ssize_t slow_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    slow.calls++;
    assert_true(count > 0 && count <= IOV_MAX);
    errno = slow.calls == slow.fail_at ? slow.why : EINTR;
    if (slow.calls == slow.fail_at)
        return slow.why ? -1 : 0;
    if (slow.interrupted && slow.calls % 2)
        return -1;
    if (parts[0].iov_len > slow.most || count == 1)
        return pwrite(fd, parts[0].iov_base, parts[0].iov_len < slow.most ? parts[0].iov_len : slow.most, offset);
    struct iovec two[2] = { parts[0], parts[1] };
    size_t left = slow.most - two[0].iov_len;
    two[1].iov_len = two[1].iov_len < left ? two[1].iov_len : left;
    return pwritev(fd, two, 2, offset);
}

static void use_slow(size_t most, bool interrupted)
{
    static struct disk table;
    table = disk_kernel;
    table.pread = slow_pread;
    table.pwritev = slow_pwritev;
    memset(&slow, 0, sizeof slow);
    slow.most = most;
    slow.interrupted = interrupted;
    disk_replace(&table);
}

#define TEXT "the quick brown fox jumps over the lazy dog"

static void test_short_calls(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    for (size_t most = 1; most <= sizeof TEXT; most++) {
        for (unsigned interrupted = 0; interrupted < 2; interrupted++) {
            char words[] = TEXT, back[sizeof TEXT + 10];
            struct iovec parts[16];
            size_t count = 0;
            int fd = disk_open(box.folder, "file", O_RDWR | O_CREAT | O_TRUNC);
            for (size_t at = 0; at < sizeof words; at += 10) {
                parts[count++] = (struct iovec){ words + at, sizeof words - at < 10 ? sizeof words - at : 10 };
                parts[count++] = (struct iovec){ words, 0 };
            }
            use_slow(most, interrupted);
            assert_true(disk_write(fd, parts, count, 5));
            assert_int_equal(disk_read(fd, back, sizeof back, 5), sizeof words);
            assert_memory_equal(back, words, sizeof words);
            disk_replace(NULL);
            disk_close(fd);
        }
    }
    box_close(&box);
}

static void test_failures_are_told(void **state)
{
    (void)state;
    static const struct {
        int why;
        int told;
    } cases[] = { { EIO, EIO }, { ENOSPC, ENOSPC }, { 0, ENOSPC } };
    struct box box;
    char bytes[30] = { 0 };
    box_open(&box);
    int fd = disk_open(box.folder, "file", O_RDWR | O_CREAT);
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (unsigned at = 1; at <= 3; at++) {
            use_slow(10, false);
            slow.fail_at = at;
            slow.why = cases[i].why;
            assert_false(disk_write_bytes(fd, bytes, sizeof bytes, 0));
            assert_int_equal(errno, cases[i].told);
            assert_int_equal(slow.calls, at);
        }
    }
    use_slow(10, false);
    slow.fail_at = 2;
    slow.why = EIO;
    assert_int_equal(disk_read(fd, bytes, sizeof bytes, 0), -1);
    disk_replace(NULL);
    disk_close(fd);
    box_close(&box);
}

static void test_more_parts_than_a_call_takes(void **state)
{
    (void)state;
    struct box box;
    box_open(&box);
    int fd = disk_open(box.folder, "file", O_RDWR | O_CREAT);
    size_t count = IOV_MAX * 2 + 7;
    struct iovec *parts = text_zalloc(count * sizeof *parts);
    char bytes[] = "0123456789", *back = text_zalloc(count);
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct iovec){ bytes + i % 10, 1 };
    assert_true(disk_write(fd, parts, count, 0));
    assert_int_equal(disk_read(fd, back, count, 0), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(back[i], '0' + (int)(i % 10));
    uint64_t size;
    assert_true(disk_size(fd, &size));
    assert_int_equal(size, count);
    assert_false(disk_size(-1, &size));
    free(parts);
    free(back);
    disk_close(fd);
    box_close(&box);
}

static void test_close_keeps_errno(void **state)
{
    (void)state;
    errno = ENOSPC;
    disk_close(-1);
    assert_int_equal(errno, ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_calls),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_more_parts_than_a_call_takes),
        cmocka_unit_test(test_close_keeps_errno),
    };
    return cmocka_run_group_tests_name("spool/disk", tests, NULL, NULL);
}

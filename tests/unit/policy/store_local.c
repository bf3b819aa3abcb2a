/* What limits have counted, through a folder and back: after an end, a kill, damage, and on a disk that fails. */
#include "../../../policy/store_local.h"

#include "../../../relay/base/clock.h"
#include "../../../relay/base/text.h"
#include "../unit.h"
#include "settings.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR 3600000

static char folder[64];
static struct loop *loop;
static struct limit_set *limits;
static struct seen *seen;
static struct store_local *store;
static struct conf_limit rows[2];
static struct conf conf = { .limits = rows, .nlimits = 2 };

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/postern-store-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    rows[0] = (struct conf_limit){ .name = settings_text("hourly"), .key = CONF_KEY_ACCOUNT, .count = CONF_COUNT_RECIPIENTS };
    rows[0].rate = (struct conf_rate){ 100, HOUR };
    rows[1] = (struct conf_limit){ .name = settings_text("hourly"), .key = CONF_KEY_CLIENT, .count = CONF_COUNT_RECIPIENTS };
    rows[1].rate = (struct conf_rate){ 1000, HOUR };
    rows[0].then = rows[1].then = CONF_THEN_DEFER;
    loop = loop_new();
    seen = seen_new(SEEN_MEMORY);
    return 0;
}

/* Names of files in the folder, how many; the last in order is in LAST. */
static unsigned files(char last[300])
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    last[0] = '\0';
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        char path[300];
        snprintf(path, sizeof path, "%s/%.100s", folder, entry->d_name);
        if (strcmp(path, last) > 0)
            memcpy(last, path, sizeof path);
    }
    closedir(dir);
    return count;
}

static void start(void)
{
    limits = limit_new(&conf, seen, NULL);
    store = store_local_new(loop, folder, limits, seen);
    assert_non_null(store);
}

static void end(void)
{
    store_local_free(&store);
    limit_free(&limits);
}

static int tear_down(void **state)
{
    char last[300];
    (void)state;
    end();
    loop_free(&loop);
    seen_free(&seen);
    while (files(last))
        if (unlink(last) != 0)
            rmdir(last);
    return rmdir(folder);
}

/* Lets the store's timer run until there is one file and it is whole. */
static void settle(void)
{
    char last[300];
    int64_t until = clock_monotonic_ms() + 10000;
    do {
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < until);
    } while (files(last) != 1);
}

static struct bucket_table *table(size_t index)
{
    return limit_at(limits, index)->buckets;
}

static void use(size_t index, const char *key, uint64_t n)
{
    bucket_count(table(index), span_of(key), n, clock_monotonic_ms());
}

static uint64_t used(size_t index, const char *key)
{
    return bucket_look(table(index), span_of(key), clock_monotonic_ms()).used;
}

static void outlives_an_end(void **state)
{
    (void)state;
    start();
    use(0, "alice", 7);
    use(1, "192.0.2.1", 3);
    end();
    start();
    assert_int_equal(used(0, "alice"), 7);
    assert_int_equal(used(1, "192.0.2.1"), 3);
    assert_int_equal(used(0, "192.0.2.1"), 0);
    settle();
    use(0, "alice", 1);
    end();
    start();
    assert_int_equal(used(0, "alice"), 8);
}

/* What a kill leaves is what was flushed: here the files are copied away as they are at that moment. */
static void outlives_a_kill(void **state)
{
    char last[300], kept[400], command_bytes[65536];
    (void)state;
    start();
    use(0, "alice", 7);
    store_local_flush(store);
    use(0, "alice", 1); /* lost: not flushed yet */
    assert_int_equal(files(last), 1);
    int from = open(last, O_RDONLY);
    ssize_t n = read(from, command_bytes, sizeof command_bytes);
    close(from);
    end();
    snprintf(kept, sizeof kept, "%s", last);
    int to = open(kept, O_WRONLY | O_TRUNC);
    assert_int_equal(write(to, command_bytes, (size_t)n), n);
    close(to);
    start();
    assert_int_equal(used(0, "alice"), 7);
}

static void written_each_second(void **state)
{
    char last[300];
    struct stat before, after;
    int64_t until = clock_monotonic_ms() + 5000;
    (void)state;
    start();
    settle();
    for (unsigned i = 0; i < 3; i++)
        loop_once(loop, true);
    files(last);
    stat(last, &before);
    use(0, "alice", 7);
    do {
        loop_once(loop, true);
        stat(last, &after);
        assert_true(clock_monotonic_ms() < until);
    } while (after.st_size == before.st_size);
    end();
    start();
    assert_int_equal(used(0, "alice"), 7);
}

/* Cut anywhere: what was whole before is there, and nothing crashes. Flipped anywhere: the same up to there. */
static void damage(void **state)
{
    static char bytes[4096];
    char last[300], name[32];
    (void)state;
    start();
    for (unsigned i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "account%u", i);
        use(0, name, 10);
        store_local_flush(store);
    }
    end();
    assert_int_equal(files(last), 1);
    int fd = open(last, O_RDONLY);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    assert_true(size > 200);
    for (ssize_t cut = 0; cut < 2 * size; cut += 7) {
        char path[300];
        while (files(path))
            unlink(path);
        fd = open(last, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (cut >= size)
            bytes[cut - size] ^= 0x10;
        assert_int_equal(write(fd, bytes, (size_t)(cut < size ? cut : size)), cut < size ? cut : size);
        close(fd);
        if (cut >= size)
            bytes[cut - size] ^= 0x10;
        start();
        uint64_t first = used(0, "account0"), fifth = used(0, "account4");
        assert_true(first == 0 || first == 10);
        assert_true(fifth == 0 || (fifth == 10 && first == 10));
        assert_true(cut != size - 1 || first == 10);
        end();
    }
}

static void strangers_in_the_folder(void **state)
{
    static const char *const names[] = { "limits-.log", "limits-0000000000000000.log", "limits-xxxxxxxxxxxxxxxx.log", "other",
                                         "limits-9999999999999999.log" };
    char path[200];
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_int_equal(write(fd, "nonsense", 8), 8);
        close(fd);
    }
    snprintf(path, sizeof path, "%s/limits-0000000000000007.log", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    start();
    use(0, "alice", 5);
    end();
    start();
    assert_int_equal(used(0, "alice"), 5);
}

/* Many keys: written in steps, the older file goes only when all is there; nothing is missing at any moment. */
static void many_keys_in_steps(void **state)
{
    char last[300], name[32];
    (void)state;
    start();
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "account%u", i);
        use(0, name, 1 + i % 50);
    }
    end();
    for (unsigned round = 0; round < 3; round++) { /* ended again and again in mid-rewriting */
        start();
        for (unsigned i = 0; i < round; i++)
            loop_once(loop, true);
        assert_int_equal(bucket_keys(table(0)), 20000);
        assert_int_equal(used(0, "account19999"), 50);
        end();
        assert_true(files(last) >= 1);
    }
    start();
    settle();
    end();
    start();
    assert_int_equal(bucket_keys(table(0)), 20000);
}

/* Shares as well: no turn of the loop writes more than a part of them. */
static void many_shares_in_steps(void **state)
{
    enum { MANY = 40000 };
    char last[300], name[32];
    struct stat file;
    int64_t wall_ms = clock_wall_ms(), until = clock_monotonic_ms() + 20000;
    (void)state;
    rows[0].count = CONF_COUNT_SPAM_REPLIES;
    rows[0].share = 10;
    rows[0].rate.per_ms = 30 * 24 * (int64_t)HOUR;
    start();
    settle();
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "account%u", i);
        share_note(limit_at(limits, 0)->shares, span_of(name), (struct share){ .bad = 1, .all = 1 + i % 50 }, wall_ms);
    }
    end();
    start();
    for (int64_t size = 0; files(last) != 1; size = file.st_size) {
        assert_int_equal(stat(last, &file), 0);
        assert_in_range(file.st_size - size, 0, 8192 * 100);
        loop_once(loop, true);
        assert_true(clock_monotonic_ms() < until);
    }
    end();
    start();
    struct share share = share_of(limit_at(limits, 0)->shares, SPAN("account0"), clock_wall_ms());
    assert_int_equal(share.bad, 1);
    share = share_of(limit_at(limits, 0)->shares, SPAN("account39999"), clock_wall_ms());
    assert_int_equal(share.all, 50);
}

/* Whom somebody wrote to is known after an end, and when all was written anew. */
static void pairs_outlive(void **state)
{
    enum { MANY = 5000 };
    char whom[32];
    (void)state;
    for (unsigned life = 0; life < 4; life++) {
        start();
        for (unsigned i = 0; i < MANY; i++) {
            text_format(whom, sizeof whom, "user%u", i);
            uint64_t pair = seen_pair(seen, SPAN("first"), SPAN("alice"), span_of(whom));
            assert_int_equal(seen_last(seen, pair) > 0, life && i / 1000 < life);
            if (i / 1000 == life)
                seen_note(seen, pair, i + 1);
        }
        if (life % 2)
            settle();
        store_local_flush(store);
        end();
        seen_free(&seen);
        seen = seen_new(SEEN_MEMORY);
    }
}

static void limits_change(void **state)
{
    (void)state;
    start();
    use(0, "alice", 7);
    use(1, "192.0.2.1", 3);
    struct conf_limit one = rows[1];
    struct conf reloaded = { .limits = &one, .nlimits = 1 };
    limits = limit_new(&reloaded, seen, &limits);
    store_local_limits(store, limits);
    settle();
    use(0, "192.0.2.1", 1);
    end();
    limits = limit_new(&reloaded, seen, NULL);
    store = store_local_new(loop, folder, limits, seen);
    assert_int_equal(used(0, "192.0.2.1"), 4);
}

/* The folder cannot be written any more: counting goes on. */
static void disk_fails(void **state)
{
    (void)state;
    start();
    settle();
    use(0, "alice", 7);
    int null = open("/dev/full", O_WRONLY);
    for (int fd = 3; fd < null; fd++) { /* the file that is written to becomes one that is full */
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && (flags & O_ACCMODE) == O_WRONLY && flags & O_APPEND)
            dup2(null, fd);
    }
    close(null);
    store_local_flush(store);
    use(0, "alice", 1);
    assert_int_equal(used(0, "alice"), 8);
    end();
    start();
    assert_true(used(0, "alice") <= 8);
}

static void folder_is_made_or_not(void **state)
{
    char path[100];
    struct stat made;
    (void)state;
    snprintf(path, sizeof path, "%s/policy", folder);
    assert_true(store_local_prepare(path, "nobody-of-that-name"));
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_mode & 0777, 0700);
    assert_true(store_local_prepare(path, "nobody-of-that-name"));
    snprintf(path, sizeof path, "%s/not/there", folder);
    assert_false(store_local_prepare(path, "nobody-of-that-name"));
    limits = limit_new(&conf, seen, NULL);
    assert_null(store_local_new(loop, path, limits, seen));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(outlives_an_end),         TEST(outlives_a_kill),    TEST(written_each_second),   TEST(damage),
        TEST(strangers_in_the_folder), TEST(many_keys_in_steps), TEST(many_shares_in_steps),  TEST(pairs_outlive),
        TEST(limits_change),           TEST(disk_fails),         TEST(folder_is_made_or_not),
    };
    log_setup(LOG_LOGFMT, LOG_ERROR, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

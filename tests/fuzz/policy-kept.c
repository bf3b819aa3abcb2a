/* What policy reads at its start: the files of journal.c, with any bytes in them, or with any records that have the right checksum, as an
 * older or newer version may have written them. Nothing breaks, and what is told of it, is so after writing and reading it again. */
#include "../../policy/logins.h"
#include "../../policy/would.h"
#include "../../relay/base/crc32c.h"
#include "../../relay/base/log.h"
#include "../../relay/base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define WALL_MS ((int64_t)20000 * 86400000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[128];
static int folder_fd = -1;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void clean_up(void)
{
    unlinkat(folder_fd, "would.log", 0);
    unlinkat(folder_fd, "logins.log", 0);
    rmdir(folder);
}

static void make_folder(void)
{
    const char *place = getenv("TMPDIR");
    text_format(folder, sizeof folder, "%s/postern-kept-XXXXXX", place ? place : "/tmp");
    require(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(folder_fd >= 0 && atexit(clean_up) == 0);
    log_setup(LOG_LOGFMT, LOG_ERROR, "fuzz");
}

static void put(int fd, const void *bytes, size_t size)
{
    require(write(fd, bytes, size) == (ssize_t)size);
}

/* A file of MAGIC and BYTES; FRAMED: each record of them (two bytes of length in front) gets its frame. */
static void write_file(const char *name, const char *magic, struct span bytes, bool framed)
{
    char head[16] = "";
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0);
    memcpy(head, magic, strlen(magic));
    put(fd, head, sizeof head);
    while (framed && bytes.n >= 2) {
        size_t n = (size_t)(uint8_t)bytes.p[0] | (size_t)(uint8_t)bytes.p[1] << 8;
        struct span record = span_head(span_skip(bytes, 2), n);
        uint32_t frame[2] = { crc32c(0, record.p, record.n), (uint32_t)record.n };
        put(fd, frame, sizeof frame);
        put(fd, record.p, record.n);
        bytes = span_skip(bytes, 2 + record.n);
    }
    if (!framed)
        put(fd, bytes.p, bytes.n);
    close(fd);
}

struct told {
    uint64_t rows, units;
};

static bool sum(void *context, const struct would_row *row)
{
    struct told *told = context;
    require(row->ndays > 0 && row->ndays <= WOULD_DAYS && strlen(row->limit) < 256 && (!row->value || strlen(row->value) < 256));
    told->rows++;
    told->units += row->units;
    return true;
}

static struct told try_would(void)
{
    struct told told = { 0, 0 };
    struct conf_limit limit = { .name = (char[]){ "hourly" } };
    struct would *would = would_new();
    would_open(would, folder);
    would_each(would, WALL_MS, sum, &told);
    would_flush(would, false);
    would_note(would, &limit, true, "alice", 1, WALL_MS);
    would_free(&would); /* without what was noted last */
    return told;
}

static size_t try_logins(void)
{
    struct logins_network networks[LOGINS_NETWORKS_MAX];
    struct netaddr client = { .family = 4, .bytes = { 192, 0, 2, 1 } };
    size_t nnetworks;
    struct logins *logins = logins_new();
    logins_open(logins, folder);
    size_t count = logins_count(logins, &nnetworks) + nnetworks + logins_networks(logins, SPAN("alice"), WALL_MS, networks);
    logins_flush(logins, false);
    logins_note(logins, &client, SPAN("alice"), WALL_MS);
    require(logins_networks(logins, SPAN("alice"), WALL_MS, networks) > 0);
    logins_free(&logins);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (folder_fd < 0)
        make_folder();
    bool framed = size && data[0] & 1, would = size && data[0] & 2;
    struct span bytes = span_skip(span_make((const char *)data, size), 1);
    if (would) {
        write_file("would.log", "postern would 1", bytes, framed);
        struct told first = try_would(), again = try_would();
        require(first.rows == again.rows && first.units == again.units);
    } else {
        write_file("logins.log", "postern logins 1", bytes, framed);
        size_t first = try_logins(), again = try_logins();
        require(first == again);
    }
    return 0;
}

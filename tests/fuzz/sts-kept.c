/* What the MTA-STS role reads at its start: its file with any bytes in it, or with any records that have the right checksum, as another
 * version may have written them. What it makes of them is so after writing and reading it again. */
#include "../../relay/base/crc32c.h"
#include "../../relay/base/log.h"
#include "../../relay/base/text.h"
#include "../../relay/sts/kept.h"
#include "../../relay/sts/policyfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define WALL_MS ((int64_t)21000 * 86400000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[128];
static int folder_fd = -1;
static struct loop *loop;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void clean_up(void)
{
    unlinkat(folder_fd, "policies.log", 0);
    rmdir(folder);
    loop_free(&loop);
}

static void make_folder(void)
{
    const char *place = getenv("TMPDIR");
    text_format(folder, sizeof folder, "%s/postern-sts-XXXXXX", place ? place : "/tmp");
    require(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    loop = loop_new();
    require(folder_fd >= 0 && loop && atexit(clean_up) == 0);
    log_setup(LOG_LOGFMT, LOG_ERROR, "fuzz");
}

static void put(int fd, const void *bytes, size_t size)
{
    require(write(fd, bytes, size) == (ssize_t)size);
}

/* The file of BYTES; FRAMED: each record of them (two bytes of length in front) gets its frame. */
static void write_file(struct span bytes, bool framed)
{
    char head[16] = "postern sts 1";
    int fd = openat(folder_fd, "policies.log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0);
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

/* Reads the file, and looks at what it says of the domain at the place where the first record has its own. */
static size_t try_kept(struct span domain)
{
    struct kept *kept = kept_new(KEPT_MAX);
    struct kept_policy policy;
    kept_open(kept, loop, folder, WALL_MS);
    size_t count = kept_count(kept);
    if (kept_get(kept, domain, WALL_MS, &policy))
        require(policy.mode < STS_MODES && policy.fetched_ms >= 0 && policy.fetched_ms <= WALL_MS &&
                policy.hosts.n < STS_HOSTS_SIZE && policy.max_age_s <= POLICYFILE_MAX_AGE_S &&
                policy.fetched_ms + policy.max_age_s * INT64_C(1000) > WALL_MS);
    kept_free(&kept);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (folder_fd < 0)
        make_folder();
    struct span bytes = span_skip(span_make((const char *)data, size), 1);
    struct span domain = span_head(span_skip(bytes, 2 + 24), size > 16 ? (uint8_t)bytes.p[2 + 14 < bytes.n ? 2 + 14 : 0] : 0);
    write_file(bytes, size && data[0] & 1);
    size_t first = try_kept(domain), again = try_kept(domain);
    require(first == again);
    return 0;
}

/* The log of outcomes, changed by edits (place, length, bytes) and cut where the first two bytes say. Whatever it is, the walk ends;
 * each outcome that was not edited is told; and behind what a cutting walk leaves, what is appended is told next time, last of all. */
#include "../../relay/base/text.h"
#include "../../relay/spool/disk.h"
#include "../../relay/spool/outcome.h"
#include "../../relay/spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define OUTCOMES   6
#define IMAGE_SIZE 4096
#define NUMBER     1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[128], name[SEGMENT_NAME_SIZE], image[IMAGE_SIZE];
static int folder = -1;
static size_t image_size, starts[OUTCOMES + 1]; /* the last is the end */

struct walked {
    unsigned told[OUTCOMES], count, appended;
    uint64_t last;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void clean_up(void)
{
    unlinkat(folder, name, 0);
    rmdir(path);
}

static void append(int fd, uint32_t recipient)
{
    const struct outcome outcome = { .kind = OUTCOME_DEFERRED,
                                     .record_offset = 64,
                                     .recipient = recipient,
                                     .time_ms = -1,
                                     .mx = SPAN("mx.example"),
                                     .tls = span_head(SPAN("TLSv1.3"), recipient),
                                     .reply = SPAN("450 4.2.1 later") };
    struct buffer out;
    buffer_init(&out, IMAGE_SIZE);
    require(outcome_encode(&outcome, &out) && outcome_append(fd, buffer_span(&out)));
    buffer_fini(&out);
}

static void make_image(void)
{
    const char *place = getenv("TMPDIR");
    text_format(path, sizeof path, "%s/postern-outcome-XXXXXX", place ? place : "/tmp");
    require(mkdtemp(path) != NULL);
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    atexit(clean_up);
    segment_log_name(NUMBER, name);
    int fd = outcome_open(folder, NUMBER);
    for (uint32_t i = 0; i <= OUTCOMES; i++) {
        uint64_t size;
        require(disk_size(fd, &size));
        starts[i] = (size_t)size;
        if (i < OUTCOMES)
            append(fd, i);
    }
    image_size = starts[OUTCOMES];
    require(disk_read(fd, image, IMAGE_SIZE, 0) == (ssize_t)image_size);
    close(fd);
}

static bool each(void *context, const struct outcome *outcome)
{
    struct walked *walked = context;
    struct buffer again;
    require(outcome->position >= walked->last && outcome_name(outcome->kind)[0]);
    walked->last = outcome->position + 1;
    walked->count++;
    for (unsigned i = 0; i < OUTCOMES; i++)
        walked->told[i] += outcome->position == starts[i];
    walked->appended = outcome->recipient == OUTCOMES ? walked->count : walked->appended;
    buffer_init(&again, IMAGE_SIZE);
    require(outcome_encode(outcome, &again));
    buffer_fini(&again);
    return true;
}

static void damaged(void *context, uint64_t offset, const char *what)
{
    (void)context;
    require(offset <= IMAGE_SIZE && *what);
}

static bool walk(bool cut, struct walked *walked)
{
    *walked = (struct walked){ .count = 0 };
    bool done = outcome_walk(folder, NUMBER, cut, each, damaged, walked);
    require(done || errno == EPROTONOSUPPORT);
    return done;
}

/* Makes the log of BYTES. */
static void write_log(const char *bytes, size_t size)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && disk_write_bytes(fd, bytes, size, 0));
    close(fd);
}

/* What comes behind what a cutting walk left. */
static void go_on(const struct walked *before)
{
    struct walked after;
    int fd = outcome_open(folder, NUMBER);
    require(fd >= 0);
    append(fd, OUTCOMES);
    close(fd);
    require(walk(false, &after) && after.count == before->count + 1 && after.appended == after.count);
}

static size_t number(struct span bytes)
{
    return (size_t)((unsigned char)bytes.p[0] << 8 | (unsigned char)bytes.p[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_size)
{
    struct span edits = span_make((const char *)data, data_size);
    char bytes[IMAGE_SIZE];
    bool touched[OUTCOMES + 1] = { false }; /* the last is the log's header */
    struct walked walked;
    if (folder < 0)
        make_image();
    if (edits.n < 2)
        return 0;
    size_t size = number(edits) % (image_size + 1);
    edits = span_skip(edits, 2);
    memcpy(bytes, image, image_size);
    while (edits.n >= 3) {
        size_t at = number(edits) % image_size;
        struct span run = span_head(span_skip(edits, 3), (unsigned char)edits.p[2]);
        edits = span_skip(edits, 3 + run.n);
        run = span_head(run, image_size - at);
        memcpy(bytes + at, run.p, run.n);
        touched[OUTCOMES] |= run.n && at < starts[0];
        for (unsigned i = 0; i < OUTCOMES; i++)
            touched[i] |= run.n && at < starts[i + 1] && at + run.n > starts[i];
    }
    write_log(bytes, size);
    bool done = walk(true, &walked);
    require(done || touched[OUTCOMES]);
    for (unsigned i = 0; i < OUTCOMES && done; i++)
        require(walked.told[i] <= 1 && (walked.told[i] == 1 || touched[i] || size < starts[i + 1]));
    if (done)
        go_on(&walked);
    return 0;
}

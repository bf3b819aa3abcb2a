/* The file of what limits have counted: any bytes behind its first line, and records with a right checksum around whatever the input says
 * (the first byte chooses). Whatever it is, no bucket holds more than its limit lets it, memory stays within its bounds, and what is read
 * once can be read again. */
#include "../../policy/store_local.h"
#include "../../relay/base/clock.h"
#include "../../relay/base/crc32c.h"
#include "../../relay/base/log.h"
#include "../../relay/base/text.h"

#include <stdlib.h>

#define MAGIC       "postern limits 1"
#define HEADER_SIZE 32 /* of a record: crc, size, name_size, key_size, key, count, zero[6], used, wall_ms */
#define FILE_MAX    65536
#define HOUR        3600000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char hourly[] = "hourly", bounces[] = "bounces";
static struct conf_limit rows[] = {
    { .name = hourly,
      .key = CONF_KEY_ACCOUNT,
      .count = CONF_COUNT_RECIPIENTS,
      .rate = { 100, HOUR },
      .burst = 100,
      .then = CONF_THEN_DEFER },
    { .name = hourly, .key = CONF_KEY_CLIENT, .count = CONF_COUNT_BYTES, .rate = { 1, 1 }, .burst = 5, .then = CONF_THEN_DEFER },
    { .name = bounces,
      .key = CONF_KEY_ACCOUNT,
      .count = CONF_COUNT_HARD_BOUNCES,
      .rate = { 25, 24 * HOUR },
      .burst = 25,
      .share = 20,
      .at_least = 50,
      .then = CONF_THEN_SUSPEND },
};
static const struct conf conf = { .limits = rows, .nlimits = sizeof rows / sizeof *rows };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Makes the input's first two bytes the sizes of a name and a key, those behind them a header and both. */
static void add_record(struct buffer *file, struct span *input)
{
    char record[HEADER_SIZE + 2 * UINT8_MAX];
    size_t name_size = (unsigned char)input->p[0], key_size = (unsigned char)input->p[1];
    uint16_t size = (uint16_t)(HEADER_SIZE + name_size + key_size);
    struct span rest = span_skip(*input, 2), body = span_head(rest, size - 8u);
    memset(record, 0, sizeof record);
    memcpy(record + 8, body.p, body.n);
    memcpy(record + 4, &size, sizeof size);
    record[6] = (char)name_size;
    record[7] = (char)key_size;
    uint32_t crc = crc32c(0, record + 4, size - 4u);
    memcpy(record, &crc, sizeof crc);
    buffer_add(file, span_make(record, size));
    *input = span_skip(rest, body.n);
}

static bool check_bucket(void *context, const struct bucket *bucket)
{
    const struct limit *limit = context;
    require(bucket->used <= limit->conf->burst && bucket->used + bucket->left == limit->conf->burst);
    require(bucket->key.n <= BUCKET_KEY_MAX && bucket->idle_ms >= 0);
    return true;
}

static size_t check(struct limit_set *limits)
{
    size_t keys = 0;
    for (size_t i = 0; i < limit_number(limits); i++) {
        struct limit *limit = limit_at(limits, i);
        bucket_each(limit->buckets, clock_monotonic_ms(), check_bucket, limit);
        require(bucket_bytes(limit->buckets) <= LIMIT_MEMORY);
        keys += bucket_keys(limit->buckets);
    }
    return keys;
}

static void read_twice(struct span file)
{
    struct seen *seen = seen_new(SEEN_MEMORY);
    struct limit_set *limits = limit_new(&conf, seen, NULL);
    size_t records = store_local_read(limits, seen, file), pairs = seen_count(seen);
    check(limits);
    require(records <= file.n / HEADER_SIZE);
    require(store_local_read(limits, seen, file) == records && seen_count(seen) >= pairs);
    check(limits);
    limit_free(&limits);
    seen_free(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer file;
    struct span input = span_make((const char *)data, size);
    if (!size)
        return 0;
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "fuzz");
    buffer_init(&file, FILE_MAX);
    buffer_add(&file, SPAN(MAGIC));
    bool framed = data[0] & 1;
    input = span_skip(input, 1);
    while (framed && input.n >= 2 && buffer_size(&file) < FILE_MAX / 2)
        add_record(&file, &input);
    buffer_add(&file, span_head(input, FILE_MAX / 4));
    read_twice(buffer_span(&file));
    buffer_fini(&file);
    return 0;
}

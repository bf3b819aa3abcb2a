/* Any text as a configuration: either it has mistakes, each told in a line, or it can be written out and read again as the same. (Files
 * are not included, so that nothing depends on the machine.) */
#include "../../relay/conf/read.h"

#include "../../relay/base/text.h"

#include <stdlib.h>

#define OUT_MAX (16u << 20)

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void complain(void *context, const char *line)
{
    unsigned *told = context;
    (*told)++;
    require(strncmp(line, "fuzz.conf:", 10) == 0 && line[10] >= '1' && line[10] <= '9');
    for (const char *p = line; *p; p++)
        require((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void check_round_trip(const struct conf *conf)
{
    struct buffer first, second;
    unsigned told = 0;
    buffer_init(&first, OUT_MAX);
    buffer_init(&second, OUT_MAX);
    require(conf_write(conf, &first));
    struct conf *again = conf_read_text("fuzz.conf", buffer_span(&first), complain, &told);
    require(again && !told && conf_write(again, &second));
    require(span_equal(buffer_span(&first), buffer_span(&second)));
    conf_free(&again);
    buffer_fini(&first);
    buffer_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned told = 0;
    if (memmem(data, size, "include", 7))
        return 0;
    struct conf *conf = conf_read_text("fuzz.conf", span_make((const char *)data, size), complain, &told);
    require(!conf == (told != 0));
    if (conf)
        check_round_trip(conf);
    conf_free(&conf);
    return 0;
}

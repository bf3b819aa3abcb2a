/* Any text as a user file: nothing breaks, every account that is taken prints as it was read, and reading it again gives the same
 * number of accounts. */
#include "../../relay/auth/userfile.h"
#include "../../relay/base/log.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A line that is an account is one after printing, too. */
static void check_line(struct userfile *file, struct span line)
{
    struct scram_verifier verifier, found, again;
    char name[SCRAM_NAME_SIZE], name_again[SCRAM_NAME_SIZE], text[SCRAM_TEXT_SIZE];
    if (scram_line(line, name, &verifier) != SCRAM_LINE_ACCOUNT)
        return;
    require(scram_name(span_of(name), name_again) && span_equal(span_of(name), span_of(name_again)));
    scram_print(&verifier, text);
    require(scram_parse(span_of(text), &again) && memcmp(&again, &verifier, sizeof again) == 0);
    require(userfile_find(file, span_of(name), &found) == USERFILE_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    struct userfile *file = userfile_new(NULL);
    struct scram_verifier decoy;
    log_setup(LOG_LOGFMT, LOG_ERROR, "fuzz");
    size_t accounts = userfile_take(file, text);
    require(userfile_take(file, text) == accounts);
    userfile_decoy(file, span_head(text, SCRAM_NAME_SIZE), &decoy);
    require(decoy.salt_size >= SCRAM_SALT_MIN && decoy.salt_size <= SCRAM_SALT_MAX && decoy.iterations >= SCRAM_ITERATIONS_MIN);
    for (struct span rest = text; rest.n;)
        check_line(file, span_cut(&rest, '\n'));
    userfile_free(&file);
    return 0;
}

/* Verifiers, names and passwords as they stand in a user file or come from a client: what is taken is within its bounds, prints as it
 * was read, and holds nothing that could end a line or a log value. */
#include "../../relay/base/scram.h"

#include "../../relay/base/text.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_verifier(const struct scram_verifier *verifier)
{
    struct scram_verifier again;
    char text[SCRAM_TEXT_SIZE];
    require(verifier->iterations >= SCRAM_ITERATIONS_MIN && verifier->iterations <= SCRAM_ITERATIONS_MAX);
    require(verifier->salt_size >= SCRAM_SALT_MIN && verifier->salt_size <= SCRAM_SALT_MAX);
    scram_print(verifier, text);
    require(scram_parse(span_of(text), &again) && memcmp(&again, verifier, sizeof again) == 0);
}

static void check_name(struct span name)
{
    char normal[SCRAM_NAME_SIZE], again[SCRAM_NAME_SIZE];
    if (!scram_name(name, normal))
        return;
    require(strlen(normal) == name.n && text_is_utf8(span_of(normal)) && !strpbrk(normal, ": \t\r\n") && normal[0] != '#');
    require(scram_name(span_of(normal), again) && strcmp(normal, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make((const char *)data, size);
    struct scram_verifier verifier;
    char name[SCRAM_NAME_SIZE];
    if (scram_parse(text, &verifier))
        check_verifier(&verifier);
    if (scram_line(text, name, &verifier) == SCRAM_LINE_ACCOUNT) {
        check_verifier(&verifier);
        check_name(span_of(name));
    }
    check_name(text);
    require(!scram_password(text) || (size && size <= SCRAM_PASSWORD_MAX && text_is_utf8(text) && !memchr(data, '\n', size)));
    return 0;
}

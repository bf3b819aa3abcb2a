/* A server's challenges at login, a line each; the first byte chooses what it offers and whether the secret is a token. What is answered
 * is one line of base64, of bounded size, and the password stands in none of it unless PLAIN or LOGIN was asked for; SCRAM is never good
 * without the server's proof. */
#include "../../relay/delivery/login.h"

#include "../../relay/base/base64.h"
#include "../../relay/delivery/ehlo.h"

#include <stdlib.h>
#include <string.h>

#define SECRET "correct horse battery staple"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* One line, of which nothing but a command may stand before the base64. */
static void check_line(struct buffer *line, bool may_tell)
{
    struct buffer plain;
    struct span text = buffer_span(line);
    require(text.n >= 2 && text.n <= LOGIN_LINE_MAX && span_find(text, '\r') == text.n - 2);
    struct span rest = span_head(text, text.n - 2);
    if (span_starts_nocase(rest, SPAN("AUTH ")))
        rest = span_skip(rest, 5 + span_find(span_skip(rest, 5), ' ') + 1);
    buffer_init(&plain, LOGIN_LINE_MAX);
    require(base64_decode(rest, &plain));
    struct span decoded = buffer_span(&plain);
    require(may_tell || !decoded.n || !memmem(decoded.p, decoded.n, SECRET, sizeof SECRET - 1));
    buffer_fini(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool loaded;
    struct span rest = span_make((const char *)data, size);
    unsigned options = size ? data[0] : 0;
    struct login_setup setup = {
        .user = "office", .secret = SPAN(SECRET), .is_token = options & 128, .host = "mx.test", .port = 587
    };
    bool may_tell = setup.is_token || !(options & EHLO_AUTH_SCRAM);
    struct buffer line;
    loaded = loaded || login_load();
    buffer_init(&line, LOGIN_LINE_MAX);
    struct login *login = login_new(options & 31, &setup, &line);
    rest = span_skip(rest, 1);
    if (login)
        check_line(&line, may_tell);
    for (bool goes_on = login; goes_on && rest.n;) {
        buffer_clear(&line);
        goes_on = login_continue(login, span_cut(&rest, '\n'), &line);
        if (goes_on)
            check_line(&line, may_tell);
    }
    /* Nobody who does not know the password can make the proof. */
    require(!login || may_tell || !login_is_mutual(login));
    buffer_wipe(&line);
    login_free(&login);
    return 0;
}

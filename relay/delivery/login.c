/* PLAIN and LOGIN, and no more: relays that take mail for others offer one of them, and over verified TLS a challenge would
 * protect the password from nobody but that relay. PLAIN goes first: one round trip, and the only one of the two that has a
 * specification.
 *
 * What a server can do here is little. Its prompts are not looked at; LOGIN answers two of them, PLAIN none, so a server that
 * goes on with 334 is refused after that (login_continue says false) and learns nothing it does not have. The line is in the
 * caller's buffer, which is wiped once it was handed to the stream; the stream wipes its own when it ends. */
#include "login.h"

#include "../base/base64.h"
#include "ehlo.h"

static bool add_line(struct span secret, struct buffer *out)
{
    return base64_encode(secret, out) && buffer_add_text(out, "\r\n");
}

/* message = [authzid] NUL authcid NUL passwd (RFC 4616 2), as initial response. */
static bool begin_plain(const char *user, struct span password, struct buffer *out)
{
    struct buffer message;
    buffer_init(&message, LOGIN_LINE_MAX);
    bool made = buffer_add_byte(&message, '\0') && buffer_add_text(&message, user) && buffer_add_byte(&message, '\0') &&
                buffer_add(&message, password) && buffer_add_text(out, "AUTH PLAIN ") && add_line(buffer_span(&message), out);
    buffer_wipe(&message);
    return made;
}

bool login_begin(struct login *login, unsigned mechanisms, const char *user, struct span password, struct buffer *out)
{
    *login = (struct login){ 0 };
    if (mechanisms & EHLO_AUTH_PLAIN) {
        login->mechanism = EHLO_AUTH_PLAIN;
        return begin_plain(user, password, out);
    }
    if (mechanisms & EHLO_AUTH_LOGIN) {
        login->mechanism = EHLO_AUTH_LOGIN;
        return buffer_add_text(out, "AUTH LOGIN\r\n");
    }
    return false;
}

bool login_continue(struct login *login, const char *user, struct span password, struct buffer *out)
{
    /* LOGIN asks for the name, then for the password; what its prompts say is not looked at, as they differ between servers. */
    if (login->mechanism != EHLO_AUTH_LOGIN || login->step > 1)
        return false;
    return add_line(login->step++ == 0 ? span_of(user) : password, out);
}

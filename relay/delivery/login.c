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

/* A table of mechanisms, the best first. SCRAM goes before the others, though TLS carries all of them: the server never sees the
 * password, and has to show that it knows it. PLAIN is one round trip, and has a specification, which LOGIN has not.
 *
 * libsasl2 asks for name and password by callbacks and makes responses; base64 and lines are ours. A token is not its business (no
 * plug-in for it is in Debian), and both mechanisms are one message: the token in a frame. Where the server refuses it, it says why in a
 * 334, which is answered once so that the refusal itself can come (RFC 7628 3.2.3).
 *
 * Nothing of the secret stays behind: responses are in the caller's buffer, which is wiped once they were handed to the stream; the copy
 * that libsasl2 is handed is wiped here. */
#include "login.h"

#include "../base/base64.h"
#include "../base/log.h"
#include "../base/text.h"
#include "ehlo.h"

#include <openssl/crypto.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_MAX 510 /* a longer AUTH command has its first response on a line of its own (RFC 4954 4, RFC 5321 4.5.3.1.4) */
#define ERRORS_MAX  1   /* a token's refusal is explained so often */

struct mechanism;

struct login {
    const struct mechanism *mechanism;
    struct login_setup setup;
    sasl_conn_t *connection;
    sasl_callback_t callbacks[3];
    sasl_secret_t *secret;
    bool unfinished;     /* libsasl2 has not said that all is well */
    unsigned errors;     /* a token's, explained so far */
    bool held;           /* `first` is still to be sent */
    struct buffer first; /* the initial response, where the command would be too long with it */
};

struct mechanism {
    const char *name;
    unsigned bit; /* EHLO_AUTH_… */
    bool is_token;
    bool is_mutual;                                               /* the server proves something too */
    bool (*begin)(struct login *login, struct buffer *ret_first); /* false: cannot be used; an empty response is none */
    const char *apology;                                          /* to a token's refusal */
};

typedef int (*plain_callback)(void);
#define CALLBACK(function) ((plain_callback)(void (*)(void))(function))

static int get_name(void *context, int id, const char **ret_text, unsigned *ret_size)
{
    const struct login *login = context;
    (void)id;
    *ret_text = login->setup.user;
    if (ret_size)
        *ret_size = (unsigned)strlen(login->setup.user);
    return SASL_OK;
}

static int get_secret(sasl_conn_t *connection, void *context, int id, sasl_secret_t **ret_secret)
{
    struct login *login = context;
    (void)connection;
    (void)id;
    *ret_secret = login->secret;
    return SASL_OK;
}

/* Which plug-ins may be loaded: the rest is code that nobody asked for. */
static int verify_file(void *context, const char *file, sasl_verify_type_t type)
{
    static const char *const wanted[] = { "libplain.so", "liblogin.so", "libscram.so" };
    const char *slash = strrchr(file, '/');
    (void)context;
    for (size_t i = 0; type == SASL_VRFY_PLUGIN && i < sizeof wanted / sizeof *wanted; i++)
        if (strcmp(slash ? slash + 1 : file, wanted[i]) == 0)
            return SASL_OK;
    return SASL_CONTINUE;
}

/* libsasl2 logs by itself to syslog otherwise, at some levels with secrets. */
static int note(void *context, int level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
    return SASL_OK;
}

bool login_load(void)
{
    static const sasl_callback_t callbacks[] = { { SASL_CB_VERIFYFILE, CALLBACK(verify_file), NULL },
                                                 { SASL_CB_LOG, CALLBACK(note), NULL },
                                                 { SASL_CB_LIST_END, NULL, NULL } };
    int result = sasl_client_init(callbacks);
    if (result != SASL_OK)
        log_say(LOG_ERROR, "error", "libsasl2 cannot be used: %s; mail over routes with a user waits",
                sasl_errstring(result, NULL, NULL));
    return result == SASL_OK;
}

void login_unload(void)
{
    sasl_client_done();
}

static bool take(struct buffer *to, const char *bytes, unsigned size)
{
    return buffer_add(to, span_make(bytes, size));
}

static bool begin_sasl(struct login *login, struct buffer *ret_first)
{
    const sasl_security_properties_t properties = { .max_ssf = 0, .maxbufsize = 0 };
    const char *out = NULL;
    unsigned size = 0;
    login->secret = text_zalloc(sizeof *login->secret + login->setup.secret.n);
    login->secret->len = login->setup.secret.n;
    memcpy(login->secret->data, login->setup.secret.p, login->setup.secret.n);
    login->callbacks[0] = (sasl_callback_t){ SASL_CB_AUTHNAME, CALLBACK(get_name), login };
    login->callbacks[1] = (sasl_callback_t){ SASL_CB_PASS, CALLBACK(get_secret), login };
    login->callbacks[2] = (sasl_callback_t){ .id = SASL_CB_LIST_END };
    int result = sasl_client_new("smtp", login->setup.host, NULL, NULL, login->callbacks, 0, &login->connection);
    if (result == SASL_OK)
        result = sasl_setprop(login->connection, SASL_SEC_PROPS, &properties);
    if (result == SASL_OK)
        result = sasl_client_start(login->connection, login->mechanism->name, NULL, &out, &size, NULL);
    login->unfinished = result != SASL_OK;
    return (result == SASL_OK || result == SASL_CONTINUE) && (!out || take(ret_first, out, size));
}

/* kvpair = "auth=Bearer " token, between ^A (RFC 7628 3.1). */
static bool add_bearer(const struct login *login, struct buffer *to)
{
    return buffer_add_text(to, "auth=Bearer ") && buffer_add(to, login->setup.secret) && buffer_add_text(to, "\1\1");
}

static bool begin_xoauth2(struct login *login, struct buffer *ret_first)
{
    return buffer_addf(ret_first, "user=%s\1", login->setup.user) && add_bearer(login, ret_first);
}

/* gs2-header with the name, in which "," and "=" are written as RFC 5801 4 has it. */
static bool begin_oauthbearer(struct login *login, struct buffer *ret_first)
{
    bool made = buffer_add_text(ret_first, "n,a=");
    for (const char *at = login->setup.user; made && *at; at++)
        made =
            *at == ',' || *at == '=' ? buffer_add_text(ret_first, *at == ',' ? "=2C" : "=3D") : buffer_add_byte(ret_first, *at);
    return made && buffer_addf(ret_first, ",\1host=%s\1port=%u\1", login->setup.host, login->setup.port) &&
           add_bearer(login, ret_first);
}

static const struct mechanism mechanisms[] = {
    { "SCRAM-SHA-256", EHLO_AUTH_SCRAM, false, true, begin_sasl, NULL },
    { "PLAIN", EHLO_AUTH_PLAIN, false, false, begin_sasl, NULL },
    { "LOGIN", EHLO_AUTH_LOGIN, false, false, begin_sasl, NULL },
    { "OAUTHBEARER", EHLO_AUTH_OAUTHBEARER, true, false, begin_oauthbearer, "AQ==" },
    { "XOAUTH2", EHLO_AUTH_XOAUTH2, true, false, begin_xoauth2, "" },
};

/* Writes the command with the first response RESPONSE, or keeps that for the server's empty 334. */
static bool write_command(struct login *login, struct span response, struct buffer *out)
{
    struct buffer encoded;
    buffer_init(&encoded, LOGIN_LINE_MAX);
    bool made = buffer_addf(out, "AUTH %s", login->mechanism->name) && base64_encode(response, &encoded);
    login->held = buffer_size(out) + 1 + buffer_size(&encoded) > COMMAND_MAX;
    if (made && login->held)
        made = buffer_add(&login->first, buffer_span(&encoded));
    else if (made && response.n)
        made = buffer_add_byte(out, ' ') && buffer_add(out, buffer_span(&encoded));
    buffer_wipe(&encoded);
    return made && buffer_add_text(out, "\r\n");
}

static bool begin(struct login *login, struct buffer *out)
{
    struct buffer first;
    buffer_init(&first, LOGIN_LINE_MAX);
    bool made = login->mechanism->begin(login, &first) && write_command(login, buffer_span(&first), out);
    buffer_wipe(&first);
    return made;
}

struct login *login_new(unsigned offered, const struct login_setup *setup, struct buffer *out)
{
    struct login *login = text_zalloc(sizeof *login);
    login->setup = *setup;
    buffer_init(&login->first, LOGIN_LINE_MAX);
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms && !login->mechanism; i++)
        if ((mechanisms[i].bit & offered) && mechanisms[i].is_token == setup->is_token)
            login->mechanism = &mechanisms[i];
    if (!login->mechanism || !begin(login, out))
        login_free(&login);
    return login;
}

static bool add_line(struct span response, struct buffer *out)
{
    return base64_encode(response, out) && buffer_add_text(out, "\r\n");
}

/* One more step of libsasl2; CHALLENGE is decoded. */
static bool step(struct login *login, struct span challenge, struct buffer *out)
{
    const char *response = NULL;
    unsigned size = 0;
    int result =
        sasl_client_step(login->connection, challenge.p ? challenge.p : "", (unsigned)challenge.n, NULL, &response, &size);
    login->unfinished = result != SASL_OK;
    return (result == SASL_OK || result == SASL_CONTINUE) && add_line(span_make(response, response ? size : 0), out);
}

bool login_continue(struct login *login, struct span text, struct buffer *out)
{
    struct buffer challenge;
    if (login->held) {
        login->held = false;
        return buffer_add(out, buffer_span(&login->first)) && buffer_add_text(out, "\r\n");
    }
    if (login->mechanism->is_token)
        return login->errors++ < ERRORS_MAX && buffer_addf(out, "%s\r\n", login->mechanism->apology);
    if (!login->unfinished)
        return false;
    buffer_init(&challenge, LOGIN_LINE_MAX);
    bool made = base64_decode(text, &challenge);
    if (!made && login->mechanism->bit == EHLO_AUTH_LOGIN) { /* its prompts are for people, and have no form that all keep */
        buffer_clear(&challenge);
        made = true;
    }
    made = made && step(login, buffer_span(&challenge), out);
    buffer_fini(&challenge);
    return made;
}

bool login_is_mutual(const struct login *login)
{
    return !login->mechanism->is_mutual || !login->unfinished;
}

void login_free(struct login **login)
{
    if (!*login)
        return;
    if ((*login)->connection)
        sasl_dispose(&(*login)->connection);
    if ((*login)->secret)
        OPENSSL_cleanse((*login)->secret->data, (*login)->secret->len);
    free((*login)->secret);
    buffer_wipe(&(*login)->first);
    free(*login);
    *login = NULL;
}

const char *login_names(bool is_token)
{
    return is_token ? "OAUTHBEARER, XOAUTH2" : "SCRAM-SHA-256, PLAIN, LOGIN";
}

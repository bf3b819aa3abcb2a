/* libsasl2 is told everything by callbacks and reads no configuration of its own. Its plugins are chosen by file name
 * (verify_file), since each of them is code that reads what strangers send; a mechanism that is not asked for is never in memory.
 *
 * backend     SCRAM-SHA-256              PLAIN, LOGIN
 * file        our auxprop plugin         check_password
 * sasldb      libsasldb, then a decoy    libsasl2's auxprop check, with libsasldb
 * saslauthd   -                          libsasl2 asks saslauthd, which blocks
 *
 * Each attempt is a connection object of its own: one that is used again after a failure was CVE-2011-1720. Names come through
 * canonicalise, which never fails, because the LOGIN plugin of 2.1.28 leaks the password where it does: a name that cannot be an
 * account's becomes NOBODY, which is none, and so takes the same course as any unknown name.
 *
 * What canonicalise gives is both what the backend is asked for and what policy counts by. So no backend can take two names for one
 * account that policy takes for two, as long as it compares bytes: the file and the sasldb do; behind saslauthd may be a directory that
 * does not, so a name beyond ASCII, whose forms are many, is none there. */
#include "attempt.h"

#include "../base/log.h"
#include "../base/text.h"

#include <openssl/crypto.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <sasl/saslutil.h>
#include <stdlib.h>

#define NOBODY         ":" /* scram_name refuses a colon */
#define PLUGIN         "postern"
#define BINDING_NAME   "tls-exporter"
#define BINDING_SIZE   64
#define NCALLBACKS     6
#define EXTERNAL_SSF   256 /* TLS carries the exchange; libsasl2 wants a number of bits */
#define CALLBACK(f)    (int (*)(void))(void (*)(void)) & (f)
#define VERIFIER_ASKED "*authPassword" /* '*': of who logs in, not of whom he wants to be */
#define PASSWORD_ASKED "*userPassword"

struct attempt {
    const struct attempt_ground *ground;
    sasl_conn_t *connection;
    const char *mechanism; /* static: of the table below */
    const char *list;      /* what libsasl2 may use in this attempt */
    sasl_callback_t callbacks[NCALLBACKS];
    sasl_channel_binding_t binding;
    unsigned char binding_bytes[BINDING_SIZE];
    bool challenged; /* SCRAM: the salt has gone out, what comes now is the proof */
    bool claims;     /* a name was given */
    bool nameless;   /* which can be no account's */
    bool proved;     /* the password or the proof was right */
    bool for_other;  /* but of one account, and another was wanted */
    char claimed[SCRAM_NAME_SIZE];
    enum credentials_answer answer;
    bool answered; /* `answer` is set */
    int result;    /* libsasl2's last */
};

/* The mechanisms there are (clients may name any other). `list` is libsasl2's name: -PLUS is a SCRAM that binds. */
static const struct mechanism {
    const char *name;
    const char *list;
    bool binds;
    bool proves; /* the client proves that it knows the password, and does not send it */
} mechanisms[] = {
    { "PLAIN", "PLAIN", false, false },
    { "LOGIN", "LOGIN", false, false },
    { "SCRAM-SHA-256", "SCRAM-SHA-256", false, true },
    { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", true, true },
};

static const struct mechanism *find_mechanism(struct span name)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (span_equal(span_of(mechanisms[i].name), name))
            return &mechanisms[i];
    return NULL;
}

bool attempt_serves(enum conf_auth_backend backend, struct span mechanism)
{
    const struct mechanism *found = find_mechanism(mechanism);
    return found && !(found->proves && backend == CONF_BACKEND_SASLAUTHD);
}

/* Which plugin files may be loaded. CONTEXT: the backend. */
static int verify_file(void *context, const char *file, sasl_verify_type_t type)
{
    static const char *const wanted[] = { "libplain.so", "liblogin.so", "libscram.so" };
    const enum conf_auth_backend *backend = context;
    const char *slash = strrchr(file, '/');
    struct span name = span_of(slash ? slash + 1 : file);
    if (type != SASL_VRFY_PLUGIN)
        return SASL_CONTINUE;
    if (*backend == CONF_BACKEND_SASLDB && span_equal(name, SPAN("libsasldb.so")))
        return SASL_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (span_equal(name, span_of(wanted[i])))
            return SASL_OK;
    return SASL_CONTINUE;
}

/* libsasl2's own words. Failed logins are logged by us; SASL_LOG_TRACE and below show secrets, and are never wanted. */
static int note(void *context, int level, const char *message)
{
    (void)context;
    if (message && (level == SASL_LOG_ERR || level == SASL_LOG_WARN))
        log_say(LOG_WARNING, "error", "libsasl2: %s", message);
    return SASL_OK;
}

/* libsasl2's options: of an attempt, or (CONTEXT NULL) of the process, which has none. */
static int get_option(void *context, const char *plugin, const char *option, const char **result, unsigned *size)
{
    static const char *const auxprop[] = { [CONF_BACKEND_FILE] = PLUGIN, [CONF_BACKEND_SASLDB] = "sasldb " PLUGIN };
    const struct attempt *attempt = context;
    (void)plugin;
    if (!attempt)
        return SASL_FAIL;
    bool saslauthd = attempt->ground->backend == CONF_BACKEND_SASLAUTHD;
    if (strcmp(option, "mech_list") == 0)
        *result = attempt->list;
    else if (strcmp(option, "pwcheck_method") == 0)
        *result = saslauthd ? "saslauthd" : "auxprop";
    else if (strcmp(option, "auxprop_plugin") == 0)
        *result = saslauthd ? PLUGIN : auxprop[attempt->ground->backend];
    else
        return SASL_FAIL;
    if (size)
        *size = (unsigned)strlen(*result);
    return SASL_OK;
}

/* From the name as the client writes it to the account's normal form. False where it can be no account's. */
static bool name_account(const struct attempt_ground *ground, struct span given, char name[SCRAM_NAME_SIZE])
{
    if (ground->conf->auth.backend == CONF_BACKEND_SASLAUTHD && !span_is_ascii(given))
        return false;
    return scram_name(conf_account_name(ground->conf, given), name);
}

/* The name as libsasl2 is to use it. */
static int canonicalise(sasl_conn_t *connection, void *context, const char *in, unsigned size, unsigned flags, const char *realm,
                        char *out, unsigned out_max, unsigned *out_size)
{
    struct attempt *attempt = context;
    char name[SCRAM_NAME_SIZE];
    struct span given = span_make(in, size);
    (void)connection;
    (void)realm;
    if (!name_account(attempt->ground, given, name)) {
        attempt->nameless = true;
        text_copy(name, sizeof name, SPAN(NOBODY));
    }
    if (flags & SASL_CU_AUTHID && !attempt->claims) {
        attempt->claims = true;
        text_copy(attempt->claimed, sizeof attempt->claimed, given);
    }
    if (!text_copy(out, out_max, span_of(name)))
        return SASL_BUFOVER;
    *out_size = (unsigned)strlen(name);
    return SASL_OK;
}

/* Nobody acts for anybody else. Asked when the password has proved to be right. */
static int authorise(sasl_conn_t *connection, void *context, const char *wanted, unsigned wanted_size, const char *account,
                     unsigned account_size, const char *realm, unsigned realm_size, struct propctx *properties)
{
    struct attempt *attempt = context;
    (void)connection;
    (void)realm;
    (void)realm_size;
    (void)properties;
    attempt->proved = true;
    attempt->for_other = !span_equal(span_make(wanted, wanted_size), span_make(account, account_size));
    return attempt->for_other ? SASL_NOAUTHZ : SASL_OK;
}

/* PLAIN and LOGIN with the user file. Where this says no, libsasl2 tries its own check, which finds no password: no again. */
static int check_password(sasl_conn_t *connection, void *context, const char *user, const char *password, unsigned size,
                          struct propctx *properties)
{
    struct attempt *attempt = context;
    (void)connection;
    (void)properties;
    attempt->answer = credentials_check(attempt->ground->credentials, span_of(user), span_make(password, size));
    attempt->answered = true;
    return attempt->answer == CREDENTIALS_RIGHT ? SASL_OK : SASL_BADAUTH;
}

/* Has the property been asked for, and has a plugin before ours (sasldb) found it? */
static bool property(const struct propval *values, const char *name, bool *ret_found)
{
    for (; values && values->name; values++)
        if (strcmp(values->name, name) == 0) {
            *ret_found = values->values && *values->values;
            return true;
        }
    return false;
}

/* Gives the verifier for SCRAM: of the user file; with sasldb a decoy where that knows nobody of the name. */
static int lookup(void *global, sasl_server_params_t *params, unsigned flags, const char *user, unsigned size)
{
    const sasl_utils_t *utils = params->utils;
    const struct propval *values = utils->prop_get(params->propctx);
    sasl_callback_ft proc;
    void *context;
    bool found = false;
    struct scram_verifier verifier = { 0 };
    char text[SCRAM_TEXT_SIZE];
    (void)global;
    if (flags & SASL_AUXPROP_AUTHZID || !property(values, VERIFIER_ASKED, &found) || found ||
        utils->getcallback(utils->conn, SASL_CB_CANON_USER, &proc, &context) != SASL_OK)
        return SASL_OK;
    struct attempt *attempt = context;
    if (attempt->ground->backend == CONF_BACKEND_SASLDB && property(values, PASSWORD_ASKED, &found) && found)
        return SASL_OK;
    attempt->answer = credentials_verifier(attempt->ground->credentials, span_make(user, size), &verifier);
    attempt->answered = true;
    if (attempt->answer == CREDENTIALS_UNAVAILABLE)
        return SASL_UNAVAIL;
    scram_print(&verifier, text);
    int result = utils->prop_set(params->propctx, VERIFIER_ASKED, text, 0);
    OPENSSL_cleanse(&verifier, sizeof verifier);
    OPENSSL_cleanse(text, sizeof text);
    return result;
}

static int plug_in(const sasl_utils_t *utils, int version, int *ret_version, sasl_auxprop_plug_t **ret_plugin, const char *name)
{
    static char plugin_name[] = PLUGIN;
    static sasl_auxprop_plug_t plugin = { .auxprop_lookup = lookup, .name = plugin_name };
    (void)utils;
    (void)name;
    if (version < SASL_AUXPROP_PLUG_VERSION)
        return SASL_BADVERS;
    *ret_version = SASL_AUXPROP_PLUG_VERSION;
    *ret_plugin = &plugin;
    return SASL_OK;
}

bool attempt_setup(enum conf_auth_backend backend)
{
    static enum conf_auth_backend chosen; /* libsasl2 keeps pointers to this and the next until attempt_teardown */
    static const sasl_callback_t callbacks[] = {
        { SASL_CB_VERIFYFILE, CALLBACK(verify_file), &chosen },
        { SASL_CB_GETOPT, CALLBACK(get_option), NULL },
        { SASL_CB_LOG, CALLBACK(note), NULL },
        { SASL_CB_LIST_END, NULL, NULL },
    };
    chosen = backend;
    int result = sasl_server_init(callbacks, NULL);
    if (result == SASL_OK)
        result = sasl_auxprop_add_plugin(PLUGIN, plug_in);
    if (result != SASL_OK)
        log_say(LOG_ERROR, "error", "libsasl2 cannot be used: %s; nobody can log in", sasl_errstring(result, NULL, NULL));
    return result == SASL_OK;
}

void attempt_teardown(void)
{
    sasl_server_done();
}

/* Says that TLS carries the exchange, and to which connection SCRAM is to be bound. */
static int secure(struct attempt *attempt, const struct mechanism *mechanism, struct span binding)
{
    const sasl_ssf_t ssf = EXTERNAL_SSF;
    const sasl_security_properties_t properties = { .max_ssf = 0, .maxbufsize = 0 };
    int result = sasl_setprop(attempt->connection, SASL_SEC_PROPS, &properties);
    if (result == SASL_OK)
        result = sasl_setprop(attempt->connection, SASL_SSF_EXTERNAL, &ssf);
    if (result != SASL_OK || !binding.n || binding.n > BINDING_SIZE)
        return result;
    memcpy(attempt->binding_bytes, binding.p, binding.n);
    attempt->binding = (sasl_channel_binding_t){ BINDING_NAME, mechanism->binds, binding.n, attempt->binding_bytes };
    return sasl_setprop(attempt->connection, SASL_CHANNEL_BINDING, &attempt->binding);
}

/* The last one is for the user file only: the other backends check passwords by themselves. */
static void set_callbacks(struct attempt *attempt)
{
    const struct {
        unsigned long id;
        int (*proc)(void);
    } rows[] = {
        { SASL_CB_GETOPT, CALLBACK(get_option) },
        { SASL_CB_CANON_USER, CALLBACK(canonicalise) },
        { SASL_CB_PROXY_POLICY, CALLBACK(authorise) },
        { SASL_CB_LOG, CALLBACK(note) },
        { SASL_CB_SERVER_USERDB_CHECKPASS, CALLBACK(check_password) },
    };
    size_t count = sizeof rows / sizeof *rows - (attempt->ground->backend != CONF_BACKEND_FILE);
    _Static_assert(sizeof rows / sizeof *rows < NCALLBACKS, "one more ends the list");
    for (size_t i = 0; i < count; i++)
        attempt->callbacks[i] = (sasl_callback_t){ rows[i].id, rows[i].proc, attempt };
    attempt->callbacks[count] = (sasl_callback_t){ .id = SASL_CB_LIST_END };
}

struct attempt *attempt_new(const struct attempt_ground *ground, struct span name, struct span binding)
{
    const struct mechanism *mechanism = find_mechanism(name);
    if (!mechanism)
        return NULL;
    struct attempt *attempt = text_zalloc(sizeof *attempt);
    attempt->ground = ground;
    attempt->mechanism = mechanism->name;
    attempt->list = mechanism->list;
    set_callbacks(attempt);
    int result = sasl_server_new("smtp", ground->conf->hostname, NULL, NULL, NULL, attempt->callbacks, SASL_SUCCESS_DATA,
                                 &attempt->connection);
    if (result == SASL_OK)
        result = secure(attempt, mechanism, binding);
    if (result != SASL_OK) {
        log_say(LOG_WARNING, "error", "libsasl2 begins no exchange: %s; the client is asked to try later",
                sasl_errstring(result, NULL, NULL));
        attempt_free(&attempt);
    }
    return attempt;
}

void attempt_free(struct attempt **attempt)
{
    if (!*attempt)
        return;
    if ((*attempt)->connection)
        sasl_dispose(&(*attempt)->connection);
    OPENSSL_cleanse(*attempt, sizeof **attempt);
    free(*attempt);
    *attempt = NULL;
}

/* Does RESULT of libsasl2 say nothing about the password, since it could not be checked? */
static bool is_temporary(int result)
{
    static const int temporary[] = { SASL_FAIL, SASL_NOMEM, SASL_TRYAGAIN, SASL_UNAVAIL, SASL_BADPARAM, SASL_NOTINIT };
    for (size_t i = 0; i < sizeof temporary / sizeof *temporary; i++)
        if (temporary[i] == result)
            return true;
    return false;
}

/* What RESULT of libsasl2 means. A proof that does not hold together (the nonce or the channel of another exchange) comes as
 * SASL_BADPROT, but is a failed login all the same. */
static enum attempt_state judge(struct attempt *attempt, int result)
{
    attempt->result = result;
    if (attempt->answered && attempt->answer == CREDENTIALS_UNAVAILABLE)
        return ATTEMPT_TEMPORARY;
    switch (result) {
    case SASL_OK:
        /* A decoy that is proved is impossible; it is looked at because nothing else stands between a bug and a stranger. */
        return attempt->answered && attempt->answer != CREDENTIALS_RIGHT ? ATTEMPT_REFUSED : ATTEMPT_ACCEPTED;
    case SASL_CONTINUE:
        return ATTEMPT_CONTINUES;
    case SASL_BADPROT:
        return attempt->challenged ? ATTEMPT_REFUSED : ATTEMPT_MALFORMED;
    case SASL_NOMECH:
        return ATTEMPT_MECHANISM;
    default:
        return is_temporary(result) ? ATTEMPT_TEMPORARY : ATTEMPT_REFUSED;
    }
}

/* Where libsasl2 has RESULT and gave OUT; notes that a SCRAM challenge with the salt goes out. */
static enum attempt_state after(struct attempt *attempt, int result, const char *out, unsigned size, struct span *ret_out)
{
    enum attempt_state state = judge(attempt, result);
    *ret_out = out ? span_make(out, size) : SPAN("");
    if (state == ATTEMPT_CONTINUES && find_mechanism(span_of(attempt->mechanism))->proves && ret_out->n)
        attempt->challenged = true;
    return state;
}

enum attempt_state attempt_begin(struct attempt *attempt, bool has_initial, struct span initial, struct span *ret_out)
{
    const char *out = NULL;
    unsigned size = 0;
    int result = sasl_server_start(attempt->connection, attempt->mechanism, has_initial ? initial.p : NULL,
                                   has_initial ? (unsigned)initial.n : 0, &out, &size);
    return after(attempt, result, out, size, ret_out);
}

enum attempt_state attempt_respond(struct attempt *attempt, struct span response, struct span *ret_out)
{
    const char *out = NULL;
    unsigned size = 0;
    int result = sasl_server_step(attempt->connection, response.p, (unsigned)response.n, &out, &size);
    return after(attempt, result, out, size, ret_out);
}

struct span attempt_account(const struct attempt *attempt)
{
    const void *account = NULL;
    if (sasl_getprop(attempt->connection, SASL_AUTHUSER, &account) != SASL_OK)
        return SPAN("");
    return span_of(account);
}

struct span attempt_claimed(const struct attempt *attempt)
{
    return span_of(attempt->claimed);
}

bool attempt_name(const struct attempt *attempt, char account[SCRAM_NAME_SIZE])
{
    return name_account(attempt->ground, attempt_claimed(attempt), account);
}

const char *attempt_reason(const struct attempt *attempt)
{
    static const char *const answers[] = {
        [CREDENTIALS_WRONG] = "wrong password",
        [CREDENTIALS_UNKNOWN] = "no such account",
        [CREDENTIALS_UNAVAILABLE] = "the user file cannot be read",
    };
    static const char *const silent[] = {
        [CONF_BACKEND_FILE] = "libsasl2 fails",
        [CONF_BACKEND_SASLDB] = "the sasldb cannot be read; is the user postern-auth in the group sasl?",
        [CONF_BACKEND_SASLAUTHD] = "saslauthd does not answer; does it run, and is the user postern-auth in the group sasl?",
    };
    static const struct {
        int result;
        const char *reason;
    } reasons[] = {
        { SASL_BADPROT, "not what the mechanism wants" },
        { SASL_NOMECH, "no such mechanism" },
        { SASL_NOUSER, "no such account" },
    };
    if (attempt->for_other)
        return "wants to act for another account";
    if (attempt->nameless)
        return "this can be no account's name";
    if (attempt->proved)
        return "not bound to this TLS connection, as it could be";
    if (attempt->challenged && attempt->result == SASL_BADPROT)
        return "the proof is malformed or of another TLS connection";
    if (attempt->answered && attempt->answer != CREDENTIALS_RIGHT)
        return answers[attempt->answer];
    if (is_temporary(attempt->result))
        return silent[attempt->ground->backend];
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].result == attempt->result)
            return reasons[i].reason;
    return attempt->ground->backend == CONF_BACKEND_SASLAUTHD ? "wrong account or password" : "wrong password";
}

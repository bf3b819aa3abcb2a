/* Each verb is a row of a table. What is changed is changed under the lock of userlist.h; the password is asked for before the lock is
 * taken, since people type slowly, and what was looked at before is therefore looked at again. */
#include "user.h"

#include "../base/scram.h"
#include "../base/text.h"
#include "password.h"
#include "userlist.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DONE = 0, REFUSED = 1, USAGE = 2 };

/* One call of the command. */
struct call {
    const char *path; /* of the user file */
    char name[SCRAM_NAME_SIZE];
    bool json;
};

/* Says on standard error why nothing was changed. Returns REFUSED. */
__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("postern: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return REFUSED;
}

static int refuse_missing(const struct call *call)
{
    return refuse("there is no account %s in %s", call->name, call->path);
}

static int refuse_existing(const struct call *call)
{
    return refuse("there is an account %s in %s already; `postern user passwd %s` gives it another password", call->name,
                  call->path, call->name);
}

/* Prints VALUE, which it takes over, as one line of JSON. */
static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(value);
}

/* Says what was done: WHAT is the JSON's word, PREDICATE is for people, behind the account's name. */
static int done(const struct call *call, const char *what, const char *predicate)
{
    if (call->json) {
        print_json(json_pack("{s:s, s:s, s:s}", "account", call->name, "done", what, "file", call->path));
        return DONE;
    }
    printf("Account %s %s; no restart is needed.\n", call->name, predicate);
    return DONE;
}

/* Is the account there, before anything is asked? -1 where the file cannot be read. */
static int look(const struct call *call)
{
    struct userlist list;
    int has = userlist_open(&list, call->path, false) ? userlist_has(&list, call->name) : -1;
    if (has < 0)
        refuse("%s", list.error);
    userlist_close(&list);
    return has;
}

/* Gets a password and makes a verifier of it. False where there is none, with the reason said. */
static bool ask_verifier(const struct call *call, struct scram_verifier *ret_verifier)
{
    struct buffer password;
    bool made = false;
    buffer_init(&password, SCRAM_PASSWORD_MAX);
    enum password_answer answer = password_ask(STDIN_FILENO, call->name, &password);
    if (answer == PASSWORD_NONE)
        refuse("no password was given; nothing is changed");
    else if (answer == PASSWORD_DIFFERS)
        refuse("the two passwords differ; nothing is changed");
    else if (password.overflow || !scram_password(buffer_span(&password)))
        refuse("a password has 1 to %d bytes of UTF-8 and no control characters; nothing is changed", SCRAM_PASSWORD_MAX);
    else if (!scram_make(buffer_span(&password), SCRAM_ITERATIONS_DEFAULT, ret_verifier))
        refuse("the password cannot be hashed: OpenSSL fails; nothing is changed");
    else
        made = true;
    buffer_wipe(&password);
    return made;
}

/* Opens the file under its lock, finds the account there or not as WANTED, changes and saves. VERIFIER NULL removes. */
static int change(const struct call *call, bool wanted, const struct scram_verifier *verifier)
{
    struct userlist list;
    int status = DONE;
    if (!userlist_open(&list, call->path, true))
        status = refuse("%s; nothing is changed", list.error);
    else if (userlist_has(&list, call->name) != wanted)
        status = wanted ? refuse_missing(call) : refuse_existing(call);
    else if (!(verifier ? userlist_set(&list, call->name, verifier) : userlist_remove(&list, call->name)) ||
             !userlist_save(&list))
        status = refuse("%s", list.error);
    userlist_close(&list);
    return status;
}

static int add(const struct call *call)
{
    struct scram_verifier verifier;
    int has = look(call);
    if (has)
        return has < 0 ? REFUSED : refuse_existing(call);
    if (!ask_verifier(call, &verifier))
        return REFUSED;
    int status = change(call, false, &verifier);
    OPENSSL_cleanse(&verifier, sizeof verifier);
    return status == DONE ? done(call, "added", "is added and can log in now") : status;
}

static int passwd(const struct call *call)
{
    struct scram_verifier verifier;
    int has = look(call);
    if (has <= 0)
        return has < 0 ? REFUSED : refuse_missing(call);
    if (!ask_verifier(call, &verifier))
        return REFUSED;
    int status = change(call, true, &verifier);
    OPENSSL_cleanse(&verifier, sizeof verifier);
    return status == DONE ? done(call, "changed", "has its new password from now on") : status;
}

static int remove_account(const struct call *call)
{
    int status = change(call, true, NULL);
    return status == DONE ? done(call, "removed", "is removed and cannot log in any more") : status;
}

/* What `list` gathers. */
struct listing {
    const char *only; /* "" for all */
    json_t *names;
};

static void gather(void *context, const char *name)
{
    struct listing *listing = context;
    if (!*listing->only || strcmp(listing->only, name) == 0)
        json_array_append_new(listing->names, json_string(name));
}

static int list_accounts(const struct call *call)
{
    struct userlist list;
    struct listing listing = { call->name, json_array() };
    size_t i;
    json_t *name;
    bool opened = userlist_open(&list, call->path, false);
    if (opened)
        userlist_each(&list, gather, &listing);
    else
        refuse("%s", list.error);
    userlist_close(&list);
    bool found = opened && (!*call->name || json_array_size(listing.names));
    if (opened && call->json)
        print_json(json_incref(listing.names));
    else if (opened)
        json_array_foreach(listing.names, i, name) puts(json_string_value(name));
    if (opened && !found)
        refuse_missing(call);
    json_decref(listing.names);
    return found ? DONE : REFUSED;
}

/* The name that is most like another. */
struct likeness {
    const char *name;
    char nearest[SCRAM_NAME_SIZE];
    unsigned best;
};

static void compare(void *context, const char *name)
{
    struct likeness *likeness = context;
    unsigned far = text_distance(span_of(likeness->name), span_of(name));
    if (far >= likeness->best)
        return;
    likeness->best = far;
    text_copy(likeness->nearest, sizeof likeness->nearest, span_of(name));
}

bool user_is_missing(const struct conf *conf, const char *name, char ret_nearest[SCRAM_NAME_SIZE])
{
    struct userlist list;
    char normal[SCRAM_NAME_SIZE];
    if (conf->auth.backend != CONF_BACKEND_FILE)
        return false;
    bool named = scram_name(span_of(name), normal);
    struct likeness likeness = { .name = named ? normal : name, .best = strlen(name) < 4 ? 2 : 3 };
    bool missing = userlist_open(&list, conf->auth.file, false) && list.exists && !(named && userlist_has(&list, normal));
    if (missing)
        userlist_each(&list, compare, &likeness);
    userlist_close(&list);
    text_copy(ret_nearest, SCRAM_NAME_SIZE, span_of(likeness.nearest));
    return missing;
}

static const struct verb {
    const char *name;
    bool needs_name;
    int (*run)(const struct call *call);
} verbs[] = {
    { "add", true, add },
    { "passwd", true, passwd },
    { "remove", true, remove_account },
    { "list", false, list_accounts },
};

/* Says what does VERB to NAME where accounts are in another store. */
static int refuse_elsewhere(const struct conf *conf, const char *verb, const char *name)
{
    static const struct {
        const char *verb, *tool;
    } sasldb[] = { { "add", "saslpasswd2 -c" }, { "passwd", "saslpasswd2" }, { "remove", "saslpasswd2 -d" } };
    if (conf->auth.backend == CONF_BACKEND_SASLAUTHD)
        return refuse("the accounts are where saslauthd looks (auth { backend = saslauthd }): use the tools of PAM, LDAP or what "
                      "MECHANISMS in /etc/default/saslauthd says");
    bool has_realm = strchr(name, '@');
    for (size_t i = 0; i < sizeof sasldb / sizeof *sasldb; i++)
        if (strcmp(sasldb[i].verb, verb) == 0)
            return refuse("the accounts are in sasldb (auth { backend = sasldb }): type %s%s%s %s", sasldb[i].tool,
                          has_realm ? "" : " -u ", has_realm ? "" : conf->hostname, name);
    return refuse("the accounts are in sasldb (auth { backend = sasldb }): type sasldblistusers2");
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; name && i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int user_run(const struct conf *conf, const char *verb, const char *name, bool json)
{
    struct call call = { .path = conf->auth.file, .json = json };
    const struct verb *found = find_verb(verb);
    bool named = name && *name;
    if (!found || (found->needs_name && !named)) {
        fputs("usage: postern user add|passwd|remove NAME, postern user list [NAME]\n", stderr);
        return USAGE;
    }
    if (named && !scram_name(span_of(name), call.name))
        return refuse(
            "this cannot be an account's name: it has 1 to %d bytes of UTF-8 without spaces, control characters and ':', "
            "does not begin with '#', and is not \"*\"",
            SCRAM_NAME_SIZE - 1);
    return conf->auth.backend == CONF_BACKEND_FILE ? found->run(&call) : refuse_elsewhere(conf, verb, named ? name : "");
}

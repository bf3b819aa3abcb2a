/* The auth role's service over a socket pair, as submission speaks to it, with libsasl2's own client on the other side. */
#include "../../../relay/auth/service.h"
#include "../../../relay/auth/attempt.h"
#include "../../../relay/auth/lockout.h"
#include "../../../relay/base/ipc.h"
#include "../../../relay/base/text.h"
#include "../../../relay/channels/submission_auth.h"

#include "../unit.h"

#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ITERATIONS 8192
#define BINDING    "0123456789abcdef0123456789abcdef"

static char *mechanisms[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };

/* The submission process's end. */
static struct {
    struct loop *loop;
    struct conf conf;
    struct service *service;
    struct ipc *ipc;
    char folder[64];
    char users[96];
    uint64_t ticket;
    struct netaddr client;
    bool tls;
    bool challenged; /* an answer came, and it was a challenge */
    bool done;       /* an answer came, and it was the end */
    struct auth_challenge challenge;
    struct auth_done end;
} t;

static void received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)context;
    (void)size;
    assert_int_equal(fd, -1);
    if (type == AUTH_CHALLENGE) {
        t.challenge = *(const struct auth_challenge *)body;
        t.challenged = true;
    } else {
        assert_int_equal(type, AUTH_DONE);
        t.end = *(const struct auth_done *)body;
        t.done = true;
    }
}

static void write_users(const char *text)
{
    char other[128];
    text_format(other, sizeof other, "%s.new", t.users);
    FILE *file = fopen(other, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(other, 0600), 0);
    assert_int_equal(rename(other, t.users), 0);
}

static void add_line(char *text, size_t size, const char *name, const char *password)
{
    struct scram_verifier verifier;
    char printed[SCRAM_TEXT_SIZE];
    assert_true(scram_make(span_of(password), ITERATIONS, &verifier));
    scram_print(&verifier, printed);
    size_t at = strlen(text);
    assert_true(text_format(text + at, size - at, "%s:%s\n", name, printed));
}

static void write_people(void)
{
    char text[2048] = "# people\n\n";
    add_line(text, sizeof text, "alice", "wonder land");
    add_line(text, sizeof text, "bob@example.net",
             "b\xc3\xbc"
             "cher");
    write_users(text);
}

/* A service with the settings as they are now, in place of the one that there was. */
static void service_again(void)
{
    int fds[2];
    ipc_free(&t.ipc);
    service_free(&t.service);
    t.service = service_new(t.loop, &t.conf);
    assert_true(ipc_pair(fds));
    service_peer(t.service, 3, fds[0]);
    t.ipc = ipc_new(t.loop, fds[1], &submission_auth_channel, IPC_FRONT, received, NULL, NULL);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    text_copy(t.folder, sizeof t.folder, SPAN("/tmp/postern-auth-XXXXXX"));
    assert_non_null(mkdtemp(t.folder));
    text_format(t.users, sizeof t.users, "%s/users", t.folder);
    write_people();
    t.loop = loop_new();
    t.conf.hostname = "relay.example.net";
    t.conf.auth = (struct conf_auth){ .backend = CONF_BACKEND_FILE, .file = t.users, .mechanisms = { mechanisms, 4 } };
    t.conf.auth.lockout_failures = 20;
    t.conf.auth.lockout_ms = 60000;
    t.conf.auth.cache_ms = 60000;
    service_again();
    t.tls = true;
    assert_true(netaddr_parse(SPAN("192.0.2.1"), &t.client));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ipc_free(&t.ipc);
    service_free(&t.service);
    loop_free(&t.loop);
    unlink(t.users);
    rmdir(t.folder);
    return 0;
}

/* Waits for the answer. */
static void wait(void)
{
    t.challenged = t.done = false;
    while (!t.challenged && !t.done)
        loop_once(t.loop, true);
}

static void begin(const char *mechanism, bool has_initial, const char *data, size_t size, const char *binding)
{
    static struct auth_begin begin;
    begin = (struct auth_begin){ .ticket = ++t.ticket, .client = t.client, .tls = t.tls, .has_initial = has_initial };
    text_copy(begin.mechanism, sizeof begin.mechanism, span_of(mechanism));
    begin.binding_size = (uint8_t)strlen(binding);
    memcpy(begin.binding, binding, begin.binding_size);
    begin.data_size = (uint32_t)size;
    if (size)
        memcpy(begin.data, data, size);
    assert_true(ipc_send(t.ipc, AUTH_BEGIN, &begin, offsetof(struct auth_begin, data) + size, -1));
}

static void respond(const char *data, size_t size)
{
    static struct auth_response response;
    response = (struct auth_response){ .ticket = t.ticket, .data_size = (uint32_t)size };
    if (size)
        memcpy(response.data, data, size);
    assert_true(ipc_send(t.ipc, AUTH_RESPONSE, &response, offsetof(struct auth_response, data) + size, -1));
}

static enum auth_verdict plain(const char *user, const char *password)
{
    char data[3000] = "";
    size_t size = 1;
    memcpy(data + size, user, strlen(user) + 1);
    size += strlen(user) + 1;
    memcpy(data + size, password, strlen(password));
    size += strlen(password);
    begin("PLAIN", true, data, size, "");
    wait();
    assert_true(t.done);
    return t.end.verdict;
}

/* What the client says when libsasl2 asks. */
struct person {
    const char *user;
    const char *authzid;
    const char *password;
};

static int give_name(void *context, int id, const char **result, unsigned *size)
{
    const struct person *person = context;
    *result = id == SASL_CB_AUTHNAME ? person->user : person->authzid;
    if (size)
        *size = (unsigned)strlen(*result);
    return SASL_OK;
}

static int give_password(sasl_conn_t *connection, void *context, int id, sasl_secret_t **result)
{
    static union {
        sasl_secret_t secret;
        char room[sizeof(sasl_secret_t) + 256];
    } secret;
    const struct person *person = context;
    (void)connection;
    (void)id;
    secret.secret.len = strlen(person->password);
    memcpy(secret.secret.data, person->password, secret.secret.len + 1);
    *result = &secret.secret;
    return SASL_OK;
}

struct login {
    const char *mechanism; /* more than one, the best first: the client believes that it chooses */
    struct person person;
    const char *client_binding;
    const char *server_binding;
    enum auth_verdict verdict;
};

/* Goes through an exchange with libsasl2's client. */
static void log_in(const struct login *login)
{
    struct person person = login->person;
    const sasl_callback_t callbacks[] = {
        { SASL_CB_AUTHNAME, (int (*)(void))(void (*)(void))give_name, &person },
        { SASL_CB_USER, (int (*)(void))(void (*)(void))give_name, &person },
        { SASL_CB_PASS, (int (*)(void))(void (*)(void))give_password, &person },
        { SASL_CB_LIST_END, NULL, NULL },
    };
    sasl_channel_binding_t binding = { "tls-exporter", 0, strlen(login->client_binding),
                                       (const unsigned char *)login->client_binding };
    const sasl_security_properties_t properties = { .maxbufsize = 0 };
    const sasl_ssf_t ssf = 256;
    sasl_conn_t *client = NULL;
    const char *out = NULL, *chosen = NULL;
    unsigned size = 0;
    assert_int_equal(sasl_client_new("smtp", t.conf.hostname, NULL, NULL, callbacks, SASL_SUCCESS_DATA, &client), SASL_OK);
    sasl_setprop(client, SASL_SEC_PROPS, &properties);
    sasl_setprop(client, SASL_SSF_EXTERNAL, &ssf);
    if (binding.len)
        sasl_setprop(client, SASL_CHANNEL_BINDING, &binding);
    int result = sasl_client_start(client, login->mechanism, NULL, &out, &size, &chosen);
    assert_true(result == SASL_OK || result == SASL_CONTINUE);
    struct span mechanism = span_of(login->mechanism), first = span_cut(&mechanism, ' ');
    char name[32];
    text_copy(name, sizeof name, first);
    begin(name, out != NULL, out, size, login->server_binding);
    for (wait(); t.challenged; wait()) {
        result = sasl_client_step(client, t.challenge.data, t.challenge.data_size, NULL, &out, &size);
        assert_true(result == SASL_OK || result == SASL_CONTINUE);
        respond(out, size);
    }
    assert_int_equal(t.end.verdict, login->verdict);
    if (t.end.verdict == AUTH_ACCEPTED && t.end.data_size) /* the server proves itself too */
        assert_int_equal(sasl_client_step(client, t.end.data, t.end.data_size, NULL, &out, &size), SASL_OK);
    sasl_dispose(&client);
}

static void logs_in(void **state)
{
    static const struct login logins[] = {
        { "PLAIN", { "alice", "", "wonder land" }, "", "", AUTH_ACCEPTED },
        { "PLAIN", { "Alice", "aLICE", "wonder land" }, "", "", AUTH_ACCEPTED },
        { "PLAIN", { "alice", "bob@example.net", "wonder land" }, "", "", AUTH_REFUSED },
        { "PLAIN", { "alice", "", "wonderland" }, "", "", AUTH_REFUSED },
        { "PLAIN", { "nobody", "", "wonder land" }, "", "", AUTH_REFUSED },
        { "PLAIN",
          { "bob@example.net", "",
            "b\xc3\xbc"
            "cher" },
          "",
          "",
          AUTH_ACCEPTED },
        { "LOGIN", { "alice", "", "wonder land" }, "", "", AUTH_ACCEPTED },
        { "LOGIN", { "alice", "", "x" }, "", "", AUTH_REFUSED },
        { "LOGIN", { "a b", "", "x" }, "", "", AUTH_REFUSED },
        { "SCRAM-SHA-256", { "alice", "", "wonder land" }, "", "", AUTH_ACCEPTED },
        { "SCRAM-SHA-256", { "ALICE", "", "wonder land" }, "", BINDING, AUTH_ACCEPTED },
        { "SCRAM-SHA-256", { "alice", "", "x" }, "", "", AUTH_REFUSED },
        { "SCRAM-SHA-256", { "nobody", "", "x" }, "", "", AUTH_REFUSED },
        { "SCRAM-SHA-256", { "alice", "bob@example.net", "wonder land" }, "", "", AUTH_REFUSED },
        { "SCRAM-SHA-256-PLUS", { "alice", "", "wonder land" }, BINDING, BINDING, AUTH_ACCEPTED },
        { "SCRAM-SHA-256-PLUS", { "alice", "", "x" }, BINDING, BINDING, AUTH_REFUSED },
        { "SCRAM-SHA-256-PLUS", { "alice", "", "wonder land" }, "another channel of the same sizeXX", BINDING, AUTH_REFUSED },
        { "SCRAM-SHA-256-PLUS", { "alice", "", "wonder land" }, BINDING, "", AUTH_MECHANISM },
        /* The client could bind and says that we cannot: true without a binding, else somebody took -PLUS out of the offer. */
        { "SCRAM-SHA-256 PLAIN", { "alice", "", "wonder land" }, BINDING, "", AUTH_ACCEPTED },
        { "SCRAM-SHA-256 PLAIN", { "alice", "", "wonder land" }, BINDING, BINDING, AUTH_REFUSED },
    };
    (void)state;
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        print_message("%s %s\n", logins[i].mechanism, logins[i].person.user);
        log_in(&logins[i]);
        assert_int_equal(service_exchanges(t.service), 0);
    }
    log_in(&logins[1]);
    assert_string_equal(t.end.account, "alice");
    log_in(&logins[14]);
    assert_string_equal(t.end.account, "alice");
}

/* Responses that libsasl2's client would never send. */
static void bears_odd_responses(void **state)
{
#define BYTES(literal) literal, sizeof(literal) - 1
    static const struct {
        const char *mechanism;
        const char *data;
        size_t size;
        enum auth_verdict verdict;
    } cases[] = {
        { "PLAIN", BYTES(""), AUTH_MALFORMED },
        { "PLAIN", BYTES("alice"), AUTH_MALFORMED },
        { "PLAIN", BYTES("alice\0wonder land"), AUTH_MALFORMED },
        { "PLAIN", BYTES("\0\0"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0\0\0"), AUTH_MALFORMED },
        { "PLAIN", BYTES("\0alice\0"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0alice\0wonder land"), AUTH_ACCEPTED },
        { "PLAIN", BYTES("\0alice\0wonder land\0"), AUTH_MALFORMED },
        { "PLAIN", BYTES("\0alice\0wonder land\0x"), AUTH_MALFORMED },
        { "PLAIN", BYTES("alice\0alice\0wonder land"), AUTH_ACCEPTED },
        { "PLAIN", BYTES("bob\0alice\0wonder land"), AUTH_REFUSED },
        { "PLAIN", BYTES("\r\n\0alice\0wonder land"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0alice\r\nx\0wonder land"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0 alice\0wonder land"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0:\0wonder land"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0\xff\xfe\0wonder land"), AUTH_REFUSED },
        { "PLAIN", BYTES("\0alice\0\xff"), AUTH_REFUSED },
        { "SCRAM-SHA-256", BYTES("n,,n=alice"), AUTH_MALFORMED },
        { "SCRAM-SHA-256", BYTES("n,,n=al=ice,r=abc"), AUTH_MALFORMED },
        { "SCRAM-SHA-256", BYTES("n,,m=x,n=alice,r=abc"), AUTH_MALFORMED },
        { "SCRAM-SHA-256", BYTES("n,,n=ali\0ce,r=abc"), AUTH_MALFORMED },
        { "SCRAM-SHA-256", BYTES("x,,n=alice,r=abc"), AUTH_MALFORMED },
        { "SCRAM-SHA-256", BYTES("p=tls-unique,"), AUTH_MALFORMED },
        { "CRAM-MD5", BYTES(""), AUTH_MECHANISM },
        { "DIGEST-MD5", BYTES(""), AUTH_MECHANISM },
        { "SCRAM-SHA-1", BYTES("n,,n=alice,r=abc"), AUTH_MECHANISM },
        { "EXTERNAL", BYTES(""), AUTH_MECHANISM },
        { "ANONYMOUS", BYTES("x"), AUTH_MECHANISM },
        { "plain", BYTES("\0alice\0wonder land"), AUTH_MECHANISM },
        { "", BYTES(""), AUTH_MECHANISM },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("case %zu\n", i);
        begin(cases[i].mechanism, true, cases[i].data, cases[i].size, "");
        wait();
        assert_true(t.done);
        assert_int_equal(t.end.verdict, cases[i].verdict);
    }
}

/* LOGIN with and without initial response, with names and passwords that are too long. */
static void bears_odd_logins(void **state)
{
    static char endless[AUTH_DATA_MAX];
    (void)state;
    memset(endless, 'x', sizeof endless);
    begin("LOGIN", false, "", 0, "");
    wait();
    assert_memory_equal(t.challenge.data, "Username:", 9);
    respond("alice", 5);
    wait();
    assert_memory_equal(t.challenge.data, "Password:", 9);
    respond("wonder land", 11);
    wait();
    assert_int_equal(t.end.verdict, AUTH_ACCEPTED);
    begin("LOGIN", true, "alice", 5, "");
    wait();
    assert_memory_equal(t.challenge.data, "Password:", 9);
    respond("wonder land\0x", 13);
    wait();
    assert_int_equal(t.end.verdict, AUTH_REFUSED);
    begin("LOGIN", true, endless, 1000, "");
    wait();
    respond(endless, sizeof endless);
    wait();
    assert_int_equal(t.end.verdict, AUTH_MALFORMED);
    begin("LOGIN", true, endless, sizeof endless, "");
    wait();
    assert_int_equal(t.end.verdict, AUTH_MALFORMED);
    begin("PLAIN", true, endless, sizeof endless, "");
    wait();
    assert_int_equal(t.end.verdict, AUTH_MALFORMED);
    endless[0] = endless[2] = '\0';
    begin("PLAIN", true, endless, sizeof endless, "");
    wait();
    assert_int_equal(t.end.verdict, AUTH_REFUSED);
}

static void needs_tls(void **state)
{
    (void)state;
    t.tls = false;
    assert_int_equal(plain("alice", "wonder land"), AUTH_MECHANISM);
    t.tls = true;
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
}

static void offers_what_is_configured(void **state)
{
    (void)state;
    t.conf.auth.mechanisms.count = 1;
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
    begin("LOGIN", false, "", 0, "");
    wait();
    assert_true(t.done);
    assert_int_equal(t.end.verdict, AUTH_MECHANISM);
}

/* Whatever somebody adds to a name, policy hears of one account; of a refused login too, since it counts guesses. */
static void knows_an_account_by_one_name(void **state)
{
    static const struct {
        enum conf_auth_backend backend;
        bool keep;
        const char *given, *known;
    } cases[] = {
        { CONF_BACKEND_FILE, false, "Carol", "carol" },
        { CONF_BACKEND_FILE, false, "carol@relay.example.net", "carol@relay.example.net" }, /* another line of the file */
        { CONF_BACKEND_SASLDB, false, "carol@relay.example.net", "carol" },
        { CONF_BACKEND_SASLDB, false, "CAROL@Relay.Example.NET", "carol" },
        { CONF_BACKEND_SASLDB, false, "carol@example.net", "carol@example.net" },
        { CONF_BACKEND_SASLDB, false, "carol@relay.example.net.", "carol@relay.example.net." },
        { CONF_BACKEND_SASLDB, false, "carol@relay.example.net@relay.example.net", "carol@relay.example.net@relay.example.net" },
        { CONF_BACKEND_SASLDB, false, "@relay.example.net", "" },
        { CONF_BACKEND_SASLAUTHD, false, "carol@relay.example.net", "carol" },
        { CONF_BACKEND_SASLAUTHD, false, "carol@anything@else", "carol" },
        { CONF_BACKEND_SASLAUTHD, false, "carol@", "carol" },
        { CONF_BACKEND_SASLAUTHD, false, "c\xc3\xa4rol", "" },
        { CONF_BACKEND_SASLAUTHD, true, "Carol@Example.net", "carol@example.net" },
        { CONF_BACKEND_SASLAUTHD, true, "carol@", "carol" },
    };
    (void)state;
    t.conf.auth.lockout_failures = 1000;
    for (size_t i = 0; i < COUNT(cases); i++) {
        t.conf.auth.backend = cases[i].backend;
        t.conf.auth.keep_realm = cases[i].keep;
        service_again();
        plain(cases[i].given, "wrong");
        if (strcmp(t.end.account, cases[i].known) != 0)
            fail_msg("%s: %s", cases[i].given, t.end.account);
    }
}

/* The file is looked at on each login; the remembered password of an account that changed or went is worth nothing. */
static void follows_the_file(void **state)
{
    char text[1024] = "";
    (void)state;
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
    assert_int_equal(plain("carol", "carol's"), AUTH_REFUSED);
    add_line(text, sizeof text, "carol", "carol's");
    write_users(text);
    assert_int_equal(plain("carol", "carol's"), AUTH_ACCEPTED);
    assert_int_equal(plain("alice", "wonder land"), AUTH_REFUSED);
    text[0] = '\0';
    add_line(text, sizeof text, "carol", "another");
    write_users(text);
    assert_int_equal(plain("carol", "carol's"), AUTH_REFUSED);
    assert_int_equal(plain("carol", "another"), AUTH_ACCEPTED);
    unlink(t.users);
    assert_int_equal(plain("carol", "another"), AUTH_TEMPORARY);
    begin("SCRAM-SHA-256", true, "n,,n=carol,r=abcdef", 19, "");
    wait();
    assert_int_equal(t.end.verdict, AUTH_TEMPORARY);
    assert_int_equal(t.end.delay_ms, 0);
    write_people();
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
}

/* Takes the salt and iterations out of a SCRAM challenge. */
static void ask_salt(const char *name, char salt[256])
{
    char first[128];
    text_format(first, sizeof first, "n,,n=%s,r=abcdef", name);
    begin("SCRAM-SHA-256", true, first, strlen(first), "");
    wait();
    assert_true(t.challenged);
    struct span text = span_make(t.challenge.data, t.challenge.data_size);
    span_cut(&text, ',');
    assert_true(text_copy(salt, 256, text));
}

static void hides_who_is_unknown(void **state)
{
    char known[256], first[256], again[256], other[256];
    (void)state;
    ask_salt("alice", known);
    ask_salt("nobody", first);
    ask_salt("NoBody", again);
    ask_salt("nobody2", other);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    assert_int_equal(strlen(first), strlen(known));
    assert_string_equal(strchr(first, ','), strchr(known, ','));
}

/* How long the quickest of TIMES logins took, in milliseconds: what others on this machine cannot have added to. */
static double quickest_ms(const char *user, const char *password, int times)
{
    double least = 1e9;
    for (int i = 0; i < times; i++) {
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        plain(user, password);
        clock_gettime(CLOCK_MONOTONIC, &to);
        double took = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
        least = took < least ? took : least;
    }
    return least;
}

static void takes_as_long_for_nobody(void **state)
{
    (void)state;
    plain("alice", "wonder land");
    double cached = quickest_ms("alice", "wonder land", 8);
    double wrong = quickest_ms("alice", "wrong", 9);
    double unknown = quickest_ms("nobody", "wrong", 9);
    print_message("remembered %.2f ms, wrong %.2f ms, unknown %.2f ms\n", cached, wrong, unknown);
    assert_true(unknown < wrong * 2 && wrong < unknown * 2);
    assert_true(cached * 2 < wrong);
}

static void slows_down_and_locks_out(void **state)
{
    static const uint32_t delays[] = { 1000, 2000, 4000, 5000, 5000 };
    (void)state;
    assert_true(netaddr_parse(SPAN("2001:db8::1"), &t.client));
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(plain("alice", "wrong"), AUTH_REFUSED);
        assert_int_equal(t.end.delay_ms, delays[i < 4 ? i : 4]);
    }
    assert_int_equal(plain("alice", "wonder land"), AUTH_LOCKED);
    assert_true(netaddr_parse(SPAN("2001:db8::ffff:1"), &t.client)); /* the same /64 */
    assert_int_equal(plain("alice", "wonder land"), AUTH_LOCKED);
    assert_true(netaddr_parse(SPAN("2001:db8:0:1::1"), &t.client));
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
    assert_int_equal(t.end.delay_ms, 0);
}

/* From many addresses on one account: the right password is as good as a wrong one there, and its answer as late; other accounts, and
 * the address from which alice came before, are served. */
static void locks_an_account(void **state)
{
    (void)state;
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
    for (unsigned i = 0; i < 20 * LOCKOUT_ACCOUNT; i++) {
        t.client.bytes[2] = (uint8_t)(3 + i / 10);
        assert_int_equal(plain(i % 2 ? "alice" : "ALICE", "wrong"), AUTH_REFUSED);
    }
    t.client.bytes[2] = 99;
    assert_int_equal(plain("alice", "wonder land"), AUTH_LOCKED);
    uint32_t delay_ms = t.end.delay_ms;
    assert_true(delay_ms > 0);
    assert_int_equal(plain("alice", "wrong"), AUTH_LOCKED);
    assert_int_equal(t.end.delay_ms, delay_ms);
    assert_int_equal(plain("nobody", "wrong"), AUTH_REFUSED);
    assert_int_equal(plain("bob@example.net", "b\xc3\xbc"
                                              "cher"),
                     AUTH_ACCEPTED);
    t.client.bytes[2] = 2;
    assert_int_equal(plain("alice", "wonder land"), AUTH_ACCEPTED);
}

static void locks_out_in_the_middle(void **state)
{
    (void)state;
    begin("LOGIN", false, "", 0, "");
    wait();
    uint64_t early = t.ticket;
    for (size_t i = 0; i < 20; i++)
        plain("alice", "wrong");
    t.ticket = early;
    respond("alice", 5);
    wait();
    assert_int_equal(t.end.verdict, AUTH_LOCKED);
}

static void forgets_what_is_given_up(void **state)
{
    struct auth_cancel cancel;
    (void)state;
    begin("LOGIN", false, "", 0, "");
    wait();
    assert_int_equal(service_exchanges(t.service), 1);
    cancel.ticket = t.ticket;
    assert_true(ipc_send(t.ipc, AUTH_CANCEL, &cancel, sizeof cancel, -1));
    assert_true(ipc_send(t.ipc, AUTH_CANCEL, &cancel, sizeof cancel, -1));
    respond("alice", 5); /* to an exchange that is no more */
    wait();
    assert_int_equal(t.end.verdict, AUTH_TEMPORARY);
    assert_int_equal(t.end.ticket, t.ticket);
    assert_int_equal(service_exchanges(t.service), 0);
    begin("LOGIN", false, "", 0, "");
    wait();
    t.ticket--;
    begin("LOGIN", false, "", 0, ""); /* the same ticket again */
    wait();
    assert_int_equal(service_exchanges(t.service), 1);
    ipc_free(&t.ipc);
    while (service_exchanges(t.service))
        loop_once(t.loop, true);
}

static void keeps_a_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < SERVICE_EXCHANGES_MAX; i++) {
        begin("LOGIN", false, "", 0, "");
        wait();
        assert_true(t.challenged);
    }
    begin("LOGIN", false, "", 0, "");
    wait();
    assert_true(t.done);
    assert_int_equal(t.end.verdict, AUTH_TEMPORARY);
    assert_int_equal(service_exchanges(t.service), SERVICE_EXCHANGES_MAX);
}

/* Sizes in the message that are not those of the packet: nothing is read behind it. */
static void trusts_no_size(void **state)
{
    static struct auth_begin odd;
    (void)state;
    odd = (struct auth_begin){ .ticket = 77, .client = t.client, .tls = 1, .has_initial = 1, .data_size = AUTH_DATA_MAX };
    text_copy(odd.mechanism, sizeof odd.mechanism, SPAN("PLAIN"));
    assert_true(ipc_send(t.ipc, AUTH_BEGIN, &odd, offsetof(struct auth_begin, data) + 4, -1));
    odd.data_size = UINT32_MAX;
    assert_true(ipc_send(t.ipc, AUTH_BEGIN, &odd, sizeof odd, -1));
    odd.data_size = 0;
    odd.binding_size = 255;
    assert_true(ipc_send(t.ipc, AUTH_BEGIN, &odd, sizeof odd, -1));
    memset(odd.mechanism, 'A', sizeof odd.mechanism);
    memset(&odd.client, 0xff, sizeof odd.client);
    odd.binding_size = 0;
    assert_true(ipc_send(t.ipc, AUTH_BEGIN, &odd, sizeof odd, -1));
    wait();
    assert_int_equal(t.end.verdict, AUTH_MECHANISM);
    assert_int_equal(service_exchanges(t.service), 0);
}

static int client_plugins(void *context, const char *file, sasl_verify_type_t type)
{
    (void)context;
    (void)type;
    return strstr(file, "libscram.so") || strstr(file, "libplain.so") || strstr(file, "liblogin.so") ? SASL_OK : SASL_CONTINUE;
}

int main(void)
{
    static const sasl_callback_t callbacks[] = {
        { SASL_CB_VERIFYFILE, (int (*)(void))(void (*)(void))client_plugins, NULL },
        { SASL_CB_LIST_END, NULL, NULL },
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(logs_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bears_odd_responses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bears_odd_logins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(needs_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(offers_what_is_configured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_an_account_by_one_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(follows_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hides_who_is_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_as_long_for_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slows_down_and_locks_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locks_an_account, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locks_out_in_the_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgets_what_is_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_a_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trusts_no_size, set_up, tear_down),
    };
    if (!attempt_setup(CONF_BACKEND_FILE) || sasl_client_init(callbacks) != SASL_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sasl_client_done();
    attempt_teardown();
    return failed;
}

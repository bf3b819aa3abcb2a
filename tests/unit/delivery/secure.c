/* TLS and login: what each policy demands, what falls back, and what is never said in clear. */
#include "../../../relay/delivery/ehlo.h"
#include "../../../relay/delivery/login.h"
#include "world.h"

#define LINES(...)  ((const char *const[]){ __VA_ARGS__, NULL })
#define GREET       "accept", "> 220 mx.test ESMTP", "< EHLO relay.test"
#define STARTTLS    GREET, "> 250-mx.test", "> 250 STARTTLS", "< STARTTLS"
#define SECURED     STARTTLS, "> 220 go", "tls", "< EHLO relay.test"
#define OK          "> 250 ok"
#define SEND        "< MAIL FROM:<alice@example.net>", OK, "< RCPT TO:<bob@mx.test>", OK, "< DATA", "> 354 go", "content", OK, "< QUIT"
#define DELIVERED   "next;0 done 2.0.0 remote;next;ended;"
#define PLAIN_LOGIN "AUTH PLAIN AG9mZmljZQBzZWNyZXQ=" /* \0office\0secret */

struct exchange {
    const char *name;
    enum conf_delivery_tls tls;
    const char *const *script;
    const char *events;
    const char *says;
    const char *certificate; /* the server's name; NULL: mx.test */
    long expires;            /* seconds; 0: a day */
    bool untrusted;          /* its certificate is not in ca_file */
    const char *user;
    unsigned opens; /* how many times the queue opens a connection; 0: once */
    int64_t patience_ms;
    unsigned resumed;
    bool elsewhere;   /* the host is not one of the route's */
    const char *tlsa; /* records of the host, see publish(); NULL: it has none */
    enum dns_status tlsa_status;
    bool no_dane; /* in the settings */
};

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off: it would make columns of the scripts */
static const struct exchange exchanges[] = {
    { "opportunistic: any certificate will do", CONF_DELIVERY_OPPORTUNISTIC, LINES(SECURED, "> 250 mx.test", SEND), DELIVERED,
      "(TLSv1.3 ", .untrusted = true },
    { "opportunistic: expired, and of another name", CONF_DELIVERY_OPPORTUNISTIC, LINES(SECURED, "> 250 mx.test", SEND),
      DELIVERED, "(TLSv1.3 ", .certificate = "other.test", .expires = -60 },
    { "none: STARTTLS is not used", CONF_DELIVERY_NONE, LINES(GREET, "> 250-mx.test", "> 250 STARTTLS", SEND), DELIVERED,
      "(none)" },
    { "opportunistic: not offered", CONF_DELIVERY_OPPORTUNISTIC, LINES(GREET, "> 250 mx.test", SEND), DELIVERED, "(none)" },
    { "opportunistic: STARTTLS refused", CONF_DELIVERY_OPPORTUNISTIC, LINES(STARTTLS, "> 454 4.7.0 no", SEND), DELIVERED,
      "(none)" },
    { "the handshake fails: plain on a new connection, and remembered", CONF_DELIVERY_OPPORTUNISTIC,
      LINES(STARTTLS, "> 220 go", "tls no", GREET, "> 250-mx.test", "> 250 STARTTLS", SEND, GREET, "> 250-mx.test",
            "> 250 STARTTLS", SEND),
      DELIVERED DELIVERED, "(none)", .opens = 2 },
    { "the connection is dropped in the handshake", CONF_DELIVERY_OPPORTUNISTIC,
      LINES(STARTTLS, "> 220 go", "close", GREET, "> 250 mx.test", SEND), DELIVERED, "(none)" },
    { "the handshake hangs", CONF_DELIVERY_OPPORTUNISTIC, LINES(STARTTLS, "> 220 go", "stall", GREET, "> 250 mx.test", SEND),
      DELIVERED, "(none)", .patience_ms = 200 },
    { "encrypt: the handshake fails: no mail, no loop", CONF_DELIVERY_ENCRYPT, LINES(STARTTLS, "> 220 go", "tls no"),
      "unreachable 4.7.5;", "handshake" },
    { "encrypt: any certificate will do", CONF_DELIVERY_ENCRYPT, LINES(SECURED, "> 250 mx.test", SEND), DELIVERED, "(TLSv1.3 ",
      .untrusted = true, .certificate = "other.test" },
    { "encrypt: not offered", CONF_DELIVERY_ENCRYPT, LINES(GREET, "> 250 mx.test", "gone"), "unreachable 4.7.4;", "STARTTLS" },
    { "verify: not offered", CONF_DELIVERY_VERIFY, LINES(GREET, "> 250 mx.test", "gone"), "unreachable 4.7.4;", "STARTTLS" },
    { "verify: 454", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 454 4.7.0 no", "gone"), "unreachable 4.7.0;", "454" },
    { "verify: 502", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 502 5.5.1 no", "gone"), "unreachable 4.5.1;", "502" },
    { "verify: 354", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 354 go", "gone"), "unreachable 4.5.0;", "no sense" },
    { "verify: 221", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 221 2.0.0 bye", "gone"), "unreachable 4.5.0;", "no sense" },
    { "verify: 421", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 421 4.3.2 bye", "gone"), "unreachable 4.3.2;", "421" },
    { "a login: not offered: no AUTH in clear", CONF_DELIVERY_VERIFY, LINES(GREET, "> 250-mx.test", "> 250 AUTH PLAIN", "gone"),
      "unreachable 4.7.4;", "STARTTLS", .user = "office" },
    { "a login: 454: no AUTH in clear", CONF_DELIVERY_VERIFY,
      LINES(GREET, "> 250-mx.test", "> 250-STARTTLS", "> 250 AUTH PLAIN", "< STARTTLS", "> 454 4.7.0 no", "gone"),
      "unreachable 4.7.0;", "454", .user = "office" },
    { "verify: EHLO refused: no HELO", CONF_DELIVERY_VERIFY, LINES(GREET, "> 502 5.5.1 what", "gone"), "unreachable 4.5.1;",
      "502" },
    { "verify: EHLO drops: no HELO", CONF_DELIVERY_VERIFY, LINES(GREET, "close"), "unreachable 4.4.2;", "EHLO" },
    { "verify: a good certificate", CONF_DELIVERY_VERIFY, LINES(SECURED, "> 250 mx.test", SEND), DELIVERED, "(TLSv1.3 " },
    { "verify: of another name", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 220 go", "tls perhaps"), "unreachable 4.7.5;",
      "mismatch", .certificate = "other.test" },
    { "verify: expired", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 220 go", "tls perhaps"), "unreachable 4.7.5;", "expired",
      .expires = -60 },
    { "verify: of nobody known", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 220 go", "tls perhaps"), "unreachable 4.7.5;",
      "self-signed", .untrusted = true },
    { "what stands behind the reply to STARTTLS ends the session", CONF_DELIVERY_OPPORTUNISTIC,
      LINES(STARTTLS, "raw 220 go\r\n250-x\r\n250 AUTH PLAIN\r\n", "gone"), "unreachable 4.7.5;", "STARTTLS" },
    { "what was offered before the handshake is forgotten", CONF_DELIVERY_OPPORTUNISTIC,
      LINES(GREET, "> 250-mx.test", "> 250-SIZE 10", "> 250 STARTTLS", "< STARTTLS", "> 220 go", "tls", "< EHLO relay.test",
            "> 250 mx.test", SEND),
      DELIVERED, "(TLSv1.3 " },
    { "EHLO refused inside TLS", CONF_DELIVERY_OPPORTUNISTIC, LINES(SECURED, "> 502 5.5.1 no", "gone"), "unreachable 4.5.1;",
      "502" },
    { "sessions are resumed", CONF_DELIVERY_VERIFY, LINES(SECURED, "> 250 mx.test", SEND, SECURED, "> 250 mx.test", SEND),
      DELIVERED DELIVERED, "(TLSv1.3 ", .opens = 2, .resumed = 1 },
    { "PLAIN", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH LOGIN PLAIN", "< " PLAIN_LOGIN, "> 235 2.7.0 welcome", SEND), DELIVERED,
      "(TLSv1.3 ", .user = "office" },
    { "LOGIN", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH LOGIN", "< AUTH LOGIN", "> 334 VXNlcm5hbWU6", "< b2ZmaWNl",
            "> 334 UGFzc3dvcmQ6", "< c2VjcmV0", "> 235 ok", SEND),
      DELIVERED, "(TLSv1.3 ", .user = "office" },
    { "LOGIN that asks on and on", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH LOGIN", "< AUTH LOGIN", "> 334 x", "< b2ZmaWNl", "> 334 x", "< c2VjcmV0",
            "> 334 x", "gone"),
      "unreachable 4.7.0;", "cannot answer", .user = "office" },
    { "535 without a code of its own", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH PLAIN", "< " PLAIN_LOGIN, "> 535 Incorrect authentication data", "gone"),
      "unreachable 4.7.8;", "535 Incorrect authentication data", .user = "office" },
    { "535 defers", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH PLAIN", "< " PLAIN_LOGIN, "> 535 5.7.8 wrong", "gone"), "unreachable 4.7.8;",
      "535 5.7.8 wrong", .user = "office" },
    { "SCRAM before PLAIN, and an answer that proves nothing", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH PLAIN SCRAM-SHA-256", "< AUTH SCRAM-SHA-256 biwsbj1vZmZpY2Us",
            "> 235 2.7.0 welcome", "gone"),
      "unreachable 4.7.0;", "without showing", .user = "office" },
    { "SCRAM with a nonce that is not ours", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH SCRAM-SHA-256", "< AUTH SCRAM-SHA-256 ",
            "> 334 cj1zb21lYm9keSxzPVp6Wnp6enp6enp6PSxpPTQwOTY=", "gone"),
      "unreachable 4.7.0;", "cannot answer", .user = "office" },
    { "SCRAM and a challenge that is no base64", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH SCRAM-SHA-256", "< AUTH SCRAM-SHA-256 ", "> 334 ***", "gone"),
      "unreachable 4.7.0;", "cannot answer", .user = "office" },
    { "454 at login", CONF_DELIVERY_VERIFY,
      LINES(SECURED, "> 250-mx.test", "> 250 AUTH PLAIN", "< " PLAIN_LOGIN, "> 454 4.7.0 not now", "gone"), "unreachable 4.7.0;",
      "454 4.7.0 not now", .user = "office" },
    { "no mechanism that is known", CONF_DELIVERY_VERIFY, LINES(SECURED, "> 250-mx.test", "> 250 AUTH GSSAPI", "gone"),
      "unreachable 4.7.0;", "log in", .user = "office" },
    { "the route has a user: verified, whatever it says", CONF_DELIVERY_OPPORTUNISTIC, LINES(STARTTLS, "> 220 go", "tls perhaps"),
      "unreachable 4.7.5;", "certificate", .untrusted = true, .user = "office" },
    { "a login, and a host that is not one of the route's (any more): it gets no password", CONF_DELIVERY_VERIFY, LINES("away"),
      "unreachable 4.3.5;", "settings", .user = "office", .elsewhere = true },
    { "DANE: the server's own certificate, expired and of another name", CONF_DELIVERY_OPPORTUNISTIC,
      LINES(SECURED, "> 250 mx.test", SEND), DELIVERED, " dane)", .tlsa = "311", .untrusted = true, .certificate = "other.test",
      .expires = -60 },
    { "DANE: one of several records is enough", CONF_DELIVERY_OPPORTUNISTIC, LINES(SECURED, "> 250 mx.test", SEND), DELIVERED,
      " dane)", .tlsa = "011 3119 311! 301", .untrusted = true },
    { "DANE: another key", CONF_DELIVERY_OPPORTUNISTIC, LINES(STARTTLS, "> 220 go", "tls perhaps"), "unreachable 4.7.5;",
      "certificate", .tlsa = "311!" },
    { "DANE: an authority is not the server itself", CONF_DELIVERY_ENCRYPT, LINES(STARTTLS, "> 220 go", "tls perhaps"),
      "unreachable 4.7.5;", "certificate", .tlsa = "201" },
    { "DANE: no STARTTLS", CONF_DELIVERY_OPPORTUNISTIC, LINES(GREET, "> 250 mx.test", "gone"), "unreachable 4.7.4;", "DANE",
      .tlsa = "311" },
    { "DANE: STARTTLS refused", CONF_DELIVERY_OPPORTUNISTIC, LINES(STARTTLS, "> 454 4.7.0 no", "gone"), "unreachable 4.7.0;",
      "454", .tlsa = "311" },
    { "DANE: EHLO refused: no HELO", CONF_DELIVERY_OPPORTUNISTIC, LINES(GREET, "> 502 5.5.1 what", "gone"), "unreachable 4.5.1;",
      "502", .tlsa = "311" },
    { "DANE: the handshake fails: not in clear", CONF_DELIVERY_OPPORTUNISTIC, LINES(STARTTLS, "> 220 go", "tls no"),
      "unreachable 4.7.5;", "handshake", .tlsa = "311" },
    { "DANE: no record can be used: encrypted", CONF_DELIVERY_OPPORTUNISTIC, LINES(SECURED, "> 250 mx.test", SEND), DELIVERED,
      "SHA384)", .tlsa = "011 111 3119 312. 311.", .untrusted = true, .certificate = "other.test" },
    { "DANE: no record can be used, and no STARTTLS", CONF_DELIVERY_OPPORTUNISTIC, LINES(GREET, "> 250 mx.test", "gone"),
      "unreachable 4.7.4;", "DANE", .tlsa = "011" },
    { "DANE: the records cannot be had: nobody is connected to", CONF_DELIVERY_OPPORTUNISTIC, LINES("away"), "unreachable 4.4.3;",
      "TLSA", .tlsa = "311", .tlsa_status = DNS_SERVFAIL },
    { "DANE: an answer of no records", CONF_DELIVERY_OPPORTUNISTIC, LINES("away"), "unreachable 4.4.3;", "TLSA", .tlsa = "" },
    { "DANE in place of the authorities", CONF_DELIVERY_VERIFY, LINES(SECURED, "> 250 mx.test", SEND), DELIVERED, " dane)",
      .tlsa = "311", .untrusted = true },
    { "DANE is not for logins", CONF_DELIVERY_VERIFY, LINES(STARTTLS, "> 220 go", "tls perhaps"), "unreachable 4.7.5;",
      "certificate", .tlsa = "311", .untrusted = true, .user = "office" },
    { "no DANE by the settings", CONF_DELIVERY_OPPORTUNISTIC, LINES(GREET, "> 250 mx.test", SEND), DELIVERED, "(none)",
      .tlsa = "311!", .no_dane = true },
    { "no DANE where there is to be no TLS", CONF_DELIVERY_NONE, LINES(GREET, "> 250-mx.test", "> 250 STARTTLS", SEND), DELIVERED,
      "(none)", .tlsa = "311!" },
    { "sessions are resumed with DANE", CONF_DELIVERY_OPPORTUNISTIC,
      LINES(SECURED, "> 250 mx.test", SEND, SECURED, "> 250 mx.test", SEND), DELIVERED DELIVERED, " dane)", .tlsa = "311",
      .opens = 2, .resumed = 1 },
    { "AUTH offered in clear only", CONF_DELIVERY_NONE, LINES(GREET, "> 250-mx.test", "> 250 AUTH PLAIN", "gone"),
      "unreachable 4.7.4;", "STARTTLS", .user = "office" },
};
/* clang-format on */

static char ca_path[] = "/tmp/postern-delivery-XXXXXX";

/* Makes WORLD's hosts have the TLSA records of SPEC: usage, selector and matching type of each; behind them "!" (another key), "." (data
 * that is too short) or a digit in place of the matching type. */
static void publish(struct world *world, const char *spec, SSL_CTX *context)
{
    struct dns_tlsa *tlsa = &world->tlsa;
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    struct span one, rest = span_of(spec);
    *tlsa = (struct dns_tlsa){ .status = DNS_OK, .ttl_s = 60, .base = "mx.test" };
    while ((one = span_cut(&rest, ' ')).n) {
        unsigned char data[3 + EVP_MAX_MD_SIZE], *digest = data + 3;
        unsigned size = 0;
        for (unsigned i = 0; i < 3; i++)
            data[i] = (unsigned char)(one.p[i] - '0');
        const EVP_MD *method = data[2] == 2 ? EVP_sha512() : EVP_sha256();
        char flaw = one.n > 3 ? one.p[3] : ' ';
        if (data[1] == 0)
            X509_digest(certificate, method, digest, &size);
        else
            assert_int_equal(
                ASN1_item_digest(ASN1_ITEM_rptr(X509_PUBKEY), method, X509_get_X509_PUBKEY(certificate), digest, &size), 1);
        if (flaw == '!')
            digest[7] ^= 1;
        else if (flaw == '.')
            size = 19;
        else if (flaw != ' ')
            data[2] = (unsigned char)(flaw - '0');
        tlsa->records[tlsa->size++] = 0;
        tlsa->records[tlsa->size++] = (char)(3 + size);
        memcpy(tlsa->records + tlsa->size, data, 3 + size);
        tlsa->size += 3 + size;
    }
}

static void open_all(struct world *world, const struct exchange *exchange, uint16_t port)
{
    for (unsigned i = 0; i < (exchange->opens ? exchange->opens : 1); i++) {
        world->messages = 1;
        world->connection++;
        world_open(world, "mx.test", port, "up.test");
        world_run(world, &world->closed, 10000);
    }
}

static bool play(const struct exchange *exchange)
{
    struct world world;
    struct world_server server;
    const char *name = exchange->certificate ? exchange->certificate : "mx.test";
    long expires = exchange->expires ? exchange->expires : 86400;
    SSL_CTX *context = world_certificate(name, expires, ca_path);
    if (exchange->untrusted) {
        SSL_CTX_free(context);
        context = world_certificate(name, expires, NULL);
    }
    struct bundle *secrets = bundle_new();
    bundle_add(secrets, "password:/secret", SPAN("secret\n"));
    world_init(&world);
    world.route.tls_given = true;
    world.route.tls = exchange->tls;
    world.route.user = (char *)(uintptr_t)(exchange->user ? exchange->user : "");
    world.route.password_file = (char *)(uintptr_t) "/secret";
    world.conf.delivery.ca_file = ca_path;
    world.conf.delivery.dane = !exchange->no_dane;
    if (exchange->tlsa)
        publish(&world, exchange->tlsa, context);
    if (exchange->tlsa_status != DNS_OK)
        world.tlsa = (struct dns_tlsa){ .status = exchange->tlsa_status };
    if (exchange->patience_ms)
        world.conf.delivery.connect_timeout_ms = exchange->patience_ms;
    world_serve(&server, exchange->script, context);
    struct conf_host host = { (char *)(uintptr_t) "mx.test", server.port };
    world.route.via = (struct conf_hosts){ exchange->elsewhere ? NULL : &host, exchange->elsewhere ? 0 : 1, false };
    world_begin(&world, &world_plain, secrets);
    open_all(&world, exchange, server.port);
    bool right = !strcmp(world.events, exchange->events) && strstr(world.replies, exchange->says);
    world_end(&world);
    pthread_join(server.thread, NULL);
    right = right && !server.problem[0] && server.resumed == exchange->resumed;
    if (!right)
        print_error("%s:\n%s\n%s%s (%u resumed)\n", exchange->name, world.events, world.replies, server.problem, server.resumed);
    free(server.content);
    SSL_CTX_free(context);
    bundle_free(&secrets);
    return right;
}

static void test_exchanges(void **state)
{
    unsigned wrong = 0;
    (void)state;
    int fd = mkstemp(ca_path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < COUNT(exchanges); i++)
        wrong += play(&exchanges[i]) ? 0 : 1;
    unlink(ca_path);
    assert_int_equal(wrong, 0);
}

#define ONE_MORE SECURED, "> 250 mx.test", SEND
#define LOGGED   SECURED, "> 250-mx.test", "> 250 AUTH PLAIN", "< AUTH PLAIN", "> 235 2.7.0 welcome", SEND

/* A session is resumed by the same policy and user only. */
static void test_sessions(void **state)
{
    static const struct {
        enum conf_delivery_tls tls;
        const char *user;
        unsigned resumed; /* so far */
    } opens[] = {
        { CONF_DELIVERY_OPPORTUNISTIC, "", 0 }, { CONF_DELIVERY_OPPORTUNISTIC, "", 1 }, { CONF_DELIVERY_ENCRYPT, "", 1 },
        { CONF_DELIVERY_VERIFY, "", 1 },        { CONF_DELIVERY_VERIFY, "office", 1 },  { CONF_DELIVERY_VERIFY, "other", 1 },
        { CONF_DELIVERY_VERIFY, "office", 2 },  { CONF_DELIVERY_VERIFY, "", 3 },
    };
    static char path[] = "/tmp/postern-sessions-XXXXXX";
    struct world world;
    struct world_server server;
    struct bundle *secrets = bundle_new();
    (void)state;
    close(mkstemp(path));
    bundle_add(secrets, "password:/secret", SPAN("secret\n"));
    SSL_CTX *context = world_certificate("mx.test", 86400, path);
    world_init(&world);
    world.route.tls_given = true;
    world.route.tls = CONF_DELIVERY_VERIFY;
    world.route.password_file = (char *)(uintptr_t) "/secret";
    world.conf.delivery.ca_file = path;
    world_serve(&server, LINES(ONE_MORE, ONE_MORE, ONE_MORE, ONE_MORE, LOGGED, LOGGED, LOGGED, ONE_MORE), context);
    struct conf_host host = { (char *)(uintptr_t) "mx.test", server.port };
    world.route.via = (struct conf_hosts){ &host, 1, false };
    world_begin(&world, &world_plain, secrets);
    for (size_t i = 0; i < COUNT(opens); i++) {
        world.route.tls = opens[i].tls;
        world.route.user = (char *)(uintptr_t)opens[i].user;
        world.messages = 1;
        world.connection++;
        world_open(&world, "mx.test", server.port, "up.test");
        assert_true(world_run(&world, &world.closed, 10000));
        assert_int_equal(server.resumed, opens[i].resumed);
    }
    world_end(&world);
    world_served(&server);
    SSL_CTX_free(context);
    bundle_free(&secrets);
    unlink(path);
}

/* What route_find makes of the settings. */
static void test_route(void **state)
{
    static const struct {
        const char *route, *user, *password_file;
        bool mx, found;
        enum conf_delivery_tls tls;
        const char *password;
    } rows[] = {
        { "", "", "", true, true, CONF_DELIVERY_OPPORTUNISTIC, "" },
        { "up.test", "", "", false, true, CONF_DELIVERY_ENCRYPT, "" },
        { "up.test", "office", "/secret", false, true, CONF_DELIVERY_VERIFY, "secret" },
        { "up.test", "office", "/missing", false, false, CONF_DELIVERY_VERIFY, "" },
        { "up.test", "office", "/secret", true, true, CONF_DELIVERY_ENCRYPT, "" },
        { "old.test", "", "", false, false, CONF_DELIVERY_NONE, "" },
    };
    struct world world;
    struct bundle *secrets = bundle_new();
    (void)state;
    bundle_add(secrets, "password:/secret", SPAN("secret\r\nnot this\n"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct delivery_open open = { .is_mx = rows[i].mx };
        struct route route;
        struct reason reason;
        world_init(&world);
        world.route.tls_given = true;
        world.route.tls = CONF_DELIVERY_ENCRYPT;
        world.route.user = (char *)(uintptr_t)rows[i].user;
        world.route.password_file = (char *)(uintptr_t)rows[i].password_file;
        text_copy(open.route, sizeof open.route, span_of(rows[i].route));
        assert_int_equal(route_find(&world.conf, secrets, &open, &route, &reason), rows[i].found);
        if (!rows[i].found)
            continue;
        assert_int_equal(route.tls, rows[i].tls);
        assert_true(span_equal(route.password, span_of(rows[i].password)));
        route_fini(&route);
    }
    bundle_free(&secrets);
}

/* The lines of a login, byte by byte. */
static void test_login(void **state)
{
    struct login_setup setup = { .user = "office", .secret = SPAN("secret"), .host = "mx.test", .port = 587 };
    struct login *login;
    struct buffer line;
    (void)state;
    buffer_init(&line, LOGIN_LINE_MAX);
    login = login_new(EHLO_AUTH_PLAIN | EHLO_AUTH_LOGIN | EHLO_AUTH_XOAUTH2, &setup, &line);
    assert_string_equal(buffer_text(&line), PLAIN_LOGIN "\r\n");
    assert_false(login_continue(login, SPAN(""), &line));
    assert_true(login_is_mutual(login));
    login_free(&login);
    assert_null(login_new(0, &setup, &line));
    assert_null(login_new(EHLO_AUTH_XOAUTH2, &setup, &line)); /* a password is no token */
    setup.is_token = true;
    assert_null(login_new(EHLO_AUTH_PLAIN | EHLO_AUTH_SCRAM, &setup, &line)); /* nor the other way round */
    buffer_clear(&line);
    login = login_new(EHLO_AUTH_XOAUTH2, &setup, &line); /* user=office^Aauth=Bearer secret^A^A */
    assert_string_equal(buffer_text(&line), "AUTH XOAUTH2 dXNlcj1vZmZpY2UBYXV0aD1CZWFyZXIgc2VjcmV0AQE=\r\n");
    buffer_clear(&line);
    assert_true(login_continue(login, SPAN("eyJzdGF0dXMiOiI0MDEifQ=="), &line));
    assert_string_equal(buffer_text(&line), "\r\n");
    assert_false(login_continue(login, SPAN("x"), &line));
    login_free(&login);
    buffer_wipe(&line);
}

/* The token of RFC 7628 4.1's example; one that is too long for the command goes behind an empty challenge. */
static void test_token(void **state)
{
    static char token[2000];
    struct login_setup setup = { .user = "user@example.com",
                                 .secret = SPAN("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
                                 .is_token = true,
                                 .host = "server.example.com",
                                 .port = 143 };
    struct login *login;
    struct buffer line;
    (void)state;
    buffer_init(&line, LOGIN_LINE_MAX);
    login = login_new(EHLO_AUTH_OAUTHBEARER | EHLO_AUTH_XOAUTH2, &setup, &line);
    assert_string_equal(buffer_text(&line), "AUTH OAUTHBEARER "
                                            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVh"
                                            "cmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB\r\n");
    login_free(&login);
    memset(token, 'x', sizeof token);
    setup.secret = span_make(token, sizeof token);
    setup.user = "a=b,c";
    buffer_clear(&line);
    login = login_new(EHLO_AUTH_OAUTHBEARER, &setup, &line);
    assert_string_equal(buffer_text(&line), "AUTH OAUTHBEARER\r\n");
    buffer_clear(&line);
    assert_true(login_continue(login, SPAN(""), &line));
    assert_true(buffer_size(&line) > 2600);
    assert_memory_equal(buffer_span(&line).p, "bixhPWE9M0RiPTJDYywB", 20); /* n,a=a=3Db=2Cc,^A */
    buffer_clear(&line);
    assert_true(login_continue(login, SPAN("e30="), &line));
    assert_string_equal(buffer_text(&line), "AQ==\r\n");
    assert_false(login_continue(login, SPAN("e30="), &line));
    login_free(&login);
    buffer_wipe(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_exchanges), cmocka_unit_test(test_sessions),
                                        cmocka_unit_test(test_route), cmocka_unit_test(test_login),
                                        cmocka_unit_test(test_token) };
    assert_true(login_load());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    login_unload();
    return failed;
}

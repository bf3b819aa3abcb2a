/* A small world around the delivery pool: a segment with one message, a queue and a DNS at the other ends of their channels, and a
 * mail server in a thread that plays a script.
 *
 * A script is a list of lines: what the server does, one after the other.
 *
 *     accept          takes the next connection
 *     > TEXT          sends TEXT and CRLF;  `raw TEXT` sends TEXT as it is
 *     < TEXT          reads a line, which must begin with TEXT
 *     content         reads lines up to a lone "."; they are kept in `content`
 *     tls             the server's side of a handshake;  `tls no` answers it with garbage
 *     drip TEXT       sends TEXT byte by byte, 20 ms each, over and over until the client goes
 *     silent          the client must send nothing for 60 ms
 *     stall           reads nothing for 400 ms
 *     gone            reads until the client has closed (QUIT may come)
 *     close           closes;  `reset` closes with RST
 */
#ifndef TESTS_UNIT_DELIVERY_WORLD_H
#define TESTS_UNIT_DELIVERY_WORLD_H

#include "../../../relay/base/clock.h"
#include "../../../relay/base/crc32c.h"
#include "../../../relay/base/text.h"
#include "../../../relay/delivery/connection.h"

#include "../unit.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORLD_CONTENT_MAX (8 * 1024 * 1024)
#define WORLD_EVENTS_MAX  16384

struct world_server {
    int listener;
    uint16_t port;
    const char *const *script;
    pthread_t thread;
    SSL_CTX *context;
    int fd;
    SSL *ssl;
    char line[8192];
    size_t line_size;
    char *content;
    size_t content_size;
    unsigned contents; /* how many */
    unsigned resumed;
    char problem[512]; /* first thing that was not as the script wants */
};

/* A message in the making. */
struct world_message {
    const char *sender;
    const char *recipients[8];
    unsigned flags;
    const char *prefix;
    const char *content;
    size_t content_repeat; /* 0: once */
    size_t damage;         /* offset of a byte in the record to flip, 0: none */
};

struct world {
    struct loop *loop;
    struct conf conf;
    struct conf_route route;
    struct own own;
    struct sources sources; /* empty, but for what a test adds */
    struct pool pool;
    struct ipc *queue, *queue_back, *dns, *dns_back;
    int segment;
    struct uid id;
    unsigned messages;   /* to be assigned, one a NEXT */
    unsigned recipients; /* of each */
    bool lent;           /* the segment was */
    bool keep;           /* no CLOSE when there are no messages left */
    bool closed, emptied;
    unsigned closes, dialogues;
    char events[WORLD_EVENTS_MAX]; /* what the queue was told, a line each, without texts */
    char replies[WORLD_EVENTS_MAX];
    char asked[1024];                         /* hosts that the DNS was asked for */
    const char *(*resolve)(const char *host); /* addresses separated by spaces, or NULL for the failure in `dns_status` */
    enum dns_status dns_status;
    struct dns_tlsa tlsa; /* of every host; its status DNS_NO_MAIL: the hosts are not signed */
    uint64_t connection;
};

/* ---- the server ---- */

static inline void world_problem(struct world_server *server, const char *what, const char *detail)
{
    if (!server->problem[0])
        snprintf(server->problem, sizeof server->problem, "%s: %.300s", what, detail);
}

static inline ssize_t world_read(struct world_server *server, char *to, size_t size)
{
    return server->ssl ? SSL_read(server->ssl, to, (int)size) : read(server->fd, to, size);
}

static inline void world_write(struct world_server *server, const char *bytes, size_t size)
{
    if (server->ssl)
        SSL_write(server->ssl, bytes, (int)size);
    else
        (void)!send(server->fd, bytes, size, MSG_NOSIGNAL);
}

/* Reads one line into TO without its CRLF. False at the end of the stream. */
static inline bool world_line(struct world_server *server, char *to, size_t size)
{
    for (;;) {
        char *end = memchr(server->line, '\n', server->line_size);
        if (end) {
            size_t n = (size_t)(end - server->line) + 1;
            size_t text = n >= 2 && end[-1] == '\r' ? n - 2 : n - 1;
            snprintf(to, size, "%.*s", (int)text, server->line);
            memmove(server->line, server->line + n, server->line_size - n);
            server->line_size -= n;
            return true;
        }
        ssize_t n = world_read(server, server->line + server->line_size, sizeof server->line - server->line_size);
        if (n <= 0)
            return false;
        server->line_size += (size_t)n;
    }
}

static inline void world_hang_up(struct world_server *server)
{
    SSL_free(server->ssl);
    server->ssl = NULL;
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
    server->line_size = 0;
}

static inline void do_accept(struct world_server *server, const char *text)
{
    (void)text;
    world_hang_up(server);
    struct pollfd waits = { .fd = server->listener, .events = POLLIN };
    if (poll(&waits, 1, 5000) != 1) {
        world_problem(server, "no connection came", "");
        return;
    }
    server->fd = accept(server->listener, NULL, NULL);
    setsockopt(server->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 8, 0 }, sizeof(struct timeval));
}

static inline void do_send(struct world_server *server, const char *text)
{
    char line[4096];
    int n = snprintf(line, sizeof line, "%s\r\n", text);
    world_write(server, line, (size_t)n);
}

static inline void do_raw(struct world_server *server, const char *text)
{
    world_write(server, text, strlen(text));
}

static inline void do_expect(struct world_server *server, const char *text)
{
    char line[4096] = "(the end)";
    if (!world_line(server, line, sizeof line) || strncmp(line, text, strlen(text)) != 0) {
        char detail[400];
        snprintf(detail, sizeof detail, "wanted \"%s\", got \"%.300s\"", text, line);
        world_problem(server, "line", detail);
    }
}

static inline void do_content(struct world_server *server, const char *text)
{
    char line[8192];
    (void)text;
    server->content_size = 0;
    while (world_line(server, line, sizeof line)) {
        if (!strcmp(line, ".")) {
            server->contents++;
            return;
        }
        size_t n = strlen(line);
        if (server->content_size + n + 2 > WORLD_CONTENT_MAX)
            break;
        memcpy(server->content + server->content_size, line, n);
        memcpy(server->content + server->content_size + n, "\r\n", 2);
        server->content_size += n + 2;
    }
    world_problem(server, "content", "no end");
}

static inline void do_tls(struct world_server *server, const char *text)
{
    if (!strcmp(text, "no")) {
        char hello[1024];
        (void)!read(server->fd, hello, sizeof hello);
        world_write(server, "garbage that is no TLS\r\n", 24);
        return;
    }
    server->line_size = 0;
    server->ssl = SSL_new(server->context);
    SSL_set_fd(server->ssl, server->fd);
    if (SSL_accept(server->ssl) != 1 && strcmp(text, "perhaps") != 0)
        world_problem(server, "tls", "handshake failed");
    server->resumed += SSL_session_reused(server->ssl) ? 1 : 0;
}

static inline void do_drip(struct world_server *server, const char *text)
{
    for (unsigned i = 0; i < 250; i++) {
        if (send(server->fd, text + i % strlen(text), 1, MSG_NOSIGNAL) != 1)
            return;
        usleep(20000);
    }
}

static inline void do_silent(struct world_server *server, const char *text)
{
    (void)text;
    struct pollfd waits = { .fd = server->fd, .events = POLLIN };
    if (server->line_size || poll(&waits, 1, 60) != 0)
        world_problem(server, "silent", "something came");
}

static inline void do_gone(struct world_server *server, const char *text)
{
    char line[4096];
    (void)text;
    while (world_line(server, line, sizeof line))
        if (strcmp(line, "QUIT") != 0)
            world_problem(server, "gone", line);
}

static inline void do_stall(struct world_server *server, const char *text)
{
    (void)server;
    (void)text;
    usleep(400000);
}

static inline void do_close(struct world_server *server, const char *text)
{
    (void)text;
    world_hang_up(server);
}

/* No further connection is taken: before the one that is there ends, so that the next cannot come in between. */
static inline void do_away(struct world_server *server, const char *text)
{
    (void)text;
    close(server->listener);
    server->listener = -1;
}

static inline void do_reset(struct world_server *server, const char *text)
{
    (void)text;
    setsockopt(server->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
    world_hang_up(server);
}

static inline void *world_play(void *context)
{
    static const struct {
        const char *verb;
        void (*play)(struct world_server *server, const char *text);
    } verbs[] = {
        { "accept", do_accept }, { ">", do_send },      { "raw", do_raw },       { "<", do_expect },    { "content", do_content },
        { "tls", do_tls },       { "drip", do_drip },   { "silent", do_silent }, { "stall", do_stall }, { "gone", do_gone },
        { "close", do_close },   { "reset", do_reset }, { "away", do_away },
    };
    struct world_server *server = context;
    for (const char *const *line = server->script; *line && !server->problem[0]; line++) {
        size_t verb = strcspn(*line, " ");
        const char *text = (*line)[verb] ? *line + verb + 1 : "";
        for (size_t i = 0; i < COUNT(verbs); i++)
            if (strlen(verbs[i].verb) == verb && !memcmp(verbs[i].verb, *line, verb))
                verbs[i].play(server, text);
    }
    world_hang_up(server);
    if (server->listener >= 0)
        close(server->listener);
    return NULL;
}

/* A socket that listens on HOST at PORT (0: any free one, which is written there); -1 where it is taken. */
static inline int world_listen(const char *host, uint16_t *port, int backlog)
{
    struct netaddr address;
    struct sockaddr_storage name;
    assert_true(netaddr_parse(span_of(host), &address));
    address.port = *port;
    socklen_t size = netaddr_to_sockaddr(&address, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&name, size) != 0 || listen(fd, backlog) != 0) {
        close(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    assert_true(netaddr_from_sockaddr((struct sockaddr *)&name, &address));
    *port = address.port;
    return fd;
}

/* Begins to play SCRIPT (NULL at its end) on LISTENER. CONTEXT may be NULL where it has no tls. */
static inline void world_serve_on(struct world_server *server, int listener, const char *const *script, SSL_CTX *context)
{
    signal(SIGPIPE, SIG_IGN);
    *server = (struct world_server){ .script = script, .context = context, .fd = -1, .listener = listener };
    server->content = calloc(1, WORLD_CONTENT_MAX);
    assert_int_equal(pthread_create(&server->thread, NULL, world_play, server), 0);
}

/* The same on a free port of 127.0.0.1. */
static inline void world_serve(struct world_server *server, const char *const *script, SSL_CTX *context)
{
    uint16_t port = 0;
    int listener = world_listen("127.0.0.1", &port, 10);
    assert_true(listener >= 0);
    world_serve_on(server, listener, script, context);
    server->port = port;
}

/* Waits for the script's end; it must have gone as written. */
static inline void world_served(struct world_server *server)
{
    pthread_join(server->thread, NULL);
    if (server->problem[0])
        print_error("server: %s\n", server->problem);
    assert_string_equal(server->problem, "");
    free(server->content);
}

/* A TLS server's context with a fresh certificate for NAME that expires SECONDS from now; written to the file CA as well, if that is
 * not NULL. */
static inline SSL_CTX *world_certificate(const char *name, long seconds, const char *ca)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    char alternative[300];
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), random());
    X509_gmtime_adj(X509_getm_notBefore(certificate), -7200);
    X509_gmtime_adj(X509_getm_notAfter(certificate), seconds);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    snprintf(alternative, sizeof alternative, "DNS:%s", name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, key, EVP_sha256());
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    if (ca) {
        FILE *file = fopen(ca, "w");
        assert_non_null(file);
        PEM_write_X509(file, certificate);
        fclose(file);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

/* ---- the segment ---- */

/* A memory file that holds MESSAGE as the only record, at offset 64. */
static inline int world_segment(const struct world_message *message, struct uid id)
{
    struct envelope envelope;
    struct buffer stored, content;
    unsigned char header[RECORD_HEADER_SIZE];
    envelope_init(&envelope);
    text_copy(envelope.sender, sizeof envelope.sender, span_of(message->sender));
    envelope.flags = message->flags;
    for (size_t i = 0; message->recipients[i]; i++)
        envelope_add(&envelope, message->recipients[i], 0, NULL);
    buffer_init(&stored, 1 << 20);
    assert_true(envelope_store(&envelope, &stored));
    envelope_fini(&envelope);
    buffer_init(&content, WORLD_CONTENT_MAX);
    for (size_t i = 0; i < (message->content_repeat ? message->content_repeat : 1); i++)
        assert_true(buffer_add_text(&content, message->content));
    struct record record = { .id = id,
                             .offset = 64,
                             .envelope_size = (uint32_t)buffer_size(&stored),
                             .content_size = buffer_size(&content),
                             .prefix_size = (uint32_t)strlen(message->prefix),
                             .envelope_crc = crc32c(0, buffer_span(&stored).p, buffer_size(&stored)),
                             .content_crc = crc32c(0, buffer_span(&content).p, buffer_size(&content)),
                             .prefix_crc = crc32c(0, message->prefix, strlen(message->prefix)) };
    int fd = memfd_create("segment", MFD_CLOEXEC);
    record_encode(&record, header);
    assert_true(pwrite(fd, header, sizeof header, 64) == sizeof header);
    assert_true(pwrite(fd, buffer_span(&stored).p, buffer_size(&stored), (off_t)record_envelope_offset(&record)) > 0);
    assert_true(pwrite(fd, buffer_span(&content).p, buffer_size(&content), (off_t)record_content_offset(&record)) >= 0);
    assert_true(pwrite(fd, message->prefix, strlen(message->prefix), (off_t)record_prefix_offset(&record)) >= 0);
    if (message->damage) {
        char byte;
        assert_true(pread(fd, &byte, 1, (off_t)(64 + message->damage)) == 1);
        byte ^= 0x40;
        assert_true(pwrite(fd, &byte, 1, (off_t)(64 + message->damage)) == 1);
    }
    buffer_fini(&stored);
    buffer_fini(&content);
    return fd;
}

static const struct world_message world_plain = { .sender = "alice@example.net",
                                                  .recipients = { "bob@mx.test", "carol@mx.test", "dave@mx.test" },
                                                  .prefix = "Received: by relay.test; now\r\n",
                                                  .content = "Subject: hello\r\n\r\nText\r\n..dot\r\n" };

/* ---- queue and DNS ---- */

static inline void world_add(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void world_add(char *text, const char *format, ...)
{
    size_t at = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + at, WORLD_EVENTS_MAX - at, format, arguments);
    va_end(arguments);
}

static inline void world_assign(struct world *world)
{
    struct delivery_assign assign = {
        .connection = world->connection, .id = world->id, .segment = 3, .offset = 64, .attempt = 1, .count = world->recipients
    };
    const struct delivery_segment segment = { assign.segment };
    for (uint32_t i = 0; i < assign.count; i++)
        assign.recipients[i] = i;
    size_t size = offsetof(struct delivery_assign, recipients) + assign.count * sizeof *assign.recipients;
    if (!world->lent)
        assert_true(ipc_send(world->queue, DELIVERY_SEGMENT, &segment, sizeof segment, world->segment));
    world->lent = true;
    assert_true(ipc_send(world->queue, DELIVERY_ASSIGN, &assign, size, -1));
    world->messages--;
}

static inline void world_close(struct world *world)
{
    struct delivery_close close = { .connection = world->connection };
    ipc_send(world->queue, DELIVERY_CLOSE, &close, sizeof close, -1);
}

static inline void world_told(void *context, unsigned type, const void *body, size_t size, int fd)
{
    static const char *const verdicts[] = { "done", "temporary", "permanent", "damaged" };
    static const char *const ends[] = { "ended", "lost", "unreachable", "impossible" };
    struct world *world = context;
    (void)size;
    (void)fd;
    if (type == DELIVERY_NEXT) {
        world_add(world->events, "next;");
        if (world->messages)
            world_assign(world);
        else if (!world->keep)
            world_close(world);
    } else if (type == DELIVERY_OUTCOME) {
        const struct delivery_outcome *outcome = body;
        world_add(world->events, "%u %s %s%s;", outcome->recipient, verdicts[outcome->verdict], outcome->enhanced,
                  outcome->remote ? " remote" : "");
        world_add(world->replies, "[%s] %s (%s)\n", outcome->mx, outcome->reply, outcome->tls);
    } else if (type == DELIVERY_LACKS) {
        world_add(world->events, "lacks %u;", ((const struct delivery_lacks *)body)->place);
    } else if (type == DELIVERY_DIALOGUE) {
        world->dialogues++;
    } else if (type == DELIVERY_CLOSED) {
        const struct delivery_closed *closed = body;
        world_add(world->events, "%s%s%s;", ends[closed->end], closed->end ? " " : "", closed->end ? closed->enhanced : "");
        world_add(world->replies, "[%s] %s\n", closed->mx, closed->reply);
        world->closed = true;
        world->closes++;
    }
}

static inline void world_from_queue(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    (void)size;
    if (type == DELIVERY_OPEN)
        pool_open(&world->pool, body);
    else if (type == DELIVERY_SEGMENT)
        pool_segment(&world->pool, body, fd);
    else if (type == DELIVERY_FORGET)
        pool_forget(&world->pool, body);
    else if (type == DELIVERY_ASSIGN)
        pool_assign(&world->pool, body);
    else
        pool_close(&world->pool, body);
}

static inline void world_dns(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    const struct dns_ask_address *question = body;
    struct dns_address answer = { .ticket = question->ticket,
                                  .status = world->dns_status,
                                  .may_have_tlsa = world->tlsa.status != DNS_NO_MAIL };
    (void)size;
    (void)fd;
    if (type == DNS_ASK_TLSA) {
        const struct dns_ask_tlsa *ask = body;
        world_add(world->asked, "%s=;", ask->host);
        world->tlsa.ticket = ask->ticket;
        ipc_send(world->dns_back, DNS_TLSA, &world->tlsa, offsetof(struct dns_tlsa, records) + world->tlsa.size, -1);
        return;
    }
    world_add(world->asked, "%s;", question->host);
    const char *text = world->resolve(question->host);
    struct span rest = span_of(text);
    if (text)
        answer.status = DNS_OK;
    while (rest.n)
        assert_true(netaddr_parse(span_cut(&rest, ' '), &answer.addresses[answer.count++]));
    ipc_send(world->dns_back, DNS_ADDRESS, &answer,
             offsetof(struct dns_address, addresses) + answer.count * sizeof *answer.addresses, -1);
}

static inline void world_from_dns(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    (void)size;
    (void)fd;
    if (type == DNS_TLSA)
        pool_tlsa(&world->pool, body);
    else
        pool_address(&world->pool, body);
}

static inline const char *world_loopback(const char *host)
{
    (void)host;
    return "127.0.0.1";
}

static inline void world_emptied(void *context)
{
    struct world *world = context;
    world->emptied = true;
}

/* A world in place with ordinary settings; change world->conf and world->route before world_begin. */
static inline void world_init(struct world *world)
{
    *world = (struct world){ .messages = 1,
                             .recipients = 1,
                             .segment = -1,
                             .resolve = world_loopback,
                             .connection = 7,
                             .tlsa = { .status = DNS_NO_MAIL } };
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "test");
    world->route = (struct conf_route){ .name = (char *)"up.test", .user = (char *)"", .password_file = (char *)"" };
    world->conf = (struct conf){ .hostname = (char *)"relay.test", .routes = &world->route, .nroutes = 1 };
    world->conf.delivery = (struct conf_delivery){ .port = 25,
                                                   .tls = CONF_DELIVERY_OPPORTUNISTIC,
                                                   .allow_private = true,
                                                   .connect_timeout_ms = 3000,
                                                   .command_timeout_ms = 3000,
                                                   .data_timeout_ms = 3000,
                                                   .dot_timeout_ms = 3000,
                                                   .idle_timeout_ms = 3000,
                                                   .messages_per_connection = 100,
                                                   .ca_file = (char *)"" };
    world->id = uid_next();
}

static inline void world_begin(struct world *world, const struct world_message *message, const struct bundle *secrets)
{
    int queue[2], dns[2];
    world->loop = loop_new();
    world->segment = world_segment(message, world->id);
    assert_true(own_init(&world->own, &world->conf));
    assert_true(ipc_pair(queue) && ipc_pair(dns));
    world->queue = ipc_new(world->loop, queue[0], &queue_delivery_channel, IPC_FRONT, world_told, NULL, world);
    world->queue_back = ipc_new(world->loop, queue[1], &queue_delivery_channel, IPC_BACK, world_from_queue, NULL, world);
    world->dns = ipc_new(world->loop, dns[0], &dns_channel, IPC_FRONT, world_from_dns, NULL, world);
    world->dns_back = ipc_new(world->loop, dns[1], &dns_channel, IPC_BACK, world_dns, NULL, world);
    world->pool = (struct pool){ .loop = world->loop,
                                 .conf = &world->conf,
                                 .secrets = secrets,
                                 .tls = tls_new(&world->conf),
                                 .rules = { .own = &world->own,
                                            .sources = &world->sources,
                                            .allow_private = world->conf.delivery.allow_private,
                                            .hostname = world->conf.hostname,
                                            .reach = reach_new() },
                                 .queue = world->queue_back,
                                 .dns = world->dns,
                                 .emptied = world_emptied,
                                 .context = world };
    pool_init(&world->pool);
}

/* The queue opens a connection to HOSTS ("name:preference name:preference"), all on PORT, as MX or over ROUTE. */
static inline void world_open(struct world *world, const char *hosts, uint16_t port, const char *route)
{
    struct delivery_open open = { .connection = world->connection, .is_mx = !route };
    struct span rest = span_of(hosts);
    text_copy(open.route, sizeof open.route, span_of(route));
    while (rest.n) {
        struct span one = span_cut(&rest, ' ');
        struct span name = span_cut(&one, '/');
        uint64_t preference = 0;
        text_number(one, 0, 65535, &preference);
        text_copy(open.hosts[open.count].name, SMTP_DOMAIN_SIZE, name);
        open.hosts[open.count].preference = (uint16_t)preference;
        open.hosts[open.count++].port = port;
    }
    world->closed = false;
    ipc_send(world->queue, DELIVERY_OPEN, &open, offsetof(struct delivery_open, hosts) + open.count * sizeof *open.hosts, -1);
}

static inline void world_tick(void *context)
{
    (void)context;
}

/* Serves events until DONE, at most LIMIT_MS. False at the limit. */
static inline bool world_run(struct world *world, const bool *done, int64_t limit_ms)
{
    struct timer tick = { 0 };
    int64_t until = clock_monotonic_ms() + limit_ms;
    while (!*done && clock_monotonic_ms() < until) {
        timer_set(&tick, world->loop, until - clock_monotonic_ms() + 1, world_tick, NULL);
        loop_once(world->loop, true);
    }
    timer_fini(&tick);
    return *done;
}

static inline void world_end(struct world *world)
{
    bool never = false;
    world_run(world, &never, 1); /* what finishes on its own */
    pool_fini(&world->pool);
    ipc_free(&world->queue);
    ipc_free(&world->queue_back);
    ipc_free(&world->dns);
    ipc_free(&world->dns_back);
    tls_free(&world->pool.tls);
    own_fini(&world->own);
    reach_free(&world->pool.rules.reach);
    close(world->segment);
    loop_free(&world->loop);
}

#endif

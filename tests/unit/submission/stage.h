/* A submission process on a stage: the real front end with a real writer and a real spool in a temporary folder; the roles around it
 * are played by the test, over real channels, and a client talks over a socket pair. */
#ifndef POSTERN_TESTS_SUBMISSION_STAGE_H
#define POSTERN_TESTS_SUBMISSION_STAGE_H

#include "../../../relay/base/clock.h"
#include "../../../relay/base/log.h"
#include "../../../relay/spool/segment.h"
#include "../../../relay/submission/ask_auth.h"
#include "../../../relay/submission/ask_dns.h"
#include "../../../relay/submission/ask_policy.h"
#include "../../../relay/submission/ask_queue.h"
#include "../../../relay/submission/certificates.h"
#include "../../../relay/submission/clients.h"
#include "../../../relay/submission/front.h"
#include "../../../relay/submission/session.h"
#include "secrets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define STAGE_PATIENCE_MS 10000
#define STAGE_TOLD_MAX    512

enum { STAGE_PLAIN, STAGE_TLS, STAGE_HASTY, STAGE_LISTENERS };

struct stage {
    struct loop *loop;
    struct conf conf;
    struct conf_listener listeners[STAGE_LISTENERS];
    struct conf_limit limits[2];
    struct bundle *secrets;
    struct role role;
    struct front *front;
    struct ipc *policy, *dns, *auth, *queue; /* the test's ends */
    bool mute_policy, mute_dns, mute_auth;   /* asked, they do not answer */
    bool mute_queue;                         /* it gives no segments … */
    struct segment_ask unanswered;           /* … and was asked for this one … */
    unsigned segment_asks;                   /* … of so many */
    struct policy_answer policy_answer;      /* to each question, and to each recipient … */
    const char *bad_recipient;               /* … but for this one, which is deferred */
    const char *slow_recipient;              /* this one has to wait, and so have those behind it */
    char asked_recipients[1024];             /* of the last question, with spaces between them */
    struct dns_mx dns_answer;
    unsigned policy_mails, policy_samples, policy_rcpts, policy_contents, dns_asked, auth_cancels;
    struct policy_content last_content;
    struct policy_report last_report;
    unsigned policy_reports;
    struct policy_login last_login;
    unsigned policy_logins, policy_connects;
    struct auth_begin last_begin;
    unsigned auth_asked; /* begun exchanges and responses */
    uint64_t last_ticket;
    uint64_t segments;
    struct message_stored told[STAGE_TOLD_MAX];
    unsigned segments_done;  /* told so often … */
    unsigned told_when_done; /* … and so many messages before the last one */
    unsigned ntold;
    char folder[64];
    int folder_fd;
    int client; /* our end of the connection */
    SSL_CTX *client_context;
    SSL *ssl;
    char reply[8192]; /* what came last */
};

static inline void stage_answer_rcpt(struct stage *stage, const struct policy_rcpt *rcpt)
{
    static struct policy_rcpt_answer answer;
    answer = (struct policy_rcpt_answer){ .ticket = rcpt->ticket, .watched = stage->policy_answer.watched };
    stage->asked_recipients[0] = '\0';
    size_t at = 0;
    for (bool slow = false; answer.count < rcpt->count && !slow; answer.count++) {
        const char *recipient = policy_rcpt_next(rcpt, &at).p;
        struct policy_answer *each = &answer.each[answer.count];
        *each = stage->policy_answer;
        if (stage->bad_recipient && strcmp(recipient, stage->bad_recipient) == 0)
            *each = (struct policy_answer){ .verdict = POLICY_DEFER, .reply = "450 4.7.1 not this one" };
        slow = stage->slow_recipient && strcmp(recipient, stage->slow_recipient) == 0;
        each->delay_ms = slow ? 20 : each->delay_ms;
        strncat(stage->asked_recipients, recipient, 100);
        strncat(stage->asked_recipients, " ", 2);
    }
    answer.told = answer.count;
    if (!stage->mute_policy)
        ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, policy_rcpt_answer_size(&answer), -1);
}

static inline void stage_policy_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct stage *stage = context;
    struct policy_answer answer = stage->policy_answer;
    (void)size;
    (void)fd;
    if (type == POLICY_REPORT) { /* told, not asked */
        memcpy(&stage->last_report, body, size);
        stage->policy_reports++;
        return;
    }
    memcpy(&answer.ticket, body, sizeof answer.ticket);
    stage->policy_mails += type == POLICY_MAIL;
    stage->policy_rcpts += type == POLICY_RCPT;
    stage->policy_samples += type == POLICY_SAMPLE;
    stage->policy_contents += type == POLICY_CONTENT;
    stage->policy_logins += type == POLICY_LOGIN;
    stage->policy_connects += type == POLICY_CONNECT;
    if (type == POLICY_LOGIN)
        memcpy(&stage->last_login, body, size);
    if (type == POLICY_CONTENT)
        memcpy(&stage->last_content, body, size);
    stage->last_ticket = answer.ticket;
    if (type == POLICY_RCPT)
        stage_answer_rcpt(stage, body);
    else if (!stage->mute_policy && type != POLICY_REFUSED && type != POLICY_SAMPLE)
        ipc_send(stage->policy, POLICY_ANSWER, &answer, sizeof answer, -1);
}

static inline void stage_dns_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct stage *stage = context;
    const struct dns_ask_mx *ask = body;
    (void)type;
    (void)size;
    (void)fd;
    stage->dns_asked++;
    stage->dns_answer.ticket = ask->ticket;
    if (!stage->mute_dns)
        ipc_send(stage->dns, DNS_MX, &stage->dns_answer, offsetof(struct dns_mx, hosts), -1);
}

static inline void stage_auth_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct stage *stage = context;
    (void)fd;
    memcpy(&stage->last_ticket, body, sizeof stage->last_ticket);
    if (type == AUTH_BEGIN)
        memcpy(&stage->last_begin, body, size);
    stage->auth_cancels += type == AUTH_CANCEL;
    stage->auth_asked += type != AUTH_CANCEL;
}

static inline void stage_give_segment(struct stage *stage, const struct segment_ask *ask)
{
    struct segment_give give = { .ticket = ask->ticket, .number = ++stage->segments, .large = ask->large };
    int segment = segment_create(stage->folder_fd, give.number);
    assert_true(segment >= 0);
    ipc_send(stage->queue, SEGMENT_GIVE, &give, sizeof give, segment);
    close(segment);
}

static inline void stage_queue_received(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct stage *stage = context;
    (void)size;
    (void)fd;
    if (type == SEGMENT_ASK) {
        stage->unanswered = *(const struct segment_ask *)body;
        stage->segment_asks++;
        if (!stage->mute_queue)
            stage_give_segment(stage, &stage->unanswered);
    } else if (type == SEGMENT_DONE) {
        stage->segments_done++;
        stage->told_when_done = stage->ntold;
    } else if (type == MESSAGES_STORED) {
        const struct messages_stored *stored = body;
        for (uint32_t i = 0; i < stored->count && stage->ntold < STAGE_TOLD_MAX; i++)
            stage->told[stage->ntold++] = stored->each[i];
    }
}

/* A channel whose far end is the test's; returns the near descriptor. */
static inline int stage_channel(struct stage *stage, struct ipc **end, const struct ipc_channel *channel, ipc_handler received)
{
    int fds[2];
    assert_true(ipc_pair(fds));
    ipc_free(end);
    *end = ipc_new(stage->loop, fds[1], channel, IPC_BACK, received, NULL, stage);
    return fds[0];
}

static inline void stage_add_policy(struct stage *stage)
{
    ask_policy_peer(stage->front->policy, 0,
                    stage_channel(stage, &stage->policy, &submission_policy_channel, stage_policy_received));
}

static inline void stage_add_dns(struct stage *stage)
{
    ask_dns_peer(stage->front->dns, 0, stage_channel(stage, &stage->dns, &dns_channel, stage_dns_received));
}

static inline void stage_add_auth(struct stage *stage)
{
    ask_auth_peer(stage->front->auth, 3, stage_channel(stage, &stage->auth, &submission_auth_channel, stage_auth_received));
}

static inline void stage_add_queue(struct stage *stage)
{
    ask_queue_peer(stage->front->queue, 0, stage_channel(stage, &stage->queue, &submission_queue_channel, stage_queue_received));
}

/* Serves the loop for a moment. */
static inline void stage_turn(struct stage *stage)
{
    loop_once(stage->loop, false);
    poll(NULL, 0, 1);
}

static inline void stage_turns(struct stage *stage, int64_t ms)
{
    for (int64_t end = clock_monotonic_ms() + ms; clock_monotonic_ms() < end;)
        stage_turn(stage);
}

static inline void stage_set_listener(struct stage *stage, unsigned i, const char *name, enum conf_listener_tls tls)
{
    stage->listeners[i] = (struct conf_listener){
        .name = (char *)(uintptr_t)name,
        .tls = tls,
        .auth = tls == CONF_LISTENER_NONE ? CONF_AUTH_NONE : CONF_AUTH_REQUIRED,
        .max_connections = 100,
        .max_connections_per_client = 100,
        .max_recipients = 100,
        .max_message_size = 4 * 1024 * 1024,
        .max_messages = 100,
        .max_errors = 20,
        .command_timeout_ms = i == STAGE_HASTY ? 100 : 60000,
        .data_timeout_ms = i == STAGE_HASTY ? 100 : 60000,
        .check_recipient_domain = true,
    };
}

static inline struct conf stage_settings(struct stage *stage)
{
    static char *mechanisms[] = { (char *)"PLAIN", (char *)"LOGIN", (char *)"SCRAM-SHA-256", (char *)"SCRAM-SHA-256-PLUS" };
    stage_set_listener(stage, STAGE_PLAIN, "plain", CONF_LISTENER_NONE);
    stage_set_listener(stage, STAGE_TLS, "tls", CONF_LISTENER_IMPLICIT);
    stage_set_listener(stage, STAGE_HASTY, "hasty", CONF_LISTENER_NONE);
    stage->limits[0] = (struct conf_limit){ .name = (char *)"some", .key = CONF_KEY_CLIENT, .count = CONF_COUNT_RECIPIENTS };
    stage->limits[1] = (struct conf_limit){ .name = (char *)"some", .key = CONF_KEY_CLIENT, .count = CONF_COUNT_MESSAGES };
    return (struct conf){
        .hostname = (char *)"relay.example.net",
        .postmaster = (char *)"postmaster@example.net",
        .check_from_header = true,
        .tls_certificate = (char *)"relay.example.net.pem",
        .tls_key = (char *)"relay.example.net.key",
        .listeners = stage->listeners,
        .nlisteners = STAGE_LISTENERS,
        .auth = { .mechanisms = { mechanisms, COUNT(mechanisms) }, .max_failures = 3 },
        .limits = stage->limits,
    };
}

/* Everything is there: policy allows, dns finds. WITH_LIMITS: policy has to be asked. */
static inline struct stage *stage_new(bool with_limits)
{
    struct stage *stage = test_calloc(1, sizeof *stage);
    signal(SIGPIPE, SIG_IGN); /* as role_run does */
    log_setup(LOG_LOGFMT, LOG_ERROR, "test");
    stage->loop = loop_new();
    stage->conf = stage_settings(stage);
    stage->conf.nlimits = with_limits ? 2 : 0;
    stage->secrets = bundle_new();
    secrets_add(stage->secrets, "relay.example.net");
    stage->role = (struct role){
        .kind = ROLE_SUBMISSION, .processes = 1, .loop = stage->loop, .conf = &stage->conf, .secrets = stage->secrets
    };
    snprintf(stage->folder, sizeof stage->folder, "/tmp/postern-stage-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    stage->folder_fd = open(stage->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    stage->client = -1;
    stage->front = front_new(&stage->role);
    assert_non_null(stage->front);
    stage_add_policy(stage);
    stage_add_dns(stage);
    stage_add_auth(stage);
    stage_add_queue(stage);
    return stage;
}

static inline void stage_hang_up(struct stage *stage)
{
    SSL_free(stage->ssl);
    SSL_CTX_free(stage->client_context);
    stage->ssl = NULL;
    stage->client_context = NULL;
    if (stage->client >= 0)
        close(stage->client);
    stage->client = -1;
}

static inline void stage_remove_folder(struct stage *stage)
{
    DIR *folder = fdopendir(stage->folder_fd);
    for (struct dirent *entry; (entry = readdir(folder));)
        unlinkat(stage->folder_fd, entry->d_name, 0);
    closedir(folder);
    rmdir(stage->folder);
}

static inline void stage_free(struct stage *stage)
{
    stage_hang_up(stage);
    stage_turns(stage, 5);
    front_free(&stage->front);
    ipc_free(&stage->policy);
    ipc_free(&stage->dns);
    ipc_free(&stage->auth);
    ipc_free(&stage->queue);
    loop_free(&stage->loop);
    bundle_free(&stage->secrets);
    stage_remove_folder(stage);
    test_free(stage);
}

static inline ssize_t stage_read(struct stage *stage, char *to, size_t size)
{
    return stage->ssl ? SSL_read(stage->ssl, to, (int)size) : read(stage->client, to, size);
}

/* Takes one whole reply (all its lines) into stage->reply. False at the connection's end. */
static inline bool stage_reply(struct stage *stage)
{
    size_t n = 0, line = 0;
    for (int64_t end = clock_monotonic_ms() + STAGE_PATIENCE_MS; clock_monotonic_ms() < end;) {
        ssize_t got = stage_read(stage, stage->reply + n, 1);
        if (got == 0 || (got < 0 && !stage->ssl && errno != EAGAIN) ||
            (got < 0 && stage->ssl && SSL_get_error(stage->ssl, (int)got) != SSL_ERROR_WANT_READ))
            return false;
        if (got < 0) {
            stage_turn(stage);
            continue;
        }
        if (stage->reply[n++] != '\n')
            continue;
        stage->reply[n] = '\0';
        if (n - line > 4 && stage->reply[line + 3] == ' ') {
            stage->reply[n - 2] = '\0';
            return true;
        }
        line = n;
    }
    fail_msg("no reply came");
    return false;
}

static inline void stage_send(struct stage *stage, const char *text)
{
    ssize_t n = (ssize_t)strlen(text), sent;
    while ((sent = stage->ssl ? SSL_write(stage->ssl, text, (int)n) : write(stage->client, text, (size_t)n)) < 0 &&
           errno == EAGAIN)
        stage_turn(stage); /* the session has not read what came before */
    assert_int_equal(sent, n);
}

/* The next reply begins with PATTERN ("" stands for the connection's end). */
static inline void stage_expect(struct stage *stage, const char *pattern)
{
    bool there = stage_reply(stage);
    if (!*pattern && !there)
        return;
    if (!there || strncmp(stage->reply, pattern, strlen(pattern)) != 0 || !*pattern)
        fail_msg("expected \"%s\", came \"%s\"", pattern, there ? stage->reply : "the end");
}

static inline void stage_say(struct stage *stage, const char *text, const char *pattern)
{
    stage_send(stage, text);
    stage_expect(stage, pattern);
}

static inline void stage_shake(struct stage *stage)
{
    stage->client_context = SSL_CTX_new(TLS_client_method());
    stage->ssl = SSL_new(stage->client_context);
    SSL_set_fd(stage->ssl, stage->client);
    SSL_set_connect_state(stage->ssl);
    for (int64_t end = clock_monotonic_ms() + STAGE_PATIENCE_MS; SSL_do_handshake(stage->ssl) != 1;) {
        assert_true(clock_monotonic_ms() < end);
        stage_turn(stage);
    }
}

/* A client connects to LISTENER and says nothing yet. */
static inline void stage_arrive(struct stage *stage, unsigned listener)
{
    int fds[2];
    struct netaddr address;
    stage_hang_up(stage);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_true(netaddr_parse(SPAN("192.0.2.1"), &address));
    stage->client = fds[1];
    assert_true(clients_enter(stage->front->clients, listener, &address, 100));
    session_new(stage->front, listener, fds[0], &address);
}

/* The session of the last that came. */
static inline struct session *stage_session(const struct stage *stage)
{
    assert_false(list_empty(&stage->front->sessions));
    return LIST_ENTRY(stage->front->sessions.previous, struct session, node);
}

/* A client connects to LISTENER and says EHLO. */
static inline void stage_connect(struct stage *stage, unsigned listener)
{
    stage_arrive(stage, listener);
    if (listener == STAGE_TLS)
        stage_shake(stage);
    stage_expect(stage, "220 relay.example.net ESMTP");
    stage_say(stage, "EHLO client.example\r\n", "250-relay.example.net");
}

#endif

/* A name server of few words in a thread of the test: UDP and TCP on a free port of loopback, answers by a table of rules. */
#ifndef TESTS_UNIT_DNS_SERVER_H
#define TESTS_UNIT_DNS_SERVER_H

#include "message.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* How an answer is given. */
enum server_trick {
    SERVER_PLAIN,
    SERVER_SILENT,
    SERVER_SLOW,           /* after 100 ms */
    SERVER_WRONG_ID,       /* a false answer with another id first, then the right one */
    SERVER_WRONG_QUESTION, /* a false answer to another question first, then the right one */
    SERVER_ONLY_WRONG,     /* the same, but nothing right ever */
    SERVER_EMPTY_PACKET,   /* a packet of no bytes first */
    SERVER_BY_TCP,         /* cut over UDP, whole over TCP */
    SERVER_WITHOUT_EDNS    /* does not understand questions with EDNS */
};

struct server_rule {
    const char *name;
    unsigned type;
    unsigned flags; /* the answer's code, mostly */
    void (*build)(struct message *message, const char *name);
    enum server_trick trick;
    atomic_uint asked;
};

struct server {
    int udp, tcp, end[2];
    uint16_t port;
    pthread_t thread;
    struct server_rule *rules;
    size_t nrules;
    atomic_uint asked;
};

/* A question as it came. */
struct server_query {
    unsigned id, type;
    char name[256];
};

static inline bool server_parse(const uint8_t *bytes, size_t n, struct server_query *query)
{
    size_t at = 12, out = 0;
    if (n < 17)
        return false;
    query->id = (unsigned)(bytes[0] << 8 | bytes[1]);
    while (at < n && bytes[at]) {
        size_t label = bytes[at++];
        if (out)
            query->name[out++] = '.';
        for (; label && at < n; label--)
            query->name[out++] = (char)bytes[at++];
    }
    query->name[out] = '\0';
    query->type = at + 2 < n ? (unsigned)(bytes[at + 1] << 8 | bytes[at + 2]) : 0;
    return true;
}

static inline struct server_rule *server_find(struct server *server, const struct server_query *query)
{
    for (size_t i = 0; i < server->nrules; i++)
        if (server->rules[i].type == query->type && strcasecmp(server->rules[i].name, query->name) == 0)
            return &server->rules[i];
    return NULL;
}

/* The right answer: the rule's, or NXDOMAIN. */
static inline void server_build(const struct server_rule *rule, const struct server_query *query, struct message *reply)
{
    message_begin(reply, query->id, rule ? rule->flags : 3, query->name, query->type);
    if (rule && rule->build)
        rule->build(reply, query->name);
}

/* A forged answer that must not be believed. */
static inline void server_forge(enum server_trick trick, const struct server_query *query, struct message *reply)
{
    const char *name = trick == SERVER_WRONG_ID ? query->name : "forged.example";
    message_begin(reply, trick == SERVER_WRONG_ID ? query->id ^ 1 : query->id, 0, name, query->type);
    message_mx(reply, name, 300, 1, "evil.example");
    message_mx(reply, query->name, 300, 1, "evil.example");
}

static inline void server_udp(struct server *server)
{
    static struct message reply;
    uint8_t bytes[1500];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    struct server_query query;
    ssize_t n = recvfrom(server->udp, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
    if (n < 0 || !server_parse(bytes, (size_t)n, &query))
        return;
    struct server_rule *rule = server_find(server, &query);
    enum server_trick trick = rule ? rule->trick : SERVER_PLAIN;
    atomic_fetch_add(&server->asked, 1);
    if (rule)
        atomic_fetch_add(&rule->asked, 1);
    if (trick == SERVER_SILENT)
        return;
    if (trick == SERVER_SLOW)
        usleep(100000);
    if (trick == SERVER_WRONG_ID || trick == SERVER_WRONG_QUESTION || trick == SERVER_ONLY_WRONG) {
        server_forge(trick, &query, &reply);
        sendto(server->udp, reply.bytes, reply.size, 0, (struct sockaddr *)&from, size);
        if (trick == SERVER_ONLY_WRONG)
            return;
    }
    if (trick == SERVER_EMPTY_PACKET)
        sendto(server->udp, "", 0, 0, (struct sockaddr *)&from, size);
    if (trick == SERVER_BY_TCP)
        message_begin(&reply, query.id, 0x200, query.name, query.type);
    else if (trick == SERVER_WITHOUT_EDNS && bytes[11])
        message_begin(&reply, query.id, 1, query.name, query.type);
    else
        server_build(rule, &query, &reply);
    sendto(server->udp, reply.bytes, reply.size, 0, (struct sockaddr *)&from, size);
}

/* One connection, one question. */
static inline void server_tcp(struct server *server)
{
    static struct message reply;
    uint8_t bytes[1500], head[2];
    struct server_query query;
    int fd = accept(server->tcp, NULL, NULL);
    if (fd < 0)
        return;
    if (recv(fd, head, 2, MSG_WAITALL) == 2) {
        size_t size = (size_t)(head[0] << 8 | head[1]);
        if (size <= sizeof bytes && recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size && server_parse(bytes, size, &query)) {
            server_build(server_find(server, &query), &query, &reply);
            head[0] = (uint8_t)(reply.size >> 8);
            head[1] = (uint8_t)reply.size;
            send(fd, head, 2, MSG_NOSIGNAL);
            send(fd, reply.bytes, reply.size, MSG_NOSIGNAL);
            shutdown(fd, SHUT_WR);
            recv(fd, bytes, sizeof bytes, 0); /* until the other side has read it all */
        }
    }
    close(fd);
}

static inline void *server_serve(void *context)
{
    struct server *server = context;
    for (;;) {
        struct pollfd fds[] = {
            { server->udp, POLLIN, 0 },
            { server->tcp, POLLIN, 0 },
            { server->end[0], POLLIN, 0 },
        };
        poll(fds, 3, -1);
        if (fds[2].revents)
            return NULL;
        if (fds[0].revents)
            server_udp(server);
        if (fds[1].revents)
            server_tcp(server);
    }
}

/* Binds both sockets to one free port. False where the machine does not let us. */
static inline bool server_bind(struct server *server, struct server_rule *rules, size_t nrules)
{
    *server = (struct server){ .rules = rules, .nrules = nrules };
    for (unsigned tries = 0; tries < 20; tries++) {
        struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        socklen_t size = sizeof at;
        server->tcp = socket(AF_INET, SOCK_STREAM, 0);
        server->udp = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(server->tcp, (struct sockaddr *)&at, sizeof at) == 0 && listen(server->tcp, 8) == 0 &&
            getsockname(server->tcp, (struct sockaddr *)&at, &size) == 0 &&
            bind(server->udp, (struct sockaddr *)&at, sizeof at) == 0 && pipe(server->end) == 0) {
            server->port = ntohs(at.sin_port);
            return true;
        }
        close(server->tcp);
        close(server->udp);
    }
    return false;
}

/* Answers from now on, in a thread of its own: after whatever the test forks, since the locks of a thread that was not copied stay
 * locked in the copy. */
static inline bool server_answer(struct server *server)
{
    return pthread_create(&server->thread, NULL, server_serve, server) == 0;
}

static inline bool server_start(struct server *server, struct server_rule *rules, size_t nrules)
{
    return server_bind(server, rules, nrules) && server_answer(server);
}

static inline void server_stop(struct server *server)
{
    close(server->end[1]);
    pthread_join(server->thread, NULL);
    close(server->end[0]);
    close(server->udp);
    close(server->tcp);
}

#endif

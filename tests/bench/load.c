/* load: clients and a receiving server in one program, so that it knows the time from the first submission to the last receipt.
 *
 *     load --target HOST:PORT --sink HOST:PORT [--clients 50] [--messages 5000] [--each 100] [--size 4096] [--tls] [--auth USER:PASSWORD]
 *          [--to ADDRESS] [--from ADDRESS] [--recipients 1] [--seconds 120]
 *     load --sink HOST:PORT [--certificate FILE --key FILE] --expect N [--seconds 120]
 *     load --target HOST:PORT --domains N …
 *
 * --each is how many messages go over one connection, --recipients how many each of them has (0.ADDRESS and so on); --domains spreads the
 * recipients over d0.example and so on, those of one message, too. Without --sink nothing is received or waited for. --expect only receives:
 * it prints "ready", "first" with the first message, and the object when as many recipients had theirs. With a certificate the sink offers
 * STARTTLS.
 *
 * Threads that block: plain to read; what it costs is not measured. It prints one JSON object and exits 0 when every recipient of a message
 * that got a 250 has it at the sink. "connections" and "received" count the
 * sink's connections and transactions, "recipients" those who had a message by them; "after_data_s"
 * is the time from the last message's final dot to the last receipt. */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    struct sockaddr_in target, sink;
    int clients, messages, each, size, seconds, expect, domains, recipients;
    bool tls;
    char auth[512]; /* base64 of NUL user NUL password */
    const char *to, *from, *certificate, *key;
} options = { .clients = 50,
              .messages = 5000,
              .each = 100,
              .size = 4096,
              .seconds = 120,
              .recipients = 1,
              .to = "someone@example.com",
              .from = "user@example.net" };

static atomic_int next_message, accepted, refused, connections, received, served; /* the last: recipients of what was received */
static _Atomic int64_t last_receipt_ns, last_dot_ns;
static double *latencies_ms;
static atomic_int nlatencies;
static SSL_CTX *tls, *sink_tls; /* the second NULL: the sink offers no STARTTLS */
static char *content;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void set_address(struct sockaddr_in *address, const char *text)
{
    char host[64];
    int port;
    if (sscanf(text, "%63[^:]:%d", host, &port) != 2) {
        fprintf(stderr, "load: HOST:PORT expected, not %s\n", text);
        exit(2);
    }
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, host, &address->sin_addr);
}

/* A connection with its input, and with what the receiving server says. */
struct peer {
    int fd;
    SSL *ssl;
    char input[65536];
    size_t start, end;
    char said[4096];
    size_t nsaid;
};

static bool put(struct peer *peer, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = peer->ssl ? SSL_write(peer->ssl, bytes, (int)size) : send(peer->fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* What is said leaves when more input is wanted: replies to what was pipelined go together, as servers send them. */
static bool flush(struct peer *peer)
{
    size_t size = peer->nsaid;
    peer->nsaid = 0;
    return put(peer, peer->said, size);
}

static bool answer(struct peer *peer, const char *text)
{
    size_t size = strlen(text);
    if (peer->nsaid + size > sizeof peer->said && !flush(peer))
        return false;
    memcpy(peer->said + peer->nsaid, text, size);
    peer->nsaid += size;
    return true;
}

static bool fill(struct peer *peer)
{
    if (!flush(peer))
        return false;
    if (peer->start == peer->end)
        peer->start = peer->end = 0;
    if (peer->end == sizeof peer->input) {
        memmove(peer->input, peer->input + peer->start, peer->end - peer->start);
        peer->end -= peer->start;
        peer->start = 0;
    }
    size_t room = sizeof peer->input - peer->end;
    ssize_t n =
        peer->ssl ? SSL_read(peer->ssl, peer->input + peer->end, (int)room) : recv(peer->fd, peer->input + peer->end, room, 0);
    if (n <= 0)
        return false;
    peer->end += (size_t)n;
    return true;
}

/* The next line with its end, in place; NULL at the end of the connection. */
static char *line(struct peer *peer, size_t *ret_size)
{
    for (;;) {
        char *at = memchr(peer->input + peer->start, '\n', peer->end - peer->start);
        if (at) {
            char *begin = peer->input + peer->start;
            *ret_size = (size_t)(at + 1 - begin);
            peer->start += *ret_size;
            return begin;
        }
        if (!fill(peer))
            return NULL;
    }
}

/* The code of the next reply; 0 at the end of the connection. */
static int reply(struct peer *peer)
{
    for (;;) {
        size_t size;
        char *text = line(peer, &size);
        if (!text)
            return 0;
        if (size > 3 && text[3] != '-')
            return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
    }
}

static bool command(struct peer *peer, const char *text, int wanted)
{
    return put(peer, text, strlen(text)) && reply(peer) == wanted;
}

static bool greet(struct peer *peer)
{
    char text[600];
    struct timeval patience = { .tv_sec = options.seconds };
    int one = 1;
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(peer->fd, (struct sockaddr *)&options.target, sizeof options.target) != 0 || reply(peer) != 220 ||
        !command(peer, "EHLO client.example.net\r\n", 250))
        return false;
    if (options.tls) {
        if (!command(peer, "STARTTLS\r\n", 220))
            return false;
        peer->ssl = SSL_new(tls);
        SSL_set_fd(peer->ssl, peer->fd);
        if (SSL_connect(peer->ssl) != 1 || !command(peer, "EHLO client.example.net\r\n", 250))
            return false;
    }
    if (!options.auth[0])
        return true;
    snprintf(text, sizeof text, "AUTH PLAIN %s\r\n", options.auth);
    return command(peer, text, 235);
}

/* The recipient K of message I, as a command. Returns its length. */
static int write_recipient(char *text, size_t size, int i, int k)
{
    if (options.domains)
        return snprintf(text, size, "RCPT TO:<user%d.%d@d%d.example>\r\n", i, k, (i + k) % options.domains);
    if (options.recipients == 1)
        return snprintf(text, size, "RCPT TO:<%s>\r\n", options.to);
    return snprintf(text, size, "RCPT TO:<%d.%s>\r\n", k, options.to);
}

static bool submit(struct peer *peer)
{
    char text[65536];
    int i = atomic_load(&accepted);
    size_t used = (size_t)snprintf(text, sizeof text, "MAIL FROM:<%s>\r\n", options.from);
    for (int k = 0; k < options.recipients && used < sizeof text; k++)
        used += (size_t)write_recipient(text + used, sizeof text - used, i, k);
    if (used + sizeof "DATA\r\n" > sizeof text)
        return false;
    strcpy(text + used, "DATA\r\n");
    if (!put(peer, text, strlen(text)) || reply(peer) != 250)
        return false;
    for (int k = 0; k < options.recipients; k++)
        if (reply(peer) != 250)
            return false;
    if (reply(peer) != 354)
        return false;
    if (!put(peer, content, strlen(content)))
        return false;
    int64_t begun = now_ns();
    atomic_store(&last_dot_ns, begun);
    if (reply(peer) != 250)
        return false;
    latencies_ms[atomic_fetch_add(&nlatencies, 1)] = (double)(now_ns() - begun) / 1e6;
    return true;
}

static void hang_up(struct peer *peer)
{
    put(peer, "QUIT\r\n", 6);
    reply(peer);
    SSL_free(peer->ssl);
    close(peer->fd);
}

static void *client(void *argument)
{
    struct peer *peer = calloc(1, sizeof *peer);
    (void)argument;
    for (int left = 1; left > 0;) {
        bool ready = false;
        for (int i = 0; i < options.each; i++) {
            left = options.messages - atomic_fetch_add(&next_message, 1);
            if (left <= 0)
                break;
            if (!ready) {
                memset(peer, 0, offsetof(struct peer, input));
                peer->start = peer->end = 0;
                ready = greet(peer);
            }
            if (!ready) {
                fprintf(stderr, "load: no greeting, or no login\n");
                exit(1);
            }
            if (!submit(peer)) {
                atomic_fetch_add(&refused, 1);
                break;
            }
            atomic_fetch_add(&accepted, 1);
        }
        if (ready)
            hang_up(peer);
    }
    free(peer);
    return NULL;
}

/* What a client of the receiving server has said. */
struct visit {
    bool data;
    int recipients;
};

static void note_receipt(struct visit *visit)
{
    atomic_fetch_add(&received, 1);
    atomic_store(&last_receipt_ns, now_ns());
    atomic_fetch_add(&served, visit->recipients);
    *visit = (struct visit){ false, 0 };
}

static bool accept_tls(struct peer *peer)
{
    if (!answer(peer, "220 go\r\n") || !flush(peer))
        return false;
    peer->ssl = SSL_new(sink_tls);
    peer->start = peer->end = 0;
    SSL_set_fd(peer->ssl, peer->fd);
    return SSL_accept(peer->ssl) == 1;
}

/* Answers the line TEXT of SIZE bytes; false where that ends the connection. */
static bool serve(struct peer *peer, struct visit *visit, const char *text, size_t size)
{
    static const char ehlo[] = "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n",
                      ehlo_tls[] = "250-sink.example\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n";
    if (visit->data) {
        if (size != 3 || memcmp(text, ".\r\n", 3) != 0)
            return true;
        if (!answer(peer, "250 2.0.0 kept\r\n") || !flush(peer))
            return false;
        note_receipt(visit); /* once the relay knows: with the last one this program ends, and the relay would try again */
        return true;
    }
    if (strncmp(text, "EHLO", 4) == 0)
        return answer(peer, sink_tls && !peer->ssl ? ehlo_tls : ehlo);
    if (strncmp(text, "STARTTLS", 8) == 0 && sink_tls && !peer->ssl)
        return accept_tls(peer);
    if (strncmp(text, "DATA", 4) == 0) {
        visit->data = true;
        return answer(peer, "354 go\r\n");
    }
    if (strncmp(text, "QUIT", 4) == 0) {
        answer(peer, "221 bye\r\n");
        flush(peer);
        return false;
    }
    visit->recipients = strncmp(text, "RCPT", 4) == 0 ? visit->recipients + 1 : 0;
    return answer(peer, "250 2.1.0 ok\r\n");
}

/* One connection of the receiving server: as little as a server can do. */
static void *receive(void *argument)
{
    struct peer *peer = calloc(1, sizeof *peer);
    struct visit visit = { false, 0 };
    char *text;
    size_t size;
    peer->fd = (int)(intptr_t)argument;
    answer(peer, "220 sink.example ESMTP\r\n");
    while ((text = line(peer, &size)) && serve(peer, &visit, text, size))
        ;
    SSL_free(peer->ssl);
    close(peer->fd);
    free(peer);
    return NULL;
}

static void *sink(void *argument)
{
    int listener = (int)(intptr_t)argument, one = 1;
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        atomic_fetch_add(&connections, 1);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, receive, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
    return NULL;
}

static void start_sink(void)
{
    pthread_t thread;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (options.certificate) {
        sink_tls = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(sink_tls, options.certificate) != 1 ||
            SSL_CTX_use_PrivateKey_file(sink_tls, options.key, SSL_FILETYPE_PEM) != 1) {
            fprintf(stderr, "load: the certificate or its key cannot be read\n");
            exit(2);
        }
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&options.sink, sizeof options.sink) != 0 || listen(fd, SOMAXCONN) != 0) {
        perror("load: sink");
        exit(2);
    }
    pthread_create(&thread, NULL, sink, (void *)(intptr_t)fd);
}

static void make_content(void)
{
    static const char header[] = "From: User <user@example.net>\r\nTo: Someone <someone@example.com>\r\nSubject: benchmark\r\n"
                                 "Date: Tue, 24 Nov 2026 22:15:03 +0000\r\nMessage-ID: <bench@example.net>\r\n\r\n";
    content = calloc(1, (size_t)options.size + sizeof header + 128);
    strcpy(content, header);
    size_t size = strlen(content);
    while (size < (size_t)options.size) {
        memcpy(content + size, "The quick brown fox jumps over the lazy dog, and nothing that was accepted is lost.\r\n", 85);
        size += 85;
    }
    memcpy(content + size, ".\r\n", 4);
}

static void set_auth(const char *text)
{
    unsigned char plain[256] = { 0 };
    const char *colon = strchr(text, ':');
    size_t user = colon ? (size_t)(colon - text) : 0, password = colon ? strlen(colon + 1) : 0;
    if (!user || user + password > 200)
        exit(2);
    memcpy(plain + 1, text, user);
    memcpy(plain + 2 + user, colon + 1, password);
    EVP_EncodeBlock((unsigned char *)options.auth, plain, (int)(2 + user + password));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double share)
{
    int n = atomic_load(&nlatencies);
    return n ? latencies_ms[(int)(share * (n - 1))] : 0;
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = { { "target", 1, 0, 't' },
                                           { "sink", 1, 0, 's' },
                                           { "clients", 1, 0, 'c' },
                                           { "messages", 1, 0, 'm' },
                                           { "each", 1, 0, 'e' },
                                           { "size", 1, 0, 'z' },
                                           { "tls", 0, 0, 'T' },
                                           { "auth", 1, 0, 'a' },
                                           { "to", 1, 0, 'o' },
                                           { "from", 1, 0, 'f' },
                                           { "seconds", 1, 0, 'S' },
                                           { "expect", 1, 0, 'x' },
                                           { "domains", 1, 0, 'd' },
                                           { "recipients", 1, 0, 'r' },
                                           { "certificate", 1, 0, 'C' },
                                           { "key", 1, 0, 'k' },
                                           { 0, 0, 0, 0 } };
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 't':
            set_address(&options.target, optarg);
            break;
        case 's':
            set_address(&options.sink, optarg);
            break;
        case 'c':
            options.clients = atoi(optarg);
            break;
        case 'm':
            options.messages = atoi(optarg);
            break;
        case 'e':
            options.each = atoi(optarg);
            break;
        case 'z':
            options.size = atoi(optarg);
            break;
        case 'S':
            options.seconds = atoi(optarg);
            break;
        case 'x':
            options.expect = atoi(optarg);
            break;
        case 'd':
            options.domains = atoi(optarg);
            break;
        case 'r':
            options.recipients = atoi(optarg);
            break;
        case 'C':
            options.certificate = optarg;
            break;
        case 'k':
            options.key = optarg;
            break;
        case 'T':
            options.tls = true;
            break;
        case 'a':
            set_auth(optarg);
            break;
        case 'o':
            options.to = optarg;
            break;
        case 'f':
            options.from = optarg;
            break;
        default:
            exit(2);
        }
    }
}

/* Waits until COUNT recipients had their message. */
static void await(int count, int64_t end_ns)
{
    while (atomic_load(&served) < count && now_ns() < end_ns)
        usleep(1000);
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

static int expect(void)
{
    int64_t begun = now_ns(), end = begun + (int64_t)options.seconds * 1000000000;
    start_sink();
    say("ready");
    await(1, end);
    int64_t first = now_ns();
    say("first");
    await(options.expect, end);
    printf("{\"connections\": %d, \"received\": %d, \"recipients\": %d, \"first_s\": %.3f, \"total_s\": %.3f}\n", connections,
           received, served, (double)(first - begun) / 1e9, (double)(now_ns() - begun) / 1e9);
    return served == options.expect ? 0 : 1;
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (options.expect)
        return expect();
    tls = SSL_CTX_new(TLS_client_method());
    latencies_ms = calloc((size_t)options.messages + 1, sizeof *latencies_ms);
    make_content();
    if (options.sink.sin_port)
        start_sink();
    pthread_t *threads = calloc((size_t)options.clients, sizeof *threads);
    int64_t begun = now_ns();
    for (int i = 0; i < options.clients; i++)
        pthread_create(&threads[i], NULL, client, NULL);
    for (int i = 0; i < options.clients; i++)
        pthread_join(threads[i], NULL);
    int64_t submitted = now_ns(), end = begun + (int64_t)options.seconds * 1000000000;
    if (options.sink.sin_port)
        await(atomic_load(&accepted) * options.recipients, end);
    double total = (double)(atomic_load(&last_receipt_ns) - begun) / 1e9;
    qsort(latencies_ms, (size_t)atomic_load(&nlatencies), sizeof *latencies_ms, by_value);
    printf("{\"accepted\": %d, \"refused\": %d, \"connections\": %d, \"received\": %d, \"recipients\": %d, \"submit_s\": %.3f, "
           "\"total_s\": %.3f, \"after_data_s\": %.3f, \"rate\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
           accepted, refused, connections, received, served, (double)(submitted - begun) / 1e9, total,
           (double)(atomic_load(&last_receipt_ns) - atomic_load(&last_dot_ns)) / 1e9, received / total, percentile(0.5),
           percentile(0.99));
    return (served >= accepted * options.recipients || !options.sink.sin_port) && accepted ? 0 : 1;
}

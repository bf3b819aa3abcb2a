/* The stream against a plain socket and against TLS: order, pause, STARTTLS leftovers, deadlines, finish, free in a callback. */
#include "../../../relay/base/stream.h"
#include "../../../relay/base/buffer.h"
#include "../unit.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct stream *stream;
    struct buffer got;
    unsigned readable, drained, secured, ended, connected;
    enum stream_end why;
    bool free_on_readable;
    bool echo;
};

static void on_readable(void *context)
{
    struct side *side = context;
    side->readable++;
    if (side->free_on_readable) {
        stream_free(&side->stream);
        return;
    }
    struct span input = stream_input(side->stream);
    if (side->echo)
        stream_write(side->stream, input);
    buffer_add(&side->got, input);
    stream_consume(side->stream, input.n);
}

static void on_drained(void *context)
{
    ((struct side *)context)->drained++;
}

static void on_secured(void *context)
{
    ((struct side *)context)->secured++;
}

static void on_connected(void *context)
{
    ((struct side *)context)->connected++;
}

static void on_ended(void *context, enum stream_end why)
{
    struct side *side = context;
    side->ended++;
    side->why = why;
}

static const struct stream_events events = { on_readable, on_drained, on_secured, on_connected, on_ended };

struct world {
    struct loop *loop;
    struct side a, b;
    int raw; /* b's descriptor where b has no stream */
    struct watch waits;
};

static void nonblocking_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    int fds[2];
    world->loop = loop_new();
    nonblocking_pair(fds);
    buffer_init(&world->a.got, 1 << 24);
    buffer_init(&world->b.got, 1 << 24);
    world->a.stream = stream_new(world->loop, fds[0], 4096, &events, &world->a);
    world->raw = fds[1];
    *state = world;
    return 0;
}

static void give_b_a_stream(struct world *world)
{
    world->b.stream = stream_new(world->loop, world->raw, 65536, &events, &world->b);
    world->raw = -1;
}

static int teardown(void **state)
{
    struct world *world = *state;
    stream_free(&world->a.stream);
    stream_free(&world->b.stream);
    if (world->raw >= 0)
        close(world->raw);
    buffer_fini(&world->a.got);
    buffer_fini(&world->b.got);
    loop_free(&world->loop);
    free(world);
    return 0;
}

/* Serves the loop until CONDITION, at most so many rounds. */
#define UNTIL(world, condition)                                                                                                  \
    do {                                                                                                                         \
        for (unsigned rounds = 0; !(condition) && rounds < 5000; rounds++) {                                                     \
            loop_once((world)->loop, false);                                                                                     \
            usleep(100);                                                                                                         \
        }                                                                                                                        \
        assert_true(condition);                                                                                                  \
    } while (0)

static void raw_send(struct world *world, const char *text)
{
    assert_int_equal(write(world->raw, text, strlen(text)), (ssize_t)strlen(text));
}

static void test_echo(void **state)
{
    struct world *world = *state;
    char got[64] = "";
    world->a.echo = true;
    raw_send(world, "hello");
    UNTIL(world, world->a.readable == 1 && world->a.drained == 1);
    assert_int_equal(read(world->raw, got, sizeof got), 5);
    assert_string_equal(got, "hello");
}

static void test_write_from_outside_a_callback_leaves_by_itself(void **state)
{
    struct world *world = *state;
    char got[64] = "";
    stream_write(world->a.stream, SPAN("one "));
    stream_write(world->a.stream, SPAN("two"));
    assert_int_equal(read(world->raw, got, sizeof got), -1);
    UNTIL(world, world->a.drained == 1);
    assert_int_equal(read(world->raw, got, sizeof got), 7);
    assert_string_equal(got, "one two");
}

static void test_pause_keeps_input_and_resume_tells_it(void **state)
{
    struct world *world = *state;
    stream_pause(world->a.stream);
    raw_send(world, "later");
    for (unsigned i = 0; i < 10; i++)
        loop_once(world->loop, false);
    assert_int_equal(world->a.readable, 0);
    stream_resume(world->a.stream);
    UNTIL(world, world->a.readable == 1);
    assert_string_equal(buffer_text(&world->a.got), "later");
}

static void test_end_is_told_after_the_input(void **state)
{
    struct world *world = *state;
    raw_send(world, "bye");
    close(world->raw);
    world->raw = -1;
    UNTIL(world, world->a.ended == 1);
    assert_string_equal(buffer_text(&world->a.got), "bye");
    assert_int_equal(world->a.why, STREAM_CLOSED);
}

static void test_deadline(void **state)
{
    struct world *world = *state;
    stream_deadline(world->a.stream, 5);
    UNTIL(world, world->a.ended == 1);
    assert_int_equal(world->a.why, STREAM_TIMEOUT);
}

static void test_free_in_callback(void **state)
{
    struct world *world = *state;
    world->a.free_on_readable = true;
    raw_send(world, "x");
    UNTIL(world, world->a.stream == NULL);
}

static void test_finish_sends_the_rest_and_ends(void **state)
{
    struct world *world = *state;
    static char big[1 << 20];
    memset(big, 'x', sizeof big);
    stream_write(world->a.stream, span_make(big, sizeof big));
    stream_finish(&world->a.stream, 10000);
    assert_null(world->a.stream);
    size_t total = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char part[65536];
        ssize_t n = read(world->raw, part, sizeof part);
        if (n == 0)
            break;
        total += n > 0 ? (size_t)n : 0;
        loop_once(world->loop, false);
    }
    assert_int_equal(total, sizeof big);
}

static void test_large_input_is_bounded(void **state)
{
    struct world *world = *state;
    static char big[100000];
    memset(big, 'y', sizeof big);
    stream_pause(world->a.stream);
    assert_true(write(world->raw, big, sizeof big) > 4096);
    loop_once(world->loop, false);
    stream_resume(world->a.stream);
    UNTIL(world, buffer_size(&world->a.got) == sizeof big);
}

/* --- TLS --- */

static SSL_CTX *server_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

static void secure(struct world *world, size_t *ret_dropped)
{
    SSL_CTX *server = server_context(), *client = SSL_CTX_new(TLS_client_method());
    SSL *server_ssl = SSL_new(server), *client_ssl = SSL_new(client);
    SSL_set_accept_state(server_ssl);
    SSL_set_connect_state(client_ssl);
    *ret_dropped = stream_start_tls(world->a.stream, server_ssl);
    stream_start_tls(world->b.stream, client_ssl);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    UNTIL(world, world->a.secured == 1 && world->b.secured == 1);
}

static void test_tls_carries_a_megabyte_each_way(void **state)
{
    struct world *world = *state;
    static char big[1 << 20];
    size_t dropped;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)('a' + i % 23);
    give_b_a_stream(world);
    world->a.echo = true;
    secure(world, &dropped);
    assert_int_equal(dropped, 0);
    stream_write(world->b.stream, span_make(big, sizeof big));
    UNTIL(world, buffer_size(&world->b.got) == sizeof big);
    assert_memory_equal(buffer_span(&world->b.got).p, big, sizeof big);
    assert_non_null(stream_tls(world->a.stream));
}

static void test_plain_leftovers_are_dropped_before_tls(void **state)
{
    struct world *world = *state;
    size_t dropped;
    raw_send(world, "RSET\r\n");
    give_b_a_stream(world);
    stream_pause(world->a.stream);
    loop_once(world->loop, false);
    stream_resume(world->a.stream);
    UNTIL(world, world->a.readable == 1);
    buffer_clear(&world->a.got);
    secure(world, &dropped);
    stream_write(world->b.stream, SPAN("inside"));
    UNTIL(world, buffer_size(&world->a.got) == 6);
    assert_string_equal(buffer_text(&world->a.got), "inside");
}

static void test_garbage_instead_of_a_handshake(void **state)
{
    struct world *world = *state;
    SSL_CTX *server = server_context();
    SSL *ssl = SSL_new(server);
    SSL_set_accept_state(ssl);
    stream_start_tls(world->a.stream, ssl);
    SSL_CTX_free(server);
    loop_once(world->loop, false);
    raw_send(world, "EHLO in clear\r\n");
    UNTIL(world, world->a.ended == 1);
    assert_int_equal(world->a.why, STREAM_TLS_FAILED);
    assert_true(strlen(stream_problem(world->a.stream)) > 0);
}

static void test_tls_reply_and_finish(void **state)
{
    struct world *world = *state;
    size_t dropped;
    give_b_a_stream(world);
    secure(world, &dropped);
    stream_write(world->a.stream, SPAN("221 bye"));
    stream_finish(&world->a.stream, 1000);
    UNTIL(world, world->b.ended == 1);
    assert_string_equal(buffer_text(&world->b.got), "221 bye");
    assert_int_equal(world->b.why, STREAM_CLOSED);
}

/* A peer of TLS with the descriptor FD that sends what it likes: as server or client. The stream that it talks to is the other. */
static SSL *peer_new(struct stream *stream, int fd, bool is_server)
{
    SSL_CTX *server = server_context(), *client = SSL_CTX_new(TLS_client_method());
    SSL *peer = SSL_new(is_server ? server : client), *ours = SSL_new(is_server ? client : server);
    (is_server ? SSL_set_accept_state : SSL_set_connect_state)(peer);
    (is_server ? SSL_set_connect_state : SSL_set_accept_state)(ours);
    SSL_set_fd(peer, fd);
    stream_start_tls(stream, ours);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return peer;
}

static SSL *peer_secured(struct world *world, bool is_server)
{
    SSL *peer = peer_new(world->a.stream, world->raw, is_server);
    UNTIL(world, SSL_do_handshake(peer) == 1 && world->a.secured == 1);
    return peer;
}

static void send_key_updates(SSL *peer, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(peer), 1);
    }
}

static void send_tickets(SSL *peer, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(SSL_new_session_ticket(peer), 1);
        assert_int_equal(SSL_do_handshake(peer), 1);
    }
}

static void expect_flooded(struct world *world)
{
    UNTIL(world, world->a.ended == 1);
    assert_int_equal(world->a.why, STREAM_FLOODED);
    assert_string_equal(stream_problem(world->a.stream), "too many TLS records that carry no data");
}

static void test_key_updates_without_end_end_the_stream(void **state)
{
    struct world *world = *state;
    SSL *peer = peer_secured(world, false);
    send_key_updates(peer, 65);
    expect_flooded(world);
    SSL_free(peer);
}

static void test_tickets_without_end_end_the_stream(void **state)
{
    struct world *world = *state;
    SSL *peer = peer_secured(world, true);
    send_tickets(peer, 65);
    expect_flooded(world);
    SSL_free(peer);
}

/* A client of TLS 1.2 passes over requests for the handshake that it is in. */
static void test_hello_requests_without_end_end_the_stream(void **state)
{
    struct world *world = *state;
    SSL *peer = peer_new(world->a.stream, world->raw, true);
    for (unsigned i = 0; i < 65; i++)
        assert_int_equal(write(world->raw, "\x16\x03\x03\0\4\0\0\0\0", 9), 9);
    expect_flooded(world);
    SSL_free(peer);
}

static void test_records_between_data_are_counted_anew(void **state)
{
    struct world *world = *state;
    SSL *peer = peer_secured(world, true);
    for (unsigned i = 1; i <= 10; i++) {
        send_tickets(peer, 20);
        send_key_updates(peer, 20);
        assert_int_equal(SSL_write(peer, "x", 1), 1);
        UNTIL(world, buffer_size(&world->a.got) == i);
    }
    assert_int_equal(world->a.ended, 0);
    SSL_free(peer);
}

/* Whatever the socket has, others get their turn. */
static void test_one_turn_reads_the_socket_once(void **state)
{
    struct world *world = *state;
    static const char big[65536];
    SSL *peer = peer_secured(world, false);
    loop_once(world->loop, false);
    assert_int_equal(SSL_write(peer, big, sizeof big), sizeof big);
    loop_once(world->loop, false);
    assert_in_range(buffer_size(&world->a.got), 1, 16384);
    UNTIL(world, buffer_size(&world->a.got) == sizeof big);
    SSL_free(peer);
}

/* Segments that came to the TCP socket FD. */
static unsigned segments_in(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_segs_in;
}

/* Two ends of a TCP connection. */
static void tcp_pair(int fds[2])
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, sizeof address), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fds[1] >= 0);
    close(listener);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

/* Each segment costs both sides the same, whatever is in it. */
static void test_last_words_leave_with_the_end(void **state)
{
    struct world *world = *state;
    char got[64] = "";
    int fds[2];
    tcp_pair(fds);
    struct stream *stream = stream_new(world->loop, fds[0], 4096, &events, &world->b);
    unsigned before = segments_in(fds[1]);
    stream_write(stream, SPAN("QUIT\r\n"));
    stream_finish(&stream, 1000);
    assert_int_equal(read(fds[1], got, sizeof got), 6);
    assert_int_equal(read(fds[1], got, sizeof got), 0);
    assert_string_equal(got, "QUIT\r\n");
    assert_int_equal(segments_in(fds[1]), before + 1);
    close(fds[1]);
}

static void adopt(void *context, int fd, unsigned ready)
{
    struct world *world = context;
    (void)fd;
    assert_int_equal(ready, WATCH_READ);
    world->b.stream = stream_adopt(&world->waits, 4096, &events, &world->b);
}

/* A stream takes over from whoever waited at its socket, and reads what made it ready. */
static void test_adopted_socket(void **state)
{
    struct world *world = *state;
    int fds[2];
    nonblocking_pair(fds);
    watch_set(&world->waits, world->loop, fds[0], WATCH_READ, adopt, world);
    assert_int_equal(write(fds[1], "220 hello", 9), 9);
    UNTIL(world, world->b.readable == 1);
    assert_string_equal(buffer_text(&world->b.got), "220 hello");
    assert_null(world->waits.event);
    assert_int_equal(write(fds[1], "more", 4), 4);
    UNTIL(world, world->b.readable == 2);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_from_outside_a_callback_leaves_by_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_keeps_input_and_resume_tells_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end_is_told_after_the_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_in_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finish_sends_the_rest_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_input_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_carries_a_megabyte_each_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_leftovers_are_dropped_before_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage_instead_of_a_handshake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_reply_and_finish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_updates_without_end_end_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tickets_without_end_end_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hello_requests_without_end_end_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_between_data_are_counted_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_turn_reads_the_socket_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_words_leave_with_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_adopted_socket, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

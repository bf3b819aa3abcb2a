/* How a connection is known to be there: by the server's greeting, by the connection where we speak first, or by the time that has passed. */
#include "../../../relay/delivery/race.h"
#include "world.h"

#include <errno.h>

#define PATIENCE_MS 100 /* less than the head start */

static struct {
    struct loop *loop;
    struct connect way;
    struct race race;
    struct timer limit;
    int listener, peer;
    bool greets, over;
    int won; /* the descriptor, or -1 */
    int failure;
    unsigned failures;
} scene;

static bool greets(void *context, const struct connect_target *target)
{
    (void)context;
    (void)target;
    return scene.greets;
}

static void won(void *context, struct watch *watch, const struct connect_target *target)
{
    (void)context;
    (void)target;
    scene.won = watch->fd;
    watch_fini(watch);
}

static void failed(void *context, const struct connect_target *target, int error, bool at_once)
{
    (void)context;
    (void)target;
    (void)at_once;
    scene.failure = error;
    scene.failures++;
}

static void nothing(void *context)
{
    (void)context;
}

static void over(void *context)
{
    (void)context;
    scene.over = true;
}

static void ask(void *context, unsigned index, const char *host, uint16_t tlsa_port)
{
    (void)context;
    (void)index;
    (void)host;
    (void)tlsa_port;
}

static const struct race_events race_events = { .greets = greets, .won = won, .failed = failed, .waits = nothing, .over = over };

/* Begins to connect to a server, and takes the connection into `peer`; the race has looked at nothing yet. */
static void begin(bool server_speaks, int64_t timeout_ms)
{
    static const struct conf conf;
    static const struct own own = { .conf = &conf };
    static const struct connect_rules rules = { .own = &own, .allow_private = true, .hostname = "relay.test" };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    struct delivery_open open = { .count = 1, .hosts = { { .name = "[127.0.0.1]" } } };
    memset(&scene, 0, sizeof scene);
    scene.won = -1;
    scene.greets = server_speaks;
    scene.loop = loop_new();
    scene.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(scene.listener, 4), 0);
    assert_int_equal(getsockname(scene.listener, (struct sockaddr *)&address, &size), 0);
    open.hosts[0].port = ntohs(address.sin_port);
    connect_init(&scene.way, &open, &rules, ask, NULL);
    race_init(&scene.race, scene.loop, &scene.way, &race_events, NULL, timeout_ms);
    race_go(&scene.race);
    scene.peer = accept4(scene.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(scene.peer >= 0);
}

static void late(void *context)
{
    *(bool *)context = true;
}

/* Serves the loop until the race is decided, or so long. True where it was. */
static bool decided(int64_t limit_ms)
{
    bool is_late = false;
    timer_set(&scene.limit, scene.loop, limit_ms, late, &is_late);
    while (!is_late && scene.won < 0 && !scene.over)
        loop_once(scene.loop, true);
    return scene.won >= 0 || scene.over;
}

static void end(void)
{
    if (scene.won >= 0)
        close(scene.won);
    if (scene.peer >= 0)
        close(scene.peer);
    close(scene.listener);
    timer_fini(&scene.limit);
    race_fini(&scene.race);
    connect_fini(&scene.way);
    loop_free(&scene.loop);
}

static void a_greeting_wins(void **state)
{
    (void)state;
    begin(true, 60000);
    assert_false(decided(PATIENCE_MS));
    assert_int_equal(write(scene.peer, "220 hello\r\n", 11), 11);
    assert_true(decided(PATIENCE_MS));
    assert_true(scene.won >= 0);
    end();
}

/* Nobody waits for a server that waits for us. */
static void a_connection_wins_where_we_speak_first(void **state)
{
    (void)state;
    begin(false, 60000);
    assert_true(decided(PATIENCE_MS));
    assert_true(scene.won >= 0);
    end();
}

/* It is connected: its greeting is the session's to wait for. */
static void a_silent_server_wins_after_the_head_start(void **state)
{
    (void)state;
    begin(true, 60000);
    assert_true(decided(10000));
    assert_true(scene.won >= 0);
    assert_int_equal(scene.failures, 0);
    end();
    begin(true, PATIENCE_MS); /* and where the connection's time is up before */
    assert_true(decided(10000));
    assert_true(scene.won >= 0);
    assert_int_equal(scene.failures, 0);
    end();
}

/* What a server says before it throws us out is not lost, whether it closes the connection or resets it. */
static void last_words_are_heard(void **state)
{
    (void)state;
    for (int resets = 0; resets < 2; resets++) {
        const struct linger linger = { .l_onoff = resets };
        char got[16] = "";
        begin(true, 60000);
        assert_int_equal(write(scene.peer, "421 no\r\n", 8), 8);
        setsockopt(scene.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(scene.peer);
        scene.peer = -1;
        assert_true(decided(PATIENCE_MS));
        assert_true(scene.won >= 0);
        assert_int_equal(read(scene.won, got, sizeof got), 8);
        assert_string_equal(got, "421 no\r\n");
        end();
    }
}

static void a_reset_loses(void **state)
{
    const struct linger linger = { .l_onoff = 1 };
    (void)state;
    begin(true, 60000);
    setsockopt(scene.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(scene.peer);
    scene.peer = -1;
    assert_true(decided(PATIENCE_MS));
    assert_true(scene.over);
    assert_int_equal(scene.failure, ECONNRESET);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_greeting_wins),
        cmocka_unit_test(a_connection_wins_where_we_speak_first),
        cmocka_unit_test(a_silent_server_wins_after_the_head_start),
        cmocka_unit_test(last_words_are_heard),
        cmocka_unit_test(a_reset_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The listening sockets over the daemon's life: opened once, kept over reloads, all or none of the new ones. */
#include "../../../relay/parent/ports.h"
#include "folder.h"

#include <errno.h>
#include <sys/socket.h>

#define LISTENERS 3

static struct conf conf;
static struct conf_listener listeners[LISTENERS];
static struct netaddr addresses[LISTENERS][2];
static struct complaints complaints;
static struct ports ports;

static struct netaddr parse(const char *text)
{
    struct netaddr address;
    assert_true(netaddr_parse_port(span_of(text), &address));
    return address;
}

/* A port of 127.0.0.1 that was free just now. */
static struct netaddr free_address(void)
{
    struct netaddr address = parse("127.0.0.1:0");
    struct sockaddr_storage storage;
    socklen_t size = netaddr_to_sockaddr(&address, &storage);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&storage, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &size), 0);
    close(fd);
    assert_true(netaddr_from_sockaddr((struct sockaddr *)&storage, &address));
    return address;
}

/* A configuration with the COUNT first listeners, one address each. */
static void use(size_t count)
{
    conf = (struct conf){ .listeners = listeners, .nlisteners = count };
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTENERS; i++) {
        addresses[i][0] = free_address();
        listeners[i] = (struct conf_listener){ .name = (char *)(uintptr_t) "test", .address = { addresses[i], 1 } };
    }
    complaints = (struct complaints){ "", 0 };
    use(LISTENERS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ports_close(&ports);
    assert_null(ports.items);
    return 0;
}

static bool is_listening(int fd)
{
    int listens = 0;
    socklen_t size = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

static void opens_each_once(void **state)
{
    (void)state;
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    assert_int_equal(ports.count, LISTENERS);
    int fd = ports_find(&ports, &addresses[1][0]);
    assert_true(is_listening(fd));
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints)); /* a reload */
    assert_int_equal(ports.count, LISTENERS);
    assert_int_equal(ports_find(&ports, &addresses[1][0]), fd);
    assert_string_equal(complaints.text, "");
}

static void finds_by_address_and_port(void **state)
{
    struct netaddr other;
    (void)state;
    use(1);
    assert_int_equal(ports_find(&ports, &addresses[0][0]), -1);
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    assert_true(ports_find(&ports, &addresses[0][0]) >= 0);
    assert_int_equal(ports_find(&ports, &addresses[1][0]), -1);
    other = parse("127.0.0.2:1");
    other.port = addresses[0][0].port;
    assert_int_equal(ports_find(&ports, &other), -1);
}

static void trims_what_is_not_named(void **state)
{
    (void)state;
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    int gone = ports_find(&ports, &addresses[2][0]);
    use(2);
    ports_trim(&ports, &conf);
    assert_int_equal(ports.count, 2);
    assert_int_equal(ports_find(&ports, &addresses[2][0]), -1);
    assert_false(is_listening(gone));
    assert_true(is_listening(ports_find(&ports, &addresses[0][0])));
    addresses[0][1] = addresses[2][0]; /* and back, as the second address of another listener */
    listeners[0].address.count = 2;
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    assert_true(is_listening(ports_find(&ports, &addresses[2][0])));
    use(0);
    ports_trim(&ports, &conf);
    assert_int_equal(ports.count, 0);
}

/* One that is taken: all that cannot be had are told, and none of the new ones stays open. */
static void opens_all_or_none(void **state)
{
    struct netaddr taken = free_address(), absent = parse("192.0.2.1:2525");
    struct sockaddr_storage storage;
    socklen_t size = netaddr_to_sockaddr(&taken, &storage);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&storage, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    use(1);
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    use(LISTENERS);
    listeners[1].address.count = 2;
    addresses[1][1] = taken;
    addresses[2][0] = absent;
    assert_false(ports_open(&ports, &conf, complaints_take, &complaints));
    assert_int_equal(complaints.count, 2);
    assert_non_null(strstr(complaints.text, "listener test: cannot listen on 127.0.0.1:"));
    assert_non_null(strstr(complaints.text, "; another program listens there: stop it, or choose another address\n"));
    assert_non_null(strstr(complaints.text, "cannot listen on 192.0.2.1:2525; this machine has no such address\n"));
    assert_int_equal(ports.count, 1);
    assert_true(is_listening(ports_find(&ports, &addresses[0][0])));
    assert_int_equal(ports_find(&ports, &addresses[1][0]), -1);
    close(fd);
    addresses[2][0] = addresses[0][0]; /* what was in the way has gone */
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    assert_int_equal(ports.count, 3);
}

/* :: takes no IPv4, so that 0.0.0.0 can have the same port. */
static void both_families_side_by_side(void **state)
{
    struct netaddr six = parse("[::]:1"), four = parse("0.0.0.0:1");
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    (void)state;
    if (probe < 0)
        skip(); /* no IPv6 here */
    close(probe);
    six.port = four.port = addresses[0][0].port;
    addresses[0][0] = six;
    addresses[1][0] = four;
    use(2);
    assert_true(ports_open(&ports, &conf, complaints_take, &complaints));
    assert_int_not_equal(ports_find(&ports, &six), ports_find(&ports, &four));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_each_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_by_address_and_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trims_what_is_not_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opens_all_or_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_families_side_by_side, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The listening sockets: what is in their place is replaced only where it is a socket that nobody serves. */
#include "../../../relay/control/socket.h"
#include "../../../relay/base/log.h"
#include "../../../relay/base/text.h"
#include "../unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64], path[96];

static int set_up(void **state)
{
    (void)state;
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "control");
    text_copy(folder, sizeof folder, SPAN("/tmp/postern-socket-XXXXXX"));
    text_format(path, sizeof path, "%s/socket", mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void the_group_may_come_in(void **state)
{
    struct stat status;
    (void)state;
    mode_t before = umask(0);
    int fd = socket_admin(path, "nobody-has-this-name");
    assert_int_equal(umask(before), 0); /* as it was */
    assert_true(fd >= 0);
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0660);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void a_dead_socket_is_replaced_a_living_one_is_not(void **state)
{
    struct stat first, second;
    (void)state;
    int fd = socket_admin(path, NULL);
    assert_int_equal(lstat(path, &first), 0);
    assert_int_equal(socket_admin(path, NULL), -1);
    assert_int_equal(lstat(path, &second), 0);
    assert_int_equal(first.st_ino, second.st_ino);
    close(fd);
    fd = socket_admin(path, NULL);
    assert_true(fd >= 0);
    close(fd);
}

/* Its backlog is full: it is served all the same. */
static void a_busy_socket_is_left_alone(void **state)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), clients[8];
    (void)state;
    text_copy(address.sun_path, sizeof address.sun_path, span_of(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(clients[i], (const struct sockaddr *)&address, sizeof address);
    }
    assert_int_equal(socket_admin(path, NULL), -1);
    assert_int_equal(access(path, F_OK), 0);
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
    close(fd);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    struct stat status;
    (void)state;
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(socket_admin(path, NULL), -1);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    unlink(path);
    assert_int_equal(symlink("/nonexistent", path), 0);
    assert_int_equal(socket_admin(path, NULL), -1);
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(socket_admin(path, NULL), -1);
    assert_int_equal(rmdir(path), 0);
}

static void paths_that_cannot_be_are_refused(void **state)
{
    char longest[200];
    (void)state;
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(socket_admin(longest, NULL), -1);
    text_format(longest, sizeof longest, "%s/missing/socket", folder);
    assert_int_equal(socket_admin(longest, NULL), -1);
}

static void http_needs_an_address_with_a_port(void **state)
{
    static const struct {
        const char *address;
        bool good;
    } cases[] = {
        { "127.0.0.1:0", true },
        { "127.0.0.1", false },
        { "localhost:8587", false },
        { "127.0.0.1:65536", false },
        { "127.0.0.1:http", false },
        { ":8587", false },
        { "", false },
        { "127.0.0.1:0 ", false },
        { "192.0.2.1:8587", false },
        { "[::1:8587", false },
        { "/run/socket", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int fd = socket_http(cases[i].address);
        if ((fd >= 0) != cases[i].good)
            fail_msg("\"%s\" gave descriptor %d", cases[i].address, fd);
        if (fd >= 0)
            close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_group_may_come_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_socket_is_replaced_a_living_one_is_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_busy_socket_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_socket_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_that_cannot_be_are_refused, set_up, tear_down),
        cmocka_unit_test(http_needs_an_address_with_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The parent's processes: started, connected, started again ever later, drained, killed. This program is executed anew as each of them
 * ("--role=NAME"), and does then what the environment's POSTERN_TEST_MANNER says. */
#include "../../../relay/parent/process.h"
#include "../../../relay/base/clock.h"
#include "../../../relay/conf/read.h"
#include "../../../relay/parent/reload.h"
#include "../../../relay/role/role.h"
#include "folder.h"

#include <event2/event.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#define MANNER      "POSTERN_TEST_MANNER"
#define NOTES       "POSTERN_TEST_NOTES"
#define CHANNEL_FD  3 /* where a role finds its parent */
#define PATIENCE_MS 30000

/* --- the roles --- */

static int notes = -1;
static bool stubborn;

static bool start(struct role *role)
{
    (void)role;
    notes = open(getenv(NOTES), O_WRONLY | O_APPEND | O_CLOEXEC);
    return notes >= 0;
}

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    char line[64];
    text_format(line, sizeof line, "%s %u: %s %u\n", role_name(role->kind), role->slot, role_name(kind), slot);
    if (write(notes, line, strlen(line)) < 0)
        _exit(70);
    close(fd);
}

static void drain(struct role *role)
{
    if (!stubborn)
        role_finished(role);
}

static int be_role(const char *name)
{
    static const struct role_steps steps = { .start = start, .peer = peer, .drain = drain };
    const char *manner = getenv(MANNER);
    struct role role = { .kind = ROLE_PARENT };
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        if (strcmp(role_name(kind), name) == 0)
            role.kind = kind;
    if (!manner || strcmp(manner, "dies") == 0)
        return 3;
    stubborn = strcmp(manner, "stubborn") == 0;
    int status = role_run(&role, CHANNEL_FD, &steps);
    close(notes);
    return status;
}

/* --- the parent --- */

static char folder[64], notes_path[128];
static struct parent parent;

static int set_up(void **state)
{
    static const char text[] =
        "hostname = \"relay.example.net\"\n"
        "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
        "log { level = error }\n";
    (void)state;
    folder_make(folder);
    folder_write(folder, "notes", SPAN(""), notes_path);
    setenv(NOTES, notes_path, 1);
    setenv(MANNER, "serves", 1);
    parent = (struct parent){ .loop = loop_new(), .options.keep_user = true };
    parent.now.conf = conf_read_text("test", SPAN(text), complaints_take, &(struct complaints){ "", 0 });
    list_init(&parent.processes);
    return !parent.now.conf;
}

static int tear_down(void **state)
{
    (void)state;
    process_kill_all(&parent);
    assert_true(list_empty(&parent.processes));
    timer_fini(&parent.deadline);
    loop_free(&parent.loop);
    reload_free(&parent.now);
    folder_clear(folder);
    return 0;
}

static void turn(void)
{
    loop_once(parent.loop, false);
    process_reap(&parent);
    usleep(500);
}

/* Serves until CONDITION. */
#define AWAIT(condition)                                                                                                         \
    for (int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS; !(condition);) {                                                   \
        turn();                                                                                                                  \
        assert_true(clock_monotonic_ms() < end_ms);                                                                              \
    }

static struct process *find(enum role_kind kind, unsigned slot)
{
    LIST_EACH(node, &parent.processes) {
        struct process *process = LIST_ENTRY(node, struct process, node);
        if (process->kind == kind && process->slot == slot)
            return process;
    }
    return NULL;
}

static unsigned count(void)
{
    unsigned n = 0;
    LIST_EACH(node, &parent.processes)
        n++;
    return n;
}

/* How many lines the roles noted that hold PART. */
static unsigned noted(const char *part)
{
    char line[128];
    unsigned n = 0;
    FILE *file = fopen(notes_path, "r");
    while (fgets(line, sizeof line, file))
        n += strstr(line, part) != NULL;
    fclose(file);
    return n;
}

static void start_all(void)
{
    process_start_all(&parent, ROLE_DNS, 1, 0);
    process_start_all(&parent, ROLE_QUEUE, 1, 0);
    process_start_all(&parent, ROLE_DELIVERY, 2, 0);
    process_start_all(&parent, ROLE_SUBMISSION, 1, 0);
    assert_true(process_any_unready(&parent));
    AWAIT(!process_any_unready(&parent));
}

static void connects_those_that_are_linked(void **state)
{
    (void)state;
    start_all();
    assert_true(parent.announced);
    AWAIT(noted("") == 14); /* queue-dns, 2 queue-delivery, 2 delivery-dns, submission-dns, submission-queue; both ends each */
    assert_int_equal(noted("queue 0: delivery"), 2);
    assert_int_equal(noted("submission 0: delivery"), 0);
    assert_int_equal(find(ROLE_DELIVERY, 1)->processes, 2);
    assert_int_equal(parent.early_deaths, 0);
}

static void connects_anew_what_was_started_anew(void **state)
{
    (void)state;
    start_all();
    AWAIT(noted("") == 14);
    struct process *dns = find(ROLE_DNS, 0);
    pid_t before = dns->pid;
    kill(before, SIGKILL);
    AWAIT(dns->pid && dns->pid != before && dns->ready);
    assert_int_equal(dns->failures, 1);
    assert_int_equal(dns->slot, 0);
    AWAIT(noted("") == 14 + 8);
    assert_int_equal(noted("delivery 1: dns 0"), 2);
    assert_int_equal(parent.status, 0);
    assert_false(parent.stopping);
}

static void generations_keep_apart(void **state)
{
    (void)state;
    process_start_all(&parent, ROLE_AUTH, 1, 0);
    process_start_all(&parent, ROLE_QUEUE, 1, 0);
    process_start_all(&parent, ROLE_SUBMISSION, 1, 0);
    process_start_all(&parent, ROLE_AUTH, 1, 1);
    process_start_all(&parent, ROLE_SUBMISSION, 1, 1);
    AWAIT(!process_any_unready(&parent) && noted("") >= 8);
    assert_int_equal(noted("submission 0: auth 0"), 1);
    assert_int_equal(noted("submission 1: auth 1"), 1);
    assert_int_equal(noted("submission 1: auth 0") + noted("submission 0: auth 1"), 0);
    assert_int_equal(noted("queue 0: submission"), 2);
    assert_true(process_any(&parent, ROLE_AUTH, 0) && process_any(&parent, ROLE_AUTH, 1) && process_any(&parent, ROLE_AUTH, ~0u));
    assert_false(process_any(&parent, ROLE_AUTH, 2) || process_any(&parent, ROLE_DNS, ~0u));
    assert_int_equal(find(ROLE_QUEUE, 0)->generation, 0);
}

static void slots_have_an_end(void **state)
{
    (void)state;
    for (unsigned slot = 0; slot < ROLE_SLOTS; slot++) {
        struct process *process = text_zalloc(sizeof *process);
        *process =
            (struct process){ .parent = &parent, .kind = ROLE_AUTH, .slot = slot != 7 ? slot : ROLE_SLOTS, .draining = true };
        list_append(&parent.processes, &process->node);
    }
    process_start_all(&parent, ROLE_AUTH, 3, 1);
    assert_int_equal(count(), ROLE_SLOTS + 1);
    assert_non_null(find(ROLE_AUTH, 7));
}

/* In how many milliseconds TIMER goes off, about: libevent's clock and the wall's are not read at the same moment. */
static int64_t remaining(const struct timer *timer)
{
    struct timeval at, now;
    assert_true(event_pending(timer->event, EV_TIMEOUT, &at));
    gettimeofday(&now, NULL);
    return (at.tv_sec - now.tv_sec) * 1000 + (at.tv_usec - now.tv_usec) / 1000;
}

/* One that dies again and again is started ever later, up to a bound; one that had lived for a while soon. */
static void who_fails_often_waits_longer(void **state)
{
    static const struct {
        unsigned failures; /* in a row before this one */
        bool lived;
        int64_t delay_ms;
        unsigned after;
    } cases[] = {
        { 0, false, 50, 1 },
        { 1, false, 100, 2 },
        { 2, false, 200, 3 },
        { 5, false, 1600, 6 },
        { 8, false, 12800, 9 },
        { 9, false, 25600, 10 },
        { 10, false, 30000, 11 },
        { 11, false, 30000, 12 },
        { 63, false, 30000, 64 },
        { 64, false, 30000, 65 },
        { 99999, false, 30000, 100000 },
        { 99999, true, 50, 1 },
    };
    (void)state;
    parent.announced = true;
    for (size_t i = 0; i < COUNT(cases); i++) {
        siginfo_t info;
        setenv(MANNER, "dies", 1);
        process_start_all(&parent, ROLE_DNS, 1, 0);
        struct process *process = find(ROLE_DNS, 0);
        assert_int_equal(waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT), 0);
        process->failures = cases[i].failures;
        process->started_ms -= cases[i].lived ? 3000 : 0;
        process->started_ms += cases[i].lived ? 0 : PATIENCE_MS; /* however slow this machine is */
        process_reap(&parent);
        assert_int_equal(process->pid, 0);
        assert_int_equal(process->failures, cases[i].after);
        int64_t delay = remaining(&process->timer);
        if (delay > cases[i].delay_ms * 5 / 4 + 20 || (cases[i].delay_ms >= 10000 && delay < cases[i].delay_ms / 2))
            fail_msg("case %zu: %lld ms", i, (long long)delay);
        process_drain(process, 1000); /* who waits to be started is forgotten at once */
        assert_int_equal(count(), 0);
    }
}

/* Roles that never get ready, before anything did: the daemon ends, instead of trying for ever. */
static void who_never_starts_ends_the_daemon(void **state)
{
    static const enum role_kind kinds[] = { ROLE_SUBMISSION, ROLE_DNS };
    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        parent.stopping = false;
        parent.status = 0;
        parent.early_deaths = 0;
        setenv(MANNER, "dies", 1);
        process_start_all(&parent, kinds[i], 10, 0);
        AWAIT(list_empty(&parent.processes));
        assert_true(parent.stopping);
        assert_int_equal(parent.status, 1);
        assert_int_equal(parent.early_deaths, 10);
    }
}

static void drained_ones_are_not_started_again(void **state)
{
    (void)state;
    start_all();
    process_drain(find(ROLE_DELIVERY, 0), PATIENCE_MS);
    process_drain(find(ROLE_DELIVERY, 0), PATIENCE_MS);
    assert_false(process_any_unready(&parent));
    AWAIT(!find(ROLE_DELIVERY, 0));
    assert_int_equal(count(), 4);
    assert_int_equal(parent.early_deaths, 0);
    process_start_all(&parent, ROLE_DELIVERY, 1, 1);
    assert_int_equal(find(ROLE_DELIVERY, 0)->generation, 1); /* the slot is free again */
}

static void patience_ends(void **state)
{
    (void)state;
    setenv(MANNER, "stubborn", 1);
    process_start_all(&parent, ROLE_DNS, 2, 0);
    AWAIT(!process_any_unready(&parent));
    process_drain(find(ROLE_DNS, 0), 50);
    process_drain(find(ROLE_DNS, 1), 10 * PATIENCE_MS);
    AWAIT(!find(ROLE_DNS, 0));
    assert_non_null(find(ROLE_DNS, 1));
    process_drain(find(ROLE_DNS, 1), 50); /* a stop does not wait as long as a reload */
    AWAIT(!find(ROLE_DNS, 1));
}

static void who_gives_no_sign_of_life_is_killed(void **state)
{
    (void)state;
    process_start_all(&parent, ROLE_DNS, 1, 0);
    process_start_all(&parent, ROLE_QUEUE, 1, 0);
    AWAIT(!process_any_unready(&parent));
    struct process *dns = find(ROLE_DNS, 0), *queue = find(ROLE_QUEUE, 0);
    dns->pong_ms = queue->pong_ms = 0;
    dns->pong_ms = clock_monotonic_ms() - 50000;
    queue->pong_ms = clock_monotonic_ms() - 61000;
    pid_t of_dns = dns->pid, of_queue = queue->pid;
    int64_t before = dns->pong_ms;
    process_ping_all(&parent);
    AWAIT(queue->pid && queue->pid != of_queue && queue->ready && dns->pong_ms != before);
    assert_int_equal(dns->pid, of_dns);
}

static void stops_in_two_steps(void **state)
{
    (void)state;
    setenv(MANNER, "stubborn", 1);
    process_start_all(&parent, ROLE_SUBMISSION, 1, 0);
    process_start_all(&parent, ROLE_QUEUE, 1, 0);
    AWAIT(!process_any_unready(&parent));
    parent_stop(&parent);
    parent_stop(&parent);
    assert_true(find(ROLE_SUBMISSION, 0)->draining);
    assert_false(find(ROLE_QUEUE, 0)->draining); /* it takes outcomes until the others have gone */
    kill(find(ROLE_SUBMISSION, 0)->pid, SIGKILL);
    AWAIT(!find(ROLE_SUBMISSION, 0));
    assert_true(find(ROLE_QUEUE, 0)->draining);
    kill(find(ROLE_QUEUE, 0)->pid, SIGKILL);
    AWAIT(list_empty(&parent.processes));
    assert_int_equal(parent.status, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connects_those_that_are_linked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connects_anew_what_was_started_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(generations_keep_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slots_have_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_fails_often_waits_longer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_never_starts_ends_the_daemon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drained_ones_are_not_started_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patience_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_gives_no_sign_of_life_is_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_in_two_steps, set_up, tear_down),
    };
    if (argc > 1 && strncmp(argv[1], "--role=", 7) == 0)
        return be_role(argv[1] + 7);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

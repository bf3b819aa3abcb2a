/* Administrators: every order finds its role or its sentence; strange lines, crowds, those who leave, do not read or do not write are
 * bounded; and what other roles say cannot end a line before its time. */
#include "stage.h"

#define DONE         "{\"done\":true,\"exit\":0,\"reason\":\"\"}\n"
#define PIECES_ROUND 64

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in \"%s\"", part, text);
}

/* The answer is one line, that of the end, and its reason says PART. */
static void is_refused(const char *answer, const char *part)
{
    has(answer, "{\"done\":false,\"exit\":1,\"reason\":\"");
    assert_ptr_equal(strchr(answer, '\n'), answer + strlen(answer) - 1);
    has(answer, part);
}

static void refusals_name_the_reason(void **state)
{
    static const struct {
        const char *line, *told;
    } cases[] = {
        { "", "no JSON" },
        { "GET / HTTP/1.1\r", "no JSON" },
        { "{\"command\": \"queue\"}", "does not know this command" },
        { "{\"command\": \"QUEUE LIST\"}", "does not know this command" },
        { "{\"command\": \"\"}", "does not know this command" },
        { "{\"command\": \"queue show\"}", "needs the id of a message" },
        { "{\"command\": \"message\", \"filters\": {\"account\": \"alice\"}}", "needs the id of a message" },
        { "{\"command\": \"queue hold\"}", "nothing says which messages" },
        { "{\"command\": \"queue release\", \"filters\": {}}", "nothing says which messages" },
        { "{\"command\": \"queue remove\", \"filters\": {\"all\": false}}", "nothing says which messages" },
        { "{\"command\": \"queue retry\", \"filters\": {\"account\": \"\", \"id\": \"\"}}", "nothing says which messages" },
        { "{\"command\": \"trace\"}", "no mail address" },
        { "{\"command\": \"trace\", \"filters\": {\"recipient\": \"nobody\"}}", "no mail address" },
        { "{\"command\": \"trace\", \"filters\": {\"recipient\": \"a@\"}}", "no mail address" },
        { "{\"command\": \"trace\", \"filters\": {\"recipient\": \"a@b\", \"sender\": \"nobody\"}}",
          "the sender is no mail address" },
        { "{\"command\": \"trace\", \"filters\": {\"recipient\": \"a@b\", \"sender\": \"<a@b>\"}}", "<> for none" },
        { "{\"command\": \"queue list\"}", "queue process is being started again" },
        { "{\"command\": \"limits\"}", "policy process is being started again" },
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    for (size_t i = 0; i < COUNT(cases); i++)
        is_refused(stage_ask(&stage, cases[i].line), cases[i].told);
    stage_close(&stage);
}

static void orders_reach_their_role(void **state)
{
    static const struct {
        const char *line;
        enum admin_verb verb;
        bool policy;
    } cases[] = {
        { "{\"command\": \"queue list\"}", ADMIN_QUEUE_LIST, false },
        { "{\"command\": \"queue show\", \"filters\": {\"id\": \"x\"}}", ADMIN_QUEUE_SHOW, false },
        { "{\"command\": \"queue hold\", \"filters\": {\"account\": \"x\"}}", ADMIN_QUEUE_HOLD, false },
        { "{\"command\": \"queue release\", \"filters\": {\"client\": \"x\"}}", ADMIN_QUEUE_RELEASE, false },
        { "{\"command\": \"queue remove\", \"filters\": {\"sender\": \"x\"}}", ADMIN_QUEUE_REMOVE, false },
        { "{\"command\": \"queue retry\", \"filters\": {\"site\": \"x\"}}", ADMIN_QUEUE_RETRY, false },
        { "{\"command\": \"queue retry\", \"filters\": {\"recipient\": \"x\"}}", ADMIN_QUEUE_RETRY, false },
        { "{\"command\": \"queue remove\", \"filters\": {\"all\": true}}", ADMIN_QUEUE_REMOVE, false },
        { "{\"command\": \"message\", \"filters\": {\"id\": \"x\"}}", ADMIN_MESSAGE, false },
        { "{\"command\": \"limits\"}", ADMIN_LIMITS, true },
        { "{\"command\": \"limits would\"}", ADMIN_WOULD, true },
        { "{\"command\": \"login of\", \"filters\": {\"client\": \"192.0.2.1\"}}", ADMIN_LOGIN_OF, true },
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, true);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct stage_peer *peer = cases[i].policy ? &stage.policy : &stage.queue;
        unsigned before = peer->count;
        int fd = stage_visit(&stage);
        assert_true(stage_send(&stage, fd, span_of(cases[i].line)) && stage_send(&stage, fd, SPAN("\nmore")));
        stage_await(&stage, peer, before + 1);
        const struct admin_ask *ask = &peer->asked[before];
        assert_int_equal(ask->verb, cases[i].verb);
        stage_say(peer, ask->ticket, "{\"a\":", false);
        stage_say(peer, ask->ticket, "1}", true);
        stage_say(peer, ask->ticket, "2", true);
        stage_end(peer, ask->ticket, ADMIN_DONE, "");
        assert_string_equal(stage_read(&stage, fd), "{\"value\":{\"a\":1}}\n{\"value\":2}\n" DONE);
    }
    stage_close(&stage);
}

/* Policy and queue hear the one name of an account, whichever of its spellings an administrator types. */
static void accounts_have_one_name(void **state)
{
    static const struct {
        const char *given, *asked;
    } cases[] = {
        { "alice", "alice" },
        { "alice@Relay.example.net", "alice" },
        { "alice@other.example", "alice@other.example" },
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, true);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[128];
        unsigned before = stage.policy.count;
        int fd = stage_visit(&stage);
        text_format(line, sizeof line, "{\"command\": \"account suspend\", \"filters\": {\"account\": \"%s\"}}\n",
                    cases[i].given);
        assert_true(stage_send(&stage, fd, span_of(line)));
        stage_await(&stage, &stage.policy, before + 1);
        const struct admin_ask *ask = &stage.policy.asked[before];
        assert_string_equal(ask->account, cases[i].asked);
        stage_end(&stage.policy, ask->ticket, ADMIN_DONE, "");
        stage_read(&stage, fd);
    }
    stage_close(&stage);
}

static void the_daemon_answers_for_itself(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    assert_string_equal(stage_ask(&stage, "{\"command\": \"ping\"}"), "{\"value\":{\"version\":\"" POSTERN_VERSION "\"}}\n" DONE);
    const char *answer = stage_ask(&stage, "{\"command\": \"status\"}\r");
    has(answer, "\"unavailable\":[\"queue\",\"policy\"]");
    has(answer, DONE);
    stage_close(&stage);
}

/* Asks the queue something and returns the visitor's descriptor and the ticket. */
static int begin(struct stage *stage, uint64_t *ret_ticket)
{
    unsigned before = stage->queue.count;
    int fd = stage_visit(stage);
    assert_true(stage_send(stage, fd, SPAN("{\"command\": \"queue list\"}\n")));
    stage_await(stage, &stage->queue, before + 1);
    *ret_ticket = stage->queue.asked[before].ticket;
    return fd;
}

static void ends_are_told_in_a_line(void **state)
{
    static const struct {
        uint32_t result;
        const char *reason, *told;
    } cases[] = {
        { ADMIN_NOT_FOUND, "there is no such message", "\"reason\":\"there is no such message\"" },
        { ADMIN_REFUSED, "no\n{\"done\":true}", "\"reason\":\"no\\\\x0a{\\\"done\\\":true}\"" },
        { 77, "\x1b[2J\xff", "\"reason\":\"\\\\x1b[2J\\\\xff\"" },
    };
    struct stage stage;
    uint64_t ticket;
    (void)state;
    stage_open(&stage, true);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int fd = begin(&stage, &ticket);
        stage_end(&stage.queue, ticket, cases[i].result, cases[i].reason);
        is_refused(stage_read(&stage, fd), cases[i].told);
    }
    stage_close(&stage);
}

static void a_piece_cannot_end_a_line(void **state)
{
    static const char *const pieces[] = { "{}\n{\"done\":true}", "\r", "\x1b[2J", "\x01" };
    struct stage stage;
    uint64_t ticket;
    (void)state;
    stage_open(&stage, true);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        int fd = begin(&stage, &ticket);
        stage_say(&stage.queue, ticket, pieces[i], true);
        stage_say(&stage.queue, ticket, "1", true);
        stage_end(&stage.queue, ticket, ADMIN_DONE, "");
        is_refused(stage_read(&stage, fd), "mistake in postern");
    }
    stage_close(&stage);
}

/* A role that dies in the midst of a value: what was begun is closed, so that the end is on a line of its own. */
static void a_role_that_dies_ends_the_answer(void **state)
{
    struct stage stage;
    uint64_t ticket;
    (void)state;
    stage_open(&stage, true);
    int fd = begin(&stage, &ticket);
    stage_say(&stage.queue, ticket, "[1", false);
    stage_turn(&stage);
    stage_part(&stage, &stage.queue, CONTROL_QUEUE);
    const char *answer = stage_read(&stage, fd);
    assert_ptr_equal(strstr(answer, "{\"value\":[1}\n{\"done\":false"), answer);
    has(answer, "being started again");
    stage_close(&stage);
}

static void leaving_takes_the_question_along(void **state)
{
    struct stage stage;
    uint64_t first, second;
    (void)state;
    stage_open(&stage, true);
    int gone = begin(&stage, &first), stays = begin(&stage, &second);
    close(gone);
    stage_turn(&stage);
    stage_say(&stage.queue, first, "1", true);
    stage_end(&stage.queue, first, ADMIN_DONE, "");
    stage_say(&stage.queue, second, "2", true);
    stage_end(&stage.queue, second, ADMIN_DONE, "");
    stage_end(&stage.queue, second, ADMIN_DONE, ""); /* once too often */
    stage_end(&stage.policy, second, ADMIN_DONE, "");
    assert_string_equal(stage_read(&stage, stays), "{\"value\":2}\n" DONE);
    gone = begin(&stage, &first); /* still waits when all ends */
    stage_close(&stage);
    close(gone);
}

static void endless_lines_end(void **state)
{
    static char line[2 * VISITOR_LINE_MAX];
    struct stage stage;
    (void)state;
    memset(line, ' ', sizeof line);
    stage_open(&stage, false);
    int fd = stage_visit(&stage);
    stage_send(&stage, fd, span_make(line, sizeof line));
    is_refused(stage_read(&stage, fd), "longer than 64 KiB");
    memset(line, '\0', sizeof line);
    fd = stage_visit(&stage);
    assert_true(stage_send(&stage, fd, span_make(line, 1000)) && stage_send(&stage, fd, SPAN("\n")));
    is_refused(stage_read(&stage, fd), "no JSON");
    stage_close(&stage);
}

static void crowds_are_bounded(void **state)
{
    int crowd[VISITORS_MAX];
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    for (size_t i = 0; i < COUNT(crowd); i++) {
        crowd[i] = stage_visit(&stage);
        assert_true(stage_send(&stage, crowd[i], SPAN("{\"command\":")));
    }
    is_refused(stage_read(&stage, stage_visit(&stage)), "too many administrators");
    assert_true(stage_send(&stage, crowd[0], SPAN("\"ping\"}\n")));
    has(stage_read(&stage, crowd[0]), DONE);
    has(stage_ask(&stage, "{\"command\": \"ping\"}"), DONE);
    for (size_t i = 1; i < COUNT(crowd); i++)
        close(crowd[i]);
    stage_close(&stage);
}

/* Who asks for much and reads nothing is let go at VISITOR_OUTPUT_MAX; until then nobody else waits for it. */
static void who_does_not_read_is_let_go(void **state)
{
    static char piece[ADMIN_TEXT_MAX];
    struct stage stage;
    uint64_t ticket;
    (void)state;
    memset(piece, '7', sizeof piece - 1);
    stage_open(&stage, true);
    int fd = begin(&stage, &ticket);
    for (size_t sent = 0; sent < VISITOR_OUTPUT_MAX + PIECES_ROUND * sizeof piece; sent += PIECES_ROUND * sizeof piece) {
        for (unsigned i = 0; i < PIECES_ROUND; i++)
            stage_say(&stage.queue, ticket, piece, false);
        while (ipc_backlog(stage.queue.own))
            stage_turn(&stage);
        stage_turn(&stage);
    }
    has(stage_ask(&stage, "{\"command\": \"ping\"}"), DONE);
    stage_end(&stage.queue, ticket, ADMIN_DONE, ""); /* nobody waits any more */
    stage_turn(&stage);
    /* What was written may still be read for a moment; then it is over. */
    int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    size_t size = 0;
    for (ssize_t n = 1; n > 0 || (n < 0 && errno == EAGAIN);) {
        n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
        size += n > 0 ? (size_t)n : 0;
        stage_turn(&stage);
        assert_true(clock_monotonic_ms() < end);
    }
    assert_true(size <= VISITOR_OUTPUT_MAX + PIECES_ROUND * sizeof piece);
    close(fd);
    stage_close(&stage);
}

/* Turns until the queue heard PACE about TICKET as the COUNTth of all. */
static void await_pace(struct stage *stage, uint64_t ticket, enum admin_pace pace, unsigned count)
{
    int64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (stage->queue.wants < count) {
        stage_turn(stage);
        assert_true(clock_monotonic_ms() < end);
    }
    assert_int_equal(stage->queue.wants, count);
    assert_int_equal(stage->queue.want.ticket, ticket);
    assert_int_equal(stage->queue.want.pace, pace);
}

/* The queue rests while a long list is not read, goes on when it was, and forgets it when the reader has gone. */
static void a_slow_reader_makes_the_queue_rest(void **state)
{
    static char piece[ADMIN_TEXT_MAX];
    struct stage stage;
    uint64_t ticket;
    size_t said = 0, got = 0;
    (void)state;
    memset(piece, '7', sizeof piece - 1);
    stage_open(&stage, true);
    int fd = begin(&stage, &ticket);
    for (; !stage.queue.wants && said < VISITOR_OUTPUT_MAX; said += strlen(piece)) {
        stage_say(&stage.queue, ticket, piece, true);
        stage_turn(&stage);
    }
    await_pace(&stage, ticket, ADMIN_REST, 1);
    assert_true(said < 4 * VISITOR_OUTPUT_SLOW);
    while (got < said) {
        ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        stage_turn(&stage);
    }
    await_pace(&stage, ticket, ADMIN_GO_ON, 2);
    close(fd);
    await_pace(&stage, ticket, ADMIN_FORGET, 3);
    stage_close(&stage);
}

/* Only the visitor whose ticket it is hears the parent's answer; the lines of a refused configuration stay lines. */
static void the_parents_answer_finds_its_visitor(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    int fd = stage_visit(&stage);
    assert_true(stage_send(&stage, fd, SPAN("{\"com")));
    visitor_parent_answer(stage.control.visitors, 5, true, "");
    assert_true(stage_send(&stage, fd, SPAN("mand\": \"ping\"}\n")));
    has(stage_read(&stage, fd), DONE);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_name_the_reason),
        cmocka_unit_test(orders_reach_their_role),
        cmocka_unit_test(accounts_have_one_name),
        cmocka_unit_test(the_daemon_answers_for_itself),
        cmocka_unit_test(ends_are_told_in_a_line),
        cmocka_unit_test(a_piece_cannot_end_a_line),
        cmocka_unit_test(a_role_that_dies_ends_the_answer),
        cmocka_unit_test(leaving_takes_the_question_along),
        cmocka_unit_test(endless_lines_end),
        cmocka_unit_test(crowds_are_bounded),
        cmocka_unit_test(who_does_not_read_is_let_go),
        cmocka_unit_test(a_slow_reader_makes_the_queue_rest),
        cmocka_unit_test(the_parents_answer_finds_its_visitor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* HTTP for machines: the parser's cases, each also cut at every byte; and a server that strangers, crowds and silence do not hurt. */
#include "stage.h"

static const struct {
    struct span text;
    enum http_progress progress;
    const char *path; /* where it is done */
    bool head, allowed;
} cases[] = {
    { SPAN("GET / HTTP/1.1\r\n\r\n"), HTTP_DONE, "/", false, true },
    { SPAN("GET /metrics HTTP/1.0\r\n\r\n"), HTTP_DONE, "/metrics", false, true },
    { SPAN("GET /metrics?x=1&y HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_DONE, "/metrics", false, true },
    { SPAN("HEAD /status HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_DONE, "/status", true, true },
    { SPAN("POST /status HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"), HTTP_DONE, "/status", false, false },
    { SPAN("get / HTTP/1.1\r\n\r\n"), HTTP_DONE, "/", false, false },
    { SPAN("GET / HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"), HTTP_DONE, "/", false, true },
    { SPAN("GET /a\0b HTTP/1.1\r\n\r\n"), HTTP_DONE, "/a", false, true },
    { SPAN(""), HTTP_MORE, NULL, false, false },
    { SPAN("\r\n"), HTTP_MORE, NULL, false, false },
    { SPAN("GET / HTTP/1.1\n\n"), HTTP_MORE, NULL, false, false },
    { SPAN("\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET /\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET  / HTTP/1.1\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN(" GET / HTTP/1.1\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET / HTTP/1.1 \r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET / HTTP/2.0\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET / HTTP/1.10\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET metrics HTTP/1.1\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("GET http://localhost/metrics HTTP/1.1\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("OPTIONS * HTTP/1.1\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("EHLO client.example\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("\x16\x03\x01\0\0\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("\0\0\0\0\r\n\r\n"), HTTP_BAD, NULL, false, false },
    { SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_BAD, NULL, false, false },
};

static void parses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_request request = { 0 };
        const char *end = memmem(cases[i].text.p, cases[i].text.n, "\r\n\r\n", 4);
        size_t header = end ? (size_t)(end - cases[i].text.p) + 4 : cases[i].text.n + 1;
        if (http_parse(cases[i].text, &request) != cases[i].progress)
            fail_msg("case %zu", i);
        for (size_t n = 0; n < header && n < cases[i].text.n; n++)
            assert_int_equal(http_parse(span_head(cases[i].text, n), &request), HTTP_MORE);
        if (cases[i].progress != HTTP_DONE)
            continue;
        assert_int_equal(http_parse(cases[i].text, &request), HTTP_DONE);
        assert_true(span_equal(span_head(request.path, strlen(cases[i].path)), span_of(cases[i].path)));
        assert_int_equal(request.head, cases[i].head);
        assert_int_equal(request.allowed, cases[i].allowed);
    }
}

static void a_header_has_a_bound(void **state)
{
    static char text[HTTP_REQUEST_MAX + 4];
    struct http_request request;
    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(http_parse(span_make(text, HTTP_REQUEST_MAX - 1), &request), HTTP_MORE);
    assert_int_equal(http_parse(span_make(text, HTTP_REQUEST_MAX), &request), HTTP_BAD);
}

/* --- the server --- */

static const char *get(struct stage *stage, struct span text)
{
    int fd = stage_connect(stage);
    assert_true(stage_send(stage, fd, text));
    return stage_read(stage, fd);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in \"%s\"", part, text);
}

static void answers(void **state)
{
    static const struct {
        struct span text;
        const char *status, *body;
    } asked[] = {
        { SPAN("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n" },
        { SPAN("GET /healthz?verbose HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n" },
        { SPAN("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found\r\n", "there are /metrics" },
        { SPAN("GET /healthz/ HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found\r\n", "there are /metrics" },
        { SPAN("GET /../etc/passwd HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found\r\n", "there are /metrics" },
        { SPAN("GET /healthz\0 HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found\r\n", "there are /metrics" },
        { SPAN("DELETE /healthz HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed\r\n", "nothing can be changed" },
        { SPAN("POST /status HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}"), "HTTP/1.1 405 Method Not Allowed\r\n", "nothing" },
        { SPAN("MAIL FROM:<a@b>\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n", "no HTTP request" },
        { SPAN("\xff\xfe\x1b[2J\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n", "no HTTP request" },
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    for (size_t i = 0; i < COUNT(asked); i++) {
        const char *answer = get(&stage, asked[i].text);
        assert_ptr_equal(strstr(answer, asked[i].status), answer);
        has(answer, asked[i].body);
        has(answer, "\r\nConnection: close\r\n");
        assert_null(strstr(answer, "\x1b")); /* nothing of the request comes back */
    }
    stage_close(&stage);
}

static void head_has_no_body(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    const char *answer = get(&stage, SPAN("HEAD /healthz HTTP/1.1\r\n\r\n"));
    has(answer, "\r\nContent-Length: 3\r\n");
    assert_string_equal(answer + strlen(answer) - 4, "\r\n\r\n");
    answer = get(&stage, SPAN("HEAD /nothing HTTP/1.1\r\n\r\n"));
    has(answer, " 404 ");
    assert_string_equal(answer + strlen(answer) - 4, "\r\n\r\n");
    stage_close(&stage);
}

static void slow_and_pipelined_ones_get_one_answer(void **state)
{
    static const char text[] = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /status HTTP/1.1\r\n\r\n";
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    int fd = stage_connect(&stage);
    for (size_t i = 0; i + 1 < sizeof text; i++)
        if (!stage_send(&stage, fd, span_make(text + i, 1)))
            break;
    const char *answer = stage_read(&stage, fd);
    assert_ptr_equal(strstr(answer, "HTTP/1.1 200 OK"), answer);
    assert_null(strstr(answer + 1, "HTTP/1.1"));
    stage_close(&stage);
}

static void endless_lines_end(void **state)
{
    static char line[4 * HTTP_REQUEST_MAX];
    struct stage stage;
    (void)state;
    memset(line, 'a', sizeof line);
    memcpy(line, "GET /", 5);
    stage_open(&stage, false);
    int fd = stage_connect(&stage);
    stage_send(&stage, fd, span_make(line, sizeof line));
    has(stage_read(&stage, fd), "HTTP/1.1 400 Bad Request");
    has(get(&stage, SPAN("GET /healthz HTTP/1.1\r\n\r\n")), "200 OK");
    stage_close(&stage);
}

/* As many as may are served, one more is told so; when one leaves there is room again. */
static void crowds_are_bounded(void **state)
{
    int crowd[HTTP_CLIENTS_MAX];
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    for (size_t i = 0; i < COUNT(crowd); i++) {
        crowd[i] = stage_connect(&stage);
        assert_true(stage_send(&stage, crowd[i], SPAN("GET /hea")));
    }
    has(stage_read(&stage, stage_connect(&stage)), "HTTP/1.1 503 Service Unavailable");
    assert_true(stage_send(&stage, crowd[0], SPAN("lthz HTTP/1.1\r\n\r\n")));
    has(stage_read(&stage, crowd[0]), "200 OK");
    has(get(&stage, SPAN("GET /healthz HTTP/1.1\r\n\r\n")), "200 OK");
    for (size_t i = 1; i < COUNT(crowd); i++)
        close(crowd[i]);
    stage_turn(&stage);
    has(get(&stage, SPAN("GET /healthz HTTP/1.1\r\n\r\n")), "200 OK");
    stage_close(&stage);
}

static void tells_who_is_away(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, false);
    has(get(&stage, SPAN("GET /status HTTP/1.1\r\n\r\n")), "\"unavailable\": [");
    has(get(&stage, SPAN("GET /metrics HTTP/1.1\r\n\r\n")), "postern_up{role=\"policy\"} 0\n");
    stage_close(&stage);
}

static void puts_together_what_roles_say(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, true);
    int fd = stage_connect(&stage);
    assert_true(stage_send(&stage, fd, SPAN("GET /metrics HTTP/1.1\r\n\r\n")));
    stage_await(&stage, &stage.queue, 1);
    stage_await(&stage, &stage.policy, 1);
    assert_int_equal(stage.queue.asked[0].verb, ADMIN_STATUS);
    stage_say(&stage.queue, stage.queue.asked[0].ticket, "{\"queue\": {\"messages\": 4}, \"unavailable\": [\"policy\"], ", false);
    stage_say(&stage.queue, stage.queue.asked[0].ticket + 100, "nobody waits for this", true);
    stage_say(&stage.queue, stage.queue.asked[0].ticket, "\"version\": \"none\"}", true);
    stage_end(&stage.queue, stage.queue.asked[0].ticket, ADMIN_DONE, "");
    stage_say(&stage.policy, stage.policy.asked[0].ticket, "this is no JSON", true);
    stage_end(&stage.policy, stage.policy.asked[0].ticket, ADMIN_DONE, "");
    const char *answer = stage_read(&stage, fd);
    has(answer, "\npostern_queue_messages 4\n");
    has(answer, "\npostern_up{role=\"queue\"} 1\npostern_up{role=\"policy\"} 0\n");
    has(answer, "{version=\"" POSTERN_VERSION "\"}");
    stage_close(&stage);
}

/* A client that leaves, and a role that dies, while the overview is being gathered. */
static void leaving_takes_the_question_along(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, true);
    int fd = stage_connect(&stage);
    assert_true(stage_send(&stage, fd, SPAN("GET /status HTTP/1.1\r\n\r\n")));
    stage_await(&stage, &stage.policy, 1);
    close(fd);
    stage_turn(&stage);
    stage_say(&stage.queue, stage.queue.asked[0].ticket, "{}", true);
    stage_end(&stage.queue, stage.queue.asked[0].ticket, ADMIN_DONE, "");
    stage_end(&stage.policy, stage.policy.asked[0].ticket, ADMIN_DONE, "");
    stage_turn(&stage);
    fd = stage_connect(&stage);
    assert_true(stage_send(&stage, fd, SPAN("GET /status HTTP/1.1\r\n\r\n")));
    stage_await(&stage, &stage.policy, 2);
    stage_part(&stage, &stage.queue, CONTROL_QUEUE);
    stage_part(&stage, &stage.policy, CONTROL_POLICY);
    has(stage_read(&stage, fd), "\"unavailable\": [\n    \"queue\",\n    \"policy\"\n  ]");
    /* and with clients that still wait when all ends */
    fd = stage_connect(&stage);
    assert_true(stage_send(&stage, fd, SPAN("GET /sta")));
    stage_close(&stage);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(a_header_has_a_bound),
        cmocka_unit_test(answers),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(slow_and_pipelined_ones_get_one_answer),
        cmocka_unit_test(endless_lines_end),
        cmocka_unit_test(crowds_are_bounded),
        cmocka_unit_test(tells_who_is_away),
        cmocka_unit_test(puts_together_what_roles_say),
        cmocka_unit_test(leaving_takes_the_question_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

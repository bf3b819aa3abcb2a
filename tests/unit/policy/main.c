/* The policy role as a process, in its sandbox: asked by submission and control, ended, killed, reloaded. */
#include "../parent.h"

#include "../../../relay/base/text.h"
#include "../../../relay/channels/admin.h"
#include "../../../relay/channels/submission_policy.h"
#include "../../../relay/role/mains.h"

#include <dirent.h>

static char folder[64];
static struct parent parent;
static struct ipc *submission, *control;

/* What came last. */
static struct {
    bool answered, ended, told;
    struct policy_end told_end;
    struct policy_answer answer;
    struct policy_rcpt_answer rcpt;
    struct admin_end end;
    char json[4096];
} heard;

static void submission_hears(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)context;
    (void)fd;
    if (type == POLICY_END) {
        heard.told_end = *(const struct policy_end *)body;
        heard.told = true;
        return;
    }
    heard.rcpt = (struct policy_rcpt_answer){ .count = 0 };
    if (type == POLICY_RCPT_ANSWER)
        memcpy(&heard.rcpt, body, size);
    heard.answer = type == POLICY_RCPT_ANSWER ? heard.rcpt.each[0] : *(const struct policy_answer *)body;
    memcpy(&heard.answer.ticket, body, sizeof heard.answer.ticket);
    heard.answered = true;
}

static void control_hears(void *context, unsigned type, const void *body, size_t size, int fd)
{
    (void)context;
    (void)size;
    (void)fd;
    if (type == ADMIN_END) {
        heard.end = *(const struct admin_end *)body;
        heard.ended = true;
        return;
    }
    const struct admin_text *piece = body;
    strncat(heard.json, piece->text, piece->size);
}

static void settings_text(char text[900], unsigned rate)
{
    snprintf(text, 900,
             "hostname = \"relay.example.net\"\n"
             "domains = { \"example.net\" }\n"
             "listener test { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
             "limit hourly { key = account count = recipients rate = \"%u/1h\" burst = %u then = defer }\n"
             "policy { directory = \"%s\" }\n",
             rate, rate, folder);
}

static void begin(unsigned rate)
{
    char text[900];
    settings_text(text, rate);
    parent_start(&parent, policy_main, text);
    submission = parent_peer(&parent, ROLE_SUBMISSION, 0, &submission_policy_channel, submission_hears, NULL);
    control = parent_peer(&parent, ROLE_CONTROL, 0, &admin_channel, control_hears, NULL);
}

static int finish(bool in_order)
{
    ipc_free(&submission);
    ipc_free(&control);
    return parent_end(&parent, in_order);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/postern-policy-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    begin(10);
    return 0;
}

static int tear_down(void **state)
{
    char path[400];
    (void)state;
    int status = finish(true);
    DIR *dir = opendir(folder);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(folder);
    return status;
}

static enum policy_verdict rcpt(const char *account)
{
    static struct policy_rcpt ask;
    ask = (struct policy_rcpt){ .ticket = 5, .count = 1, .subject.client = { .family = 4, .bytes = { 127, 0, 0, 1 } } };
    text_copy(ask.subject.account, sizeof ask.subject.account, span_of(account));
    heard.answered = false;
    assert_true(ipc_send(submission, POLICY_RCPT, &ask, policy_rcpt_size(&ask), -1));
    parent_wait(&parent, &heard.answered);
    assert_int_equal(heard.answer.ticket, 5);
    return heard.answer.verdict;
}

static enum admin_result admin(enum admin_verb verb, const char *account)
{
    struct admin_ask ask = { .ticket = 6, .verb = verb };
    text_copy(ask.account, sizeof ask.account, span_of(account));
    heard.ended = false;
    heard.json[0] = '\0';
    assert_true(ipc_send(control, ADMIN_ASK, &ask, sizeof ask, -1));
    parent_wait(&parent, &heard.ended);
    assert_int_equal(heard.end.ticket, 6);
    return heard.end.result;
}

/* How many recipients of ACCOUNT are counted, as an administrator sees it. */
static int used(const char *account)
{
    int value = -1;
    assert_int_equal(admin(ADMIN_LIMITS, account), ADMIN_DONE);
    const char *at = strstr(heard.json, "\"used\":");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"used\":%d", &value), 1);
    return value;
}

static void submission_asks(void **state)
{
    struct policy_mail mail = { .ticket = 9 };
    (void)state;
    text_copy(mail.subject.sender, sizeof mail.subject.sender, SPAN("x@example.com"));
    heard.answered = false;
    assert_true(ipc_send(submission, POLICY_MAIL, &mail, sizeof mail, -1));
    parent_wait(&parent, &heard.answered);
    assert_int_equal(heard.answer.verdict, POLICY_REJECT);
    assert_memory_equal(heard.answer.reply, "553 5.7.1 ", 10);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(rcpt("alice"), i < 10 ? POLICY_ALLOW : POLICY_DEFER);
    assert_memory_equal(heard.answer.reply, "450 4.7.1 ", 10);
    static struct policy_content content = { .ticket = 10, .from_fields = 2, .from_count = 1 };
    heard.answered = false;
    assert_true(ipc_send(submission, POLICY_CONTENT, &content, offsetof(struct policy_content, from) + SMTP_ADDRESS_SIZE, -1));
    parent_wait(&parent, &heard.answered);
    assert_int_equal(heard.answer.verdict, POLICY_REJECT);
}

/* Of a batch so much is sent as is not plain, and the rest reads as allowed. */
static void submission_asks_for_many(void **state)
{
    static struct policy_rcpt ask;
    (void)state;
    ask = (struct policy_rcpt){ .ticket = 5, .count = 8 };
    text_copy(ask.subject.account, sizeof ask.subject.account, SPAN("alice"));
    for (unsigned round = 0; round < 2; round++) {
        heard.answered = false;
        assert_true(ipc_send(submission, POLICY_RCPT, &ask, policy_rcpt_size(&ask), -1));
        parent_wait(&parent, &heard.answered);
        assert_int_equal(heard.rcpt.ticket, 5);
        assert_int_equal(heard.rcpt.count, 8);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(heard.rcpt.each[i].verdict, round * 8 + i < 10 ? POLICY_ALLOW : POLICY_DEFER);
        assert_int_equal(policy_rcpt_answer_size(&heard.rcpt) > offsetof(struct policy_rcpt_answer, each[1]), round);
    }
    assert_memory_equal(heard.rcpt.each[7].reply, "450 4.7.1 ", 10);
}

static void control_asks(void **state)
{
    (void)state;
    assert_int_equal(admin(ADMIN_STATUS, ""), ADMIN_DONE);
    assert_string_equal(heard.json, "{\"accounts\":[],\"store\":{\"kind\":\"local\"}}");
    for (unsigned i = 0; i < 11; i++)
        rcpt("alice");
    assert_int_equal(admin(ADMIN_STATUS, ""), ADMIN_DONE);
    assert_non_null(strstr(heard.json, "\"alice\""));
    assert_int_equal(used("Alice"), 10);
    assert_int_equal(used("bob"), 0);
    assert_int_equal(admin(ADMIN_QUEUE_LIST, ""), ADMIN_REFUSED);
    assert_int_equal(admin((enum admin_verb)999, ""), ADMIN_REFUSED);
    assert_true(strlen(heard.end.reason) > 0);
}

static void counts_outlive_an_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        rcpt("alice");
    assert_int_equal(finish(true), 0);
    begin(10);
    assert_int_equal(used("alice"), 4);
}

static void counts_outlive_a_kill(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        rcpt("alice");
    usleep(1500000);
    assert_int_equal(finish(false), -1);
    begin(10);
    assert_int_equal(used("alice"), 4);
}

static void reload_keeps_counts(void **state)
{
    char text[900];
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        rcpt("alice");
    settings_text(text, 5);
    parent_settings(&parent, text, true);
    assert_int_equal(used("alice"), 4);
    assert_int_equal(rcpt("alice"), POLICY_ALLOW);
    assert_int_equal(rcpt("alice"), POLICY_DEFER);
}

/* A suspension outlives a kill, and who has sessions is told of it when it meets the next process. */
static void a_suspension_outlives_a_kill(void **state)
{
    (void)state;
    assert_int_equal(admin(ADMIN_ACCOUNT_SUSPEND, "Alice"), ADMIN_DONE);
    parent_wait(&parent, &heard.told);
    assert_string_equal(heard.told_end.account, "alice");
    assert_int_equal(rcpt("alice"), POLICY_REJECT);
    heard.told = false;
    assert_int_equal(finish(false), -1);
    begin(10);
    parent_wait(&parent, &heard.told);
    assert_string_equal(heard.told_end.account, "alice");
    assert_int_equal(rcpt("alice"), POLICY_REJECT);
    assert_int_equal(admin(ADMIN_ACCOUNT_RESUME, "alice"), ADMIN_DONE);
    assert_int_equal(rcpt("alice"), POLICY_ALLOW);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(submission_asks_for_many),     TEST(submission_asks),       TEST(control_asks),
        TEST(counts_outlive_an_end),        TEST(counts_outlive_a_kill), TEST(reload_keeps_counts),
        TEST(a_suspension_outlives_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

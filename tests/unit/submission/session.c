/* Sessions whose surroundings answer, refuse, fall silent or go away. */
#include "stage.h"

#define MESSAGE "From: a@example.net\r\nSubject: x\r\n\r\nbody\r\n.\r\n"

static struct stage *stage;

static int set_up(void **state)
{
    (void)state;
    stage = stage_new(true);
    return 0;
}

static int set_up_free(void **state)
{
    (void)state;
    stage = stage_new(false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stage_free(stage);
    return 0;
}

static void send_message(const char *reply)
{
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    stage_say(stage, "DATA\r\n", "354");
    stage_say(stage, MESSAGE, reply);
}

/* The message is in the segment, and the queue was told before the client was. */
static void stored_and_told(void **state)
{
    (void)state;
    struct record record;
    stage_connect(stage, STAGE_PLAIN);
    send_message("250 2.0.0 ");
    stage_turns(stage, 5);
    assert_int_equal(stage->ntold, 1);
    char name[SEGMENT_NAME_SIZE], id[UID_TEXT_SIZE];
    segment_name(stage->told[0].segment, name);
    int fd = openat(stage->folder_fd, name, O_RDONLY | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_int_equal(record_read(fd, stage->told[0].offset, (uint64_t)size, &record), RECORD_OK);
    uid_print(record.id, id);
    assert_memory_equal(stage->reply + strlen("250 2.0.0 "), id, UID_TEXT);
    struct buffer content;
    buffer_init(&content, 4096);
    assert_int_equal(record_read_content(fd, &record, 0, record.content_size, &content), RECORD_OK);
    assert_string_equal(buffer_text(&content), "From: a@example.net\r\nSubject: x\r\n\r\nbody\r\n");
    buffer_fini(&content);
    close(fd);
}

/* Each question is asked once, and none where nothing could object. */
static void questions(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    send_message("250 2.0.0 ");
    assert_int_equal(stage->policy_mails, 1);
    assert_int_equal(stage->policy_rcpts, 1);
    assert_int_equal(stage->policy_contents, 0);
    assert_int_equal(stage->dns_asked, 1);
    send_message("250 2.0.0 ");
    assert_int_equal(stage->dns_asked, 1); /* example.com is known by now */
}

static void no_questions(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    send_message("250 2.0.0 ");
    assert_int_equal(stage->policy_mails + stage->policy_rcpts + stage->policy_contents, 0);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "250");
    stage_say(stage, "DATA\r\n", "354");
    stage_say(stage, "From: a@example.net\r\nFrom: b@example.net\r\n\r\n.\r\n", "250");
    assert_int_equal(stage->policy_contents, 1); /* two From fields are always shown */
    assert_int_equal(stage->last_content.from_fields, 2);
    assert_string_equal(stage->last_content.from[1], "b@example.net");
}

static void policy_refuses(void **state)
{
    (void)state;
    static const struct {
        struct policy_answer answer;
        const char *reply;
    } cases[] = {
        { { .verdict = POLICY_REJECT, .reply = "553 5.7.1 not yours" }, "553 5.7.1 not yours" },
        { { .verdict = POLICY_DEFER, .reply = "450 4.7.1 slowly" }, "450 4.7.1 slowly" },
        { { .verdict = POLICY_DEFER, .reply = "450 4.7.1 a\r\n250 ok" }, "450 4.7.1 a\\x0d\\x0a250 ok" },
        { { .verdict = POLICY_REJECT, .reply = "250 2.0.0 ok" }, "451 4.7.0" },
        { { .verdict = POLICY_REJECT }, "451 4.7.0" },
        { { .verdict = POLICY_REJECT, .delay_ms = 50, .reply = "550 5.7.1 at last" }, "550 5.7.1 at last" },
        { { .verdict = POLICY_HOLD }, "250 2.1.0" },
        { { .verdict = POLICY_ALLOW, .delay_ms = 50 }, "250 2.1.0" },
    };
    stage_connect(stage, STAGE_PLAIN);
    for (size_t i = 0; i < COUNT(cases); i++) {
        stage->policy_answer = cases[i].answer;
        stage_say(stage, "MAIL FROM:<a@example.net>\r\nRSET\r\n", cases[i].reply);
        stage_expect(stage, "250 2.0.0");
    }
}

static void policy_goes(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage->mute_policy = true;
    stage_send(stage, "MAIL FROM:<a@example.net>\r\n");
    stage_turns(stage, 10);
    ipc_free(&stage->policy);
    stage_expect(stage, "451 4.7.0");
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "451 4.7.0"); /* and while it is away */
    stage->mute_policy = false;
    stage_add_policy(stage);
    send_message("250 2.0.0 ");
}

/* An answer to a question of before, and one to a client that has gone, are for nobody. */
static void late_answers(void **state)
{
    (void)state;
    struct policy_answer late = { .verdict = POLICY_REJECT, .reply = "550 5.7.1 too late" };
    stage_connect(stage, STAGE_PLAIN);
    stage->mute_policy = true;
    stage_send(stage, "MAIL FROM:<a@example.net>\r\n");
    stage_turns(stage, 10);
    late.ticket = stage->last_ticket;
    ipc_free(&stage->policy);
    stage_expect(stage, "451 4.7.0");
    stage->mute_policy = false;
    stage_add_policy(stage);
    ipc_send(stage->policy, POLICY_ANSWER, &late, sizeof late, -1);
    stage_say(stage, "NOOP\r\n", "250 2.0.0");
    stage->mute_policy = true;
    stage_send(stage, "MAIL FROM:<a@example.net>\r\n");
    stage_turns(stage, 10);
    late.ticket = stage->last_ticket;
    front_free(&stage->front); /* the session with it */
    stage->front = front_new(&stage->role);
    stage_add_policy(stage);
    stage_add_queue(stage);
    ipc_send(stage->policy, POLICY_ANSWER, &late, sizeof late, -1);
    stage_turns(stage, 10);
}

/* What a client pipelines is asked about at once, and answered in order, each by what policy says of it. */
static void a_batch(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage->bad_recipient = "c@example.com";
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_send(stage, "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nrcpt to:<d@EXAMPLE.com> NOTIFY=NEVER\r\n"
                      "RCPT TO:<c@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
    static const char *const replies[] = { "250 2.1.5", "450 4.7.1", "250 2.1.5", "450 4.7.1", "250 2.1.5", "354" };
    for (size_t i = 0; i < COUNT(replies); i++)
        stage_expect(stage, replies[i]);
    assert_int_equal(stage->policy_rcpts, 1);
    assert_string_equal(stage->asked_recipients, "b@example.com c@example.com d@example.com c@example.com b@example.com ");
    stage_say(stage, MESSAGE, "250 2.0.0 ");
    send_message("250 2.0.0 ");
    assert_int_equal(stage->policy_rcpts, 2);
}

/* That an account is watched is heard with whichever recipient policy says it of. */
static void a_watched_batch(void **state)
{
    (void)state;
    static const char *const replies[] = { "250 2.1.5", "250 2.1.5", "250 2.1.5", "354" };
    stage_connect(stage, STAGE_PLAIN);
    for (unsigned watched = 0; watched < 2; watched++) {
        stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
        stage->policy_answer.watched = (uint8_t)watched;
        stage_send(stage, "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nDATA\r\n");
        for (size_t i = 0; i < COUNT(replies); i++)
            stage_expect(stage, replies[i]);
        stage_say(stage, MESSAGE, "250 2.0.0 ");
        stage_turns(stage, 5);
        assert_int_equal(stage->policy_samples, watched);
    }
}

/* What would not get as far as policy is not asked about. */
static void a_batch_ends(void **state)
{
    (void)state;
    static const struct {
        const char *commands, *asked;
        const char *replies[4];
    } cases[] = {
        { "RCPT TO:<b@example.com>\r\nRCPT TO:<>\r\nRCPT TO:<c@example.com>\r\n", "c@example.com ", { "250", "501", "250" } },
        { "RCPT TO:<b@example.com>\r\nRSET\r\nRCPT TO:<c@example.com>\r\n", "b@example.com ", { "250", "250", "503" } },
        { "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\n", "b@example.com ", { "250", "500" } },
        { "RCPT TO:<b@example.com>\r\nRCPT TO:<c@[192.0.2.1]>\r\nNOOP\r\n",
          "b@example.com c@[192.0.2.1] ",
          { "250", "250", "250" } },
        { "RCPT TO:<b@example.com>\r\nRCPT TO:<c@elsewhere.example>\r\n", "c@elsewhere.example ", { "250", "250" } },
        { "RCPT TO:<b@example.com>\r\nRCPT TO:<postmaster>\r\n", "b@example.com postmaster@example.net ", { "250", "250" } },
    };
    stage_connect(stage, STAGE_PLAIN);
    for (size_t i = 0; i < COUNT(cases); i++) {
        stage_say(stage, "RSET\r\n", "250");
        stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
        stage_send(stage, cases[i].commands);
        for (size_t k = 0; k < 4 && cases[i].replies[k]; k++)
            stage_expect(stage, cases[i].replies[k]);
        assert_string_equal(stage->asked_recipients, cases[i].asked);
    }
}

/* A line that is not there in full yet is asked about when it is; nothing is asked about twice. */
static void a_batch_in_pieces(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_policy = true;
    stage_send(stage, "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@exam");
    while (!stage->policy_rcpts)
        stage_turn(stage);
    assert_string_equal(stage->asked_recipients, "b@example.com c@example.com ");
    stage_send(stage, "ple.com>\r\nRSET\r\n");
    struct policy_rcpt_answer answer = { .ticket = stage->last_ticket, .count = 2 };
    stage->mute_policy = false;
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each[2]), -1);
    for (unsigned i = 0; i < 4; i++)
        stage_expect(stage, "250 2.");
    assert_int_equal(stage->policy_rcpts, 2);
    assert_string_equal(stage->asked_recipients, "d@example.com ");
}

/* The maximum counts who was accepted: where some of a batch were not, those beyond it are asked about after all. */
static void a_batch_and_the_maximum(void **state)
{
    (void)state;
    stage->listeners[STAGE_PLAIN].max_recipients = 2;
    stage->bad_recipient = "c@example.com";
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_send(stage,
               "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nRCPT TO:<e@example.com>\r\n");
    stage_expect(stage, "250 2.1.5");
    stage_expect(stage, "450 4.7.1");
    stage_expect(stage, "250 2.1.5");
    stage_expect(stage, "452 4.5.3");
    assert_string_equal(stage->asked_recipients, "d@example.com ");
    assert_int_equal(stage->policy_rcpts, 2);
}

/* Behind one that has to wait, policy has looked at nobody. */
static void a_slow_batch(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage->slow_recipient = "c@example.com";
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_send(stage, "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nRSET\r\n");
    for (unsigned i = 0; i < 4; i++)
        stage_expect(stage, "250 2.");
    assert_int_equal(stage->policy_rcpts, 2);
    assert_string_equal(stage->asked_recipients, "d@example.com ");
}

/* A client that goes, and a policy process that goes, while a batch is asked about. */
static void a_batch_unanswered(void **state)
{
    (void)state;
    static const char *const commands = "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRSET\r\n";
    stage->mute_policy = false;
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_policy = true;
    stage_send(stage, commands);
    while (!stage->policy_rcpts)
        stage_turn(stage);
    stage_hang_up(stage);
    struct policy_rcpt_answer answer = { .ticket = stage->last_ticket, .count = 2 };
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each[2]), -1);
    stage->mute_policy = false;
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_policy = true;
    stage_send(stage, commands);
    while (stage->policy_rcpts < 2)
        stage_turn(stage);
    ipc_free(&stage->policy);
    stage_expect(stage, "451 4.7.0");
    stage_expect(stage, "451 4.7.0");
    stage_expect(stage, "250 2.0.0");
}

/* An answer of the wrong kind, one for nobody and one for more than were asked about. */
static void a_batch_answered_wrong(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_policy = true;
    stage_send(stage, "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nNOOP\r\n");
    while (!stage->policy_rcpts)
        stage_turn(stage);
    struct policy_answer other = { .ticket = stage->last_ticket, .verdict = POLICY_REJECT, .reply = "550 5.7.1 no" };
    static struct policy_rcpt_answer answer;
    answer = (struct policy_rcpt_answer){ .ticket = stage->last_ticket };
    ipc_send(stage->policy, POLICY_ANSWER, &other, sizeof other, -1);
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each), -1);
    answer.count = 3;
    answer.each[2].verdict = 99;
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each[3]), -1);
    answer.each[2].verdict = POLICY_REJECT;
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each[3]), -1);
    stage_expect(stage, "250 2.1.5");
    stage_expect(stage, "250 2.1.5");
    stage_expect(stage, "250 2.0.0");
}

static void domains(void **state)
{
    (void)state;
    static const struct {
        enum dns_status status;
        const char *reply;
    } cases[] = {
        { DNS_NXDOMAIN, "550 5.1.2" }, { DNS_NO_MAIL, "550 5." },      { DNS_NULL_MX, "556 5.1.10" },
        { DNS_LOOP, "550 5.4.6" },     { DNS_SERVFAIL, "250 2.1.5" },  { DNS_TIMEOUT, "250 2.1.5" },
        { DNS_REFUSED, "250 2.1.5" },  { DNS_MALFORMED, "250 2.1.5" }, { DNS_OK, "250 2.1.5" },
    };
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    for (size_t i = 0; i < COUNT(cases); i++) {
        stage->dns_answer.status = cases[i].status;
        stage_say(stage, "RCPT TO:<b@example.com>\r\n", cases[i].reply);
    }
    assert_int_equal(stage->dns_asked, COUNT(cases));
}

static void dns_goes(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_dns = true;
    stage_send(stage, "RCPT TO:<b@example.com>\r\n");
    stage_turns(stage, 10);
    ipc_free(&stage->dns);
    stage_expect(stage, "250 2.1.5");
    stage_say(stage, "RCPT TO:<b@example.org>\r\n", "250 2.1.5");
}

static void queue_goes(void **state)
{
    (void)state;
    struct spool_space space = { .enough = 0 };
    stage_connect(stage, STAGE_PLAIN);
    send_message("250 2.0.0 ");
    ipc_send(stage->queue, SPOOL_SPACE, &space, sizeof space, -1);
    stage_turns(stage, 10);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "452 4.3.1");
    ipc_free(&stage->queue);
    stage_turns(stage, 10);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "451 4.3.0");
    stage_add_queue(stage);
    send_message("250 2.0.0 ");
}

/* A message in hand while the queue goes is refused, since there is no segment to be had, or told to the next one. */
static void queue_goes_in_data(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    stage_say(stage, "DATA\r\n", "354");
    stage_turns(stage, 10);
    ipc_free(&stage->queue);
    stage_turns(stage, 10);
    stage_send(stage, MESSAGE);
    assert_true(stage_reply(stage));
    bool stored = strncmp(stage->reply, "250", 3) == 0;
    assert_true(stored || strncmp(stage->reply, "451 4.3.0", 9) == 0);
    stage_add_queue(stage);
    stage_turns(stage, 10);
    assert_int_equal(stage->ntold, stored ? 1 : 0);
    send_message("250 2.0.0 ");
}

/* Its own segment, streamed. */
static void large_message(void **state)
{
    (void)state;
    char line[1001];
    memset(line, 'x', sizeof line);
    memcpy(line + 998, "\r\n", 3);
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    stage_say(stage, "DATA\r\n", "354");
    stage_send(stage, "From: a@example.net\r\n\r\n");
    for (unsigned i = 0; i < 2000; i++) {
        stage_send(stage, line);
        if (i % 8 == 0)
            stage_turn(stage);
    }
    stage_say(stage, ".\r\n", "250 2.0.0 ");
    stage_turns(stage, 5);
    assert_int_equal(stage->ntold, 1);
}

#define REPORT_HEAD "From: a@example.net\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
#define REPORT_BODY                                                                                                              \
    "--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nOriginal-Rcpt-To: bob@example.com\r\n\r\n"      \
    "--b\r\nContent-Type: message/rfc822\r\n\r\nReceived: by relay.example.net with ESMTPSA id 0123456789abcdefghj0\r\n"         \
    " (mark 00000000000000ff)\r\n\r\n..\r\n--b--\r\n.\r\n"

static void send_report(const char *recipient, const char *body)
{
    char line[200];
    snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", recipient);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, line, "250 2.1.5");
    stage_say(stage, "DATA\r\n", "354");
    stage_send(stage, REPORT_HEAD);
    stage_turns(stage, 2);
    stage_say(stage, body, strcmp(body, REPORT_BODY) == 0 ? "250 2.0.0 " : "550 5.5.2 ");
    stage_turns(stage, 5);
}

/* Policy is told of a report once it is accepted, and only of one to the configured address at a listener without logins. */
static void reports(void **state)
{
    struct uid id;
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    send_report("abuse-reports@example.net", REPORT_BODY);
    assert_int_equal(stage->policy_reports, 0);
    stage->conf.policy.report_address = (char *)(uintptr_t) "abuse-reports@example.net";
    send_report("bob@example.net", REPORT_BODY);
    send_report("abuse-reports@example.net", "bare \n is refused\r\n.\r\n");
    assert_int_equal(stage->policy_reports, 0);
    send_report("Abuse-Reports@Example.NET", REPORT_BODY);
    assert_int_equal(stage->policy_reports, 1);
    assert_int_equal(stage->ntold, 3);
    assert_true(uid_parse(SPAN("0123456789abcdefghj0"), &id));
    assert_int_equal(uid_compare(stage->last_report.id, id), 0);
    assert_int_equal(uid_compare(stage->last_report.report, stage->told[2].id), 0);
    assert_true(stage->last_report.has_id && stage->last_report.accuses && stage->last_report.mark == 0xff);
    assert_string_equal(stage->last_report.type, "abuse");
    assert_string_equal(stage->last_report.recipient, "bob@example.com");
    stage->listeners[STAGE_PLAIN].auth = CONF_AUTH_OPTIONAL;
    send_report("abuse-reports@example.net", REPORT_BODY);
    assert_int_equal(stage->policy_reports, 1);
    stage->listeners[STAGE_PLAIN].auth = CONF_AUTH_NONE;
}

static void too_slow(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_HASTY);
    stage_send(stage, "NO");
    stage_expect(stage, "421 4.4.2");
    stage_expect(stage, "");
    stage_connect(stage, STAGE_HASTY);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    stage_say(stage, "DATA\r\n", "354");
    stage_send(stage, "Subject: x\r\n");
    stage_expect(stage, "421 4.4.2");
    stage_expect(stage, "");
}

static void send_done(enum auth_verdict verdict, uint32_t delay_ms, const char *last_word)
{
    struct auth_done done = { .ticket = stage->last_ticket,
                              .verdict = (uint8_t)verdict,
                              .delay_ms = delay_ms,
                              .account = "alice",
                              .data_size = (uint32_t)strlen(last_word) };
    memcpy(done.data, last_word, done.data_size);
    ipc_send(stage->auth, AUTH_DONE, &done, offsetof(struct auth_done, data) + done.data_size, -1);
}

static void send_challenge(const char *text)
{
    struct auth_challenge challenge = { .ticket = stage->last_ticket, .data_size = (uint32_t)strlen(text) };
    memcpy(challenge.data, text, challenge.data_size);
    ipc_send(stage->auth, AUTH_CHALLENGE, &challenge, offsetof(struct auth_challenge, data) + challenge.data_size, -1);
}

/* Says LINE, which reaches the auth role. */
static void ask_auth(const char *line)
{
    unsigned before = stage->auth_asked;
    stage_send(stage, line);
    while (stage->auth_asked == before)
        stage_turn(stage);
}

/* SCRAM up to where the client has shown what it knows. */
static void begin_scram(void)
{
    ask_auth("AUTH SCRAM-SHA-256 bixh\r\n");
    send_challenge("r=1");
    stage_expect(stage, "334 cj0x");
    ask_auth("Yz1i\r\n");
}

static void auth_verdicts(void **state)
{
    (void)state;
    static const struct {
        enum auth_verdict verdict;
        uint32_t delay_ms;
        const char *reply;
    } cases[] = {
        { AUTH_REFUSED, 0, "535 5.7.8" },   { AUTH_REFUSED, 30, "535 5.7.8" },  { AUTH_MALFORMED, 0, "501 5.5.2" },
        { AUTH_MECHANISM, 0, "504 5.5.4" }, { AUTH_TEMPORARY, 0, "454 4.7.0" }, { AUTH_LOCKED, 0, "421 4.7.0" },
        { AUTH_ACCEPTED, 0, "235 2.7.0" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        stage_connect(stage, STAGE_TLS);
        ask_auth("AUTH PLAIN AGEAYg==\r\n");
        send_done(cases[i].verdict, cases[i].delay_ms, "");
        stage_expect(stage, cases[i].reply);
        if (cases[i].verdict == AUTH_LOCKED)
            stage_expect(stage, "");
        else
            stage_say(stage, "MAIL FROM:<a@example.net>\r\n", cases[i].verdict == AUTH_ACCEPTED ? "250" : "530");
    }
    assert_int_equal(stage->last_begin.data_size, 4);
    assert_string_equal(stage->last_begin.mechanism, "PLAIN");
    assert_int_equal(stage->last_begin.binding_size, CERTIFICATES_BINDING_SIZE);
}

static void auth_dialogue(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    begin_scram();
    send_done(AUTH_ACCEPTED, 0, "v=1");
    stage_expect(stage, "334 dj0x");
    stage_say(stage, "\r\n", "235 2.7.0");
    assert_int_equal(stage->policy_logins, 1);
    stage_say(stage, "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1");
}

static void policy_says(enum policy_verdict verdict, const char *reply, uint32_t delay_ms)
{
    stage->policy_answer = (struct policy_answer){ .verdict = verdict, .delay_ms = delay_ms };
    strncpy(stage->policy_answer.reply, reply, sizeof stage->policy_answer.reply - 1);
}

/* What a password is answered with that auth judges by VERDICT while policy answers so. */
static void logins(void **state)
{
    static const struct {
        enum auth_verdict auth;
        enum policy_verdict policy;
        const char *said, *reply;
        bool closes;
    } cases[] = {
        { AUTH_ACCEPTED, POLICY_ALLOW, "", "235 2.7.0", false },
        { AUTH_REFUSED, POLICY_ALLOW, "", "535 5.7.8", false },
        { AUTH_ACCEPTED, POLICY_REJECT, "525 5.7.13 account alice is suspended", "525 5.7.13 account alice is suspended", false },
        { AUTH_REFUSED, POLICY_DEFER, "421 4.7.0 limit guesses", "421 4.7.0 limit guesses", true },
        { AUTH_ACCEPTED, POLICY_DEFER, "421 4.7.0 limit guesses", "421 4.7.0 limit guesses", true },
        { AUTH_ACCEPTED, POLICY_REJECT, "no reply line", "451 4.7.0", false },
        { AUTH_ACCEPTED, POLICY_HOLD, "525 5.7.13 what a login does not know", "525 5.7.13", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool accepted = cases[i].auth == AUTH_ACCEPTED;
        policy_says(cases[i].policy, cases[i].said, 0);
        stage_connect(stage, STAGE_TLS);
        ask_auth("AUTH PLAIN AGEAYg==\r\n");
        send_done(cases[i].auth, 0, "");
        stage_expect(stage, cases[i].reply);
        assert_int_equal(stage->policy_logins, i + 1);
        assert_int_equal(stage->last_login.accepted, accepted);
        assert_string_equal(stage->last_login.account, "alice");
        policy_says(POLICY_ALLOW, "", 0);
        if (cases[i].closes)
            stage_expect(stage, "");
        else
            stage_say(stage, "MAIL FROM:<a@example.net>\r\n", cases[i].reply[0] == '2' ? "250" : "530");
    }
}

/* Without policy a right password is not enough, and a wrong one is wrong. */
static void logins_without_policy(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    stage->mute_policy = true;
    ask_auth("AUTH PLAIN AGEAYg==\r\n");
    send_done(AUTH_ACCEPTED, 0, "");
    while (!stage->policy_logins)
        stage_turn(stage);
    ipc_free(&stage->policy);
    stage_expect(stage, "454 4.7.0");
    ask_auth("AUTH PLAIN AGEAYg==\r\n");
    send_done(AUTH_ACCEPTED, 0, "");
    stage_expect(stage, "454 4.7.0");
    ask_auth("AUTH PLAIN AGEAYg==\r\n");
    send_done(AUTH_REFUSED, 0, "");
    stage_expect(stage, "535 5.7.8");
    stage->mute_policy = false;
    stage_add_policy(stage);
    ask_auth("AUTH PLAIN AGEAYg==\r\n");
    send_done(AUTH_ACCEPTED, 0, "");
    stage_expect(stage, "235 2.7.0");
}

/* The client goes while policy is asked about it. */
static void a_login_whose_client_goes(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    stage->mute_policy = true;
    ask_auth("AUTH PLAIN AGEAYg==\r\n");
    send_done(AUTH_ACCEPTED, 0, "");
    while (!stage->policy_logins)
        stage_turn(stage);
    struct policy_answer answer = { .ticket = stage->last_ticket };
    shutdown(stage->client, SHUT_RDWR);
    session_free(stage_session(stage));
    ipc_send(stage->policy, POLICY_ANSWER, &answer, sizeof answer, -1);
    stage_turns(stage, 5);
    assert_true(list_empty(&stage->front->sessions));
}

/* How long the answer to a login waits, in seconds. */
static int64_t login_waits(enum auth_verdict verdict, uint32_t delay_ms, const char *last_word)
{
    stage_connect(stage, STAGE_TLS);
    begin_scram();
    send_done(verdict, delay_ms, last_word);
    const struct session *session = stage_session(stage);
    while (session->wait.kind != WAIT_DELAY)
        stage_turn(stage);
    return (session->wait.deadline_ms - clock_monotonic_ms() + 9999) / 10000 * 10;
}

/* Where policy refuses, neither the time nor a last word says whether the password was right; where it does not, both delays count. */
static void a_guesser_learns_nothing(void **state)
{
    (void)state;
    policy_says(POLICY_DEFER, "421 4.7.0 limit guesses", 20000);
    assert_int_equal(login_waits(AUTH_REFUSED, 40000, ""), 20);
    assert_int_equal(login_waits(AUTH_ACCEPTED, 0, "v=1"), 20);
    assert_int_equal(buffer_size(&stage_session(stage)->replies), strlen("421 4.7.0 limit guesses\r\n"));
    policy_says(POLICY_ALLOW, "", 20000);
    assert_int_equal(login_waits(AUTH_REFUSED, 30000, ""), 50);
    assert_int_equal(login_waits(AUTH_ACCEPTED, 0, "v=1"), 20);
    policy_says(POLICY_REJECT, "525 5.7.13 account alice is suspended", 0);
    stage_connect(stage, STAGE_TLS);
    begin_scram();
    send_done(AUTH_ACCEPTED, 0, "v=1");
    stage_expect(stage, "525 5.7.13");
}

static void log_in(void)
{
    stage_connect(stage, STAGE_TLS);
    ask_auth("AUTH PLAIN AGEAYg==\r\n");
    send_done(AUTH_ACCEPTED, 0, "");
    stage_expect(stage, "235 2.7.0");
}

static void end_account(const char *account)
{
    struct policy_end end = { .account = "" };
    strncpy(end.account, account, sizeof end.account - 1);
    ipc_send(stage->policy, POLICY_END, &end, sizeof end, -1);
}

#define SUSPENDED "421 4.7.0 this account is suspended"

/* The session of a suspended account ends, whatever it does. */
static void suspended_in_each_phase(void **state)
{
    static const char *const said[][2] = {
        { "NOOP\r\n", "250" },
        { "MAIL FROM:<a@example.net>\r\n", "250 2.1.0" },
        { "RCPT TO:<b@example.com>\r\n", "250 2.1.5" },
        { "DATA\r\n", "354" },
    };
    (void)state;
    for (size_t phase = 0; phase <= COUNT(said); phase++) {
        log_in();
        for (size_t i = 0; i < COUNT(said) && i <= phase; i++)
            stage_say(stage, said[i][0], said[i][1]);
        if (phase == COUNT(said))
            stage_send(stage, "From: a@example.net\r\n\r\nthe first line of\r\n");
        stage_turns(stage, 3);
        end_account("bob");
        end_account("alic");
        end_account("");
        end_account("ALICE");
        stage_expect(stage, SUSPENDED);
        stage_expect(stage, "");
    }
    while (!list_empty(&stage->front->sessions))
        stage_turn(stage);
    assert_int_equal(stage->ntold, 0);
}

/* Others, and those without a login, go on. */
static void others_are_not_ended(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    end_account("alice");
    end_account("");
    send_message("250 2.0.0 ");
}

/* Suspended while the message is being stored: it is answered first, since it is stored. */
static void suspended_while_storing(void **state)
{
    (void)state;
    log_in();
    stage->mute_queue = true;
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    stage_say(stage, "DATA\r\n", "354");
    stage_send(stage, MESSAGE "NOOP\r\n");
    const struct session *session = stage_session(stage);
    while (session->wait.kind != WAIT_STORE || !stage->segment_asks)
        stage_turn(stage);
    end_account("alice");
    while (!session->ending)
        stage_turn(stage);
    stage_give_segment(stage, &stage->unanswered);
    stage_expect(stage, "250 2.0.0 ");
    stage_expect(stage, SUSPENDED);
    stage_expect(stage, "");
    while (!stage->ntold)
        stage_turn(stage);
}

/* Suspended by the very question that is being answered, as it is mostly. */
static void suspended_by_its_question(void **state)
{
    (void)state;
    log_in();
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_policy = true;
    stage_send(stage, "RCPT TO:<b@example.com>\r\nNOOP\r\n");
    while (!stage->policy_rcpts)
        stage_turn(stage);
    struct policy_rcpt_answer answer = { .ticket = stage->last_ticket, .count = 1 };
    answer.each[0] = (struct policy_answer){ .verdict = POLICY_REJECT, .reply = "550 5.7.1 account alice is suspended" };
    end_account("alice");
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each[1]), -1);
    stage_expect(stage, "550 5.7.1 account alice is suspended");
    stage_expect(stage, SUSPENDED);
    stage_expect(stage, "");
}

/* Suspended while policy is asked about several: nobody waits for the replies to the rest. */
static void suspended_while_a_batch_is_asked_about(void **state)
{
    (void)state;
    log_in();
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage->mute_policy = true;
    stage_send(stage, "RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRCPT TO:<d@example.com>\r\nDATA\r\n");
    while (!stage->policy_rcpts)
        stage_turn(stage);
    struct policy_rcpt_answer answer = { .ticket = stage->last_ticket, .count = 3 };
    end_account("alice");
    ipc_send(stage->policy, POLICY_RCPT_ANSWER, &answer, offsetof(struct policy_rcpt_answer, each), -1);
    stage_expect(stage, "250 2.1.5");
    stage_expect(stage, SUSPENDED);
    stage_expect(stage, "");
}

#define UNTOLD (2 * STORED_MESSAGES_MAX + 50)

static void tell(uint64_t offset)
{
    const struct writer_place place = { .segment = 7, .record = { .offset = offset } };
    ask_queue_tell(stage->front->queue, &place);
}

/* What was durable when the queue process went is told to the next one: all of it, in order. */
static void told_to_the_next_queue(void **state)
{
    (void)state;
    ipc_free(&stage->queue);
    stage_turns(stage, 3);
    for (uint64_t i = 0; i < UNTOLD; i++)
        tell(i);
    stage_turns(stage, 3);
    assert_int_equal(stage->ntold, 0);
    stage_add_queue(stage);
    while (stage->ntold < UNTOLD)
        stage_turn(stage);
    for (uint64_t i = 0; i < UNTOLD; i++)
        assert_int_equal(stage->told[i].offset, i);
}

/* That a segment is done is the last word about it: the queue may remove it then. */
static void told_before_its_segment_is_done(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    send_message("250 2.0.0 ");
    while (!stage->ntold)
        stage_turn(stage);
    writer_abandon(ask_queue_writer(stage->front->queue));
    poll(NULL, 0, 50); /* the thread is done with it, and nobody has looked */
    tell(1);
    while (!stage->segments_done)
        stage_turn(stage);
    assert_int_equal(stage->told_when_done, 2);
    assert_int_equal(stage->told[1].segment, 7);
}

/* Suspended between the server's last word and the client's. */
static void suspended_before_the_last_word(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    begin_scram();
    send_done(AUTH_ACCEPTED, 0, "v=1");
    stage_expect(stage, "334 dj0x");
    end_account("alice");
    stage_expect(stage, SUSPENDED);
    stage_expect(stage, "");
}

/* Policy is asked about connections, too. */
static int set_up_connections(void **state)
{
    (void)state;
    stage = stage_new(true);
    ask_policy_free(&stage->front->policy);
    stage->limits[1].count = CONF_COUNT_CONNECTIONS;
    stage->front->policy = ask_policy_new(stage->front);
    stage_add_policy(stage);
    return 0;
}

static void connections(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    assert_int_equal(stage->policy_connects, 1);
    policy_says(POLICY_DEFER, "421 4.7.0 limit rush is used up", 0);
    stage_arrive(stage, STAGE_PLAIN);
    stage_expect(stage, "421 4.7.0 limit rush is used up");
    stage_expect(stage, "");
    stage_arrive(stage, STAGE_TLS);
    stage_expect(stage, "");
    policy_says(POLICY_ALLOW, "", 20);
    stage_connect(stage, STAGE_PLAIN);
    stage_connect(stage, STAGE_TLS);
    assert_int_equal(stage->policy_connects, 5);
}

/* Who is let in slowly has his time for the handshake behind that, and no more than that. */
static void a_slow_connection_without_a_handshake(void **state)
{
    (void)state;
    policy_says(POLICY_ALLOW, "", 20);
    stage_arrive(stage, STAGE_TLS);
    const struct session *session = stage_session(stage);
    while (session->phase != SESSION_HANDSHAKE)
        stage_turn(stage);
    assert_int_equal(session->wait.kind, WAIT_NOTHING);
    assert_in_range(session->wait.deadline_ms, 1, INT64_MAX);
}

/* Policy goes, or the client, while it is asked whether that may come. */
static void a_connection_unanswered(void **state)
{
    (void)state;
    stage->mute_policy = true;
    stage_arrive(stage, STAGE_PLAIN);
    while (!stage->policy_connects)
        stage_turn(stage);
    struct policy_answer answer = { .ticket = stage->last_ticket };
    stage_hang_up(stage);
    session_free(stage_session(stage));
    ipc_send(stage->policy, POLICY_ANSWER, &answer, sizeof answer, -1);
    stage_arrive(stage, STAGE_PLAIN);
    while (stage->policy_connects < 2)
        stage_turn(stage);
    ipc_free(&stage->policy);
    stage_expect(stage, "220 ");
    stage_connect(stage, STAGE_PLAIN);
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "250 2.1.0");
    stage_say(stage, "RCPT TO:<b@example.com>\r\n", "451 4.7.0");
}

static void auth_goes(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    stage_send(stage, "AUTH PLAIN AGEAYg==\r\n");
    stage_turns(stage, 10);
    ipc_free(&stage->auth);
    stage_expect(stage, "454 4.7.0");
    stage_say(stage, "AUTH PLAIN AGEAYg==\r\n", "454 4.7.0");
    stage_add_auth(stage);
    stage_send(stage, "AUTH LOGIN\r\n");
    stage_turns(stage, 10);
    send_challenge("Username:");
    stage_expect(stage, "334 ");
    ipc_free(&stage->auth);
    stage_turns(stage, 10);
    stage_say(stage, "YQ==\r\n", "454 4.7.0");
    stage_say(stage, "NOOP\r\n", "250 2.0.0");
}

/* The client gives up, or goes: the auth role is told, and what it says afterwards is for nobody. */
static void auth_cancelled(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    stage_send(stage, "AUTH LOGIN\r\n");
    stage_turns(stage, 10);
    send_challenge("Username:");
    stage_expect(stage, "334 ");
    stage_say(stage, "*\r\n", "501 5.7.0");
    send_done(AUTH_ACCEPTED, 0, "");
    stage_say(stage, "MAIL FROM:<a@example.net>\r\n", "530");
    assert_int_equal(stage->auth_cancels, 1);
    stage_send(stage, "AUTH PLAIN AGEAYg==\r\n");
    stage_turns(stage, 10);
    stage_hang_up(stage);
    send_done(AUTH_ACCEPTED, 0, "");
    stage_turns(stage, 10);
}

static void auth_failures_end(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_TLS);
    for (unsigned i = 0; i < 3; i++) {
        ask_auth("AUTH PLAIN AGEAYg==\r\n");
        send_done(AUTH_REFUSED, 0, "");
        stage_expect(stage, i < 2 ? "535 5.7.8" : "421 4.7.0");
    }
    stage_expect(stage, "");
}

/* A group of commands is answered in order, however long one of its questions takes. */
static void order_is_kept(void **state)
{
    (void)state;
    stage_connect(stage, STAGE_PLAIN);
    stage->mute_dns = true;
    stage_send(stage, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nNOOP\r\nFOO\r\nRSET\r\n");
    stage_turns(stage, 30);
    stage->dns_answer.status = DNS_NXDOMAIN;
    ipc_send(stage->dns, DNS_MX, &stage->dns_answer, offsetof(struct dns_mx, hosts), -1);
    stage_expect(stage, "250 2.1.0");
    stage_expect(stage, "550 5.1.2");
    stage_expect(stage, "250 2.0.0");
    stage_expect(stage, "500 5.5.2");
    stage_expect(stage, "250 2.0.0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stored_and_told),
        TEST(questions),
        cmocka_unit_test_setup_teardown(no_questions, set_up_free, tear_down),
        TEST(policy_refuses),
        TEST(policy_goes),
        TEST(late_answers),
        TEST(a_batch),
        TEST(a_watched_batch),
        TEST(a_batch_ends),
        TEST(a_batch_in_pieces),
        TEST(a_batch_and_the_maximum),
        TEST(a_slow_batch),
        TEST(a_batch_unanswered),
        TEST(a_batch_answered_wrong),
        TEST(domains),
        TEST(dns_goes),
        TEST(queue_goes),
        TEST(queue_goes_in_data),
        TEST(large_message),
        TEST(reports),
        TEST(too_slow),
        TEST(auth_verdicts),
        TEST(auth_dialogue),
        TEST(logins),
        TEST(logins_without_policy),
        TEST(a_login_whose_client_goes),
        TEST(a_guesser_learns_nothing),
        TEST(suspended_in_each_phase),
        TEST(others_are_not_ended),
        TEST(suspended_while_storing),
        TEST(suspended_by_its_question),
        TEST(suspended_while_a_batch_is_asked_about),
        TEST(told_to_the_next_queue),
        TEST(told_before_its_segment_is_done),
        TEST(suspended_before_the_last_word),
        cmocka_unit_test_setup_teardown(connections, set_up_connections, tear_down),
        cmocka_unit_test_setup_teardown(a_slow_connection_without_a_handshake, set_up_connections, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_unanswered, set_up_connections, tear_down),
        TEST(auth_goes),
        TEST(auth_cancelled),
        TEST(auth_failures_end),
        TEST(order_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

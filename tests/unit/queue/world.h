/* The queue role in this process, with the real spool in a temporary folder and everybody else played by the test: a submission process
 * that stores through the real writer, a dns role that answers from a table, delivery processes that do what a script says, and
 * control. What is logged goes to a file, so that a test can look at the lines. */
#ifndef POSTERN_TESTS_QUEUE_WORLD_H
#define POSTERN_TESTS_QUEUE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../relay/base/clock.h"
#include "../../../relay/base/text.h"
#include "../../../relay/channels/queue_delivery.h"
#include "../../../relay/channels/sts.h"
#include "../../../relay/channels/submission_queue.h"
#include "../../../relay/conf/read.h"
#include "../../../relay/message/envelope.h"
#include "../../../relay/queue/entry.h"
#include "../../../relay/queue/main.h"
#include "../../../relay/queue/store.h"
#include "../../../relay/queue/unit.h"
#include "../../../relay/spool/writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORLD_PATIENCE_MS 20000
#define WORLD_PROCESSES   2

struct world;

/* What a delivery process did or was told. */
struct world_assign {
    unsigned process;
    struct delivery_assign assign;
    char content[4096]; /* of small messages: prefix and content, from the segment's descriptor */
    char to[256];       /* the first recipient's address */
    char from[256];
};

struct world_process {
    struct world *world;
    struct ipc *ipc;
    unsigned index;
    int segments[DELIVERY_SEGMENTS]; /* that it has been lent, and 1; 0: none */
    unsigned lent, forgotten;        /* how often */
};

struct world {
    char folder[64];
    char log[96];
    int stderr_before;
    struct conf *conf;
    struct role role;
    struct queue *queue;
    struct ipc *parent; /* the role is a process of its own; else NULL */

    struct ipc *submission;
    struct writer *writer;
    unsigned stored, refused;
    int space; /* -1: not told yet */

    struct ipc *dns;
    struct ipc *sts;
    bool dns_silent;
    unsigned questions;
    enum dns_status (*resolve)(struct world *world, const char *domain, struct dns_mx *answer);
    void (*policy)(struct world *world, const char *domain, struct sts_policy *policy);
    bool sts_silent;
    unsigned policies; /* questions for them */

    struct world_process processes[WORLD_PROCESSES];
    bool manual; /* connections do not become ready, messages get no outcome by themselves */
    unsigned opens, closes;
    struct delivery_open last_open;
    enum delivery_end refuse; /* DELIVERY_UNREACHABLE …: what OPEN gets; DELIVERY_ENDED: it succeeds */
    unsigned refused_opens;
    struct delivery_outcome verdict; /* what each recipient gets, where `judge` is NULL */
    void (*judge)(struct world *world, const char *to, struct delivery_outcome *outcome);
    struct world_assign assigns[256];
    unsigned nassigns;

    struct ipc *control;
    char answer[1 << 20];
    size_t answer_size;
    unsigned values;
    int result; /* -1: no end yet */
    char reason[400];
};

/* The world of the test that runs: where it fails, its log is shown. */
static struct world *world_running;

static inline int world_teardown(void **state)
{
    char line[8192];
    (void)state;
    if (!world_running)
        return 0;
    dup2(world_running->stderr_before, 2);
    FILE *log = fopen(world_running->log, "r");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stderr);
    if (log)
        fclose(log);
    world_running = NULL;
    return 0;
}
#define WORLD_TEST(function) cmocka_unit_test_teardown(function, world_teardown)

static inline void world_complain(void *context, const char *line)
{
    (void)context;
    fail_msg("%s", line);
}

/* A descriptor pair: the queue's end goes to the role, the other is returned. */
static inline int world_link(struct world *world, enum role_kind kind, unsigned slot)
{
    int fds[2];
    assert_true(ipc_pair(fds));
    if (!world->parent) {
        queue_steps.peer(&world->role, kind, slot, fds[0]);
        return fds[1];
    }
    struct parent_peer peer = { kind, slot };
    assert_true(ipc_send(world->parent, PARENT_PEER, &peer, sizeof peer, fds[0]));
    close(fds[0]);
    return fds[1];
}

/* Serves the loop until EXPRESSION is true; fails after WORLD_PATIENCE_MS. */
#define WORLD_UNTIL(world, expression)                                                                                           \
    do {                                                                                                                         \
        int64_t world_end_ms = clock_monotonic_ms() + WORLD_PATIENCE_MS;                                                         \
        while (!(expression)) {                                                                                                  \
            if (clock_monotonic_ms() > world_end_ms)                                                                             \
                fail_msg("%s:%d: waited in vain for: %s", __FILE__, __LINE__, #expression);                                      \
            loop_once((world)->role.loop, false);                                                                                \
            usleep(200);                                                                                                         \
        }                                                                                                                        \
    } while (0)

/* Serves the loop for MS milliseconds. */
static inline void world_serve(struct world *world, int64_t ms)
{
    int64_t end_ms = clock_monotonic_ms() + ms;
    while (clock_monotonic_ms() < end_ms) {
        loop_once(world->role.loop, false);
        usleep(200);
    }
}

/* How many lines of the log hold TEXT (and MORE, unless NULL). */
static inline unsigned world_logged(const struct world *world, const char *text, const char *more)
{
    char line[8192];
    unsigned count = 0;
    FILE *log = fopen(world->log, "r");
    while (log && fgets(line, sizeof line, log))
        count += strstr(line, text) && (!more || strstr(line, more));
    if (log)
        fclose(log);
    return count;
}

/* --- submission --- */

static inline void world_from_queue(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    (void)size;
    if (type == SEGMENT_GIVE) {
        const struct segment_give *give = body;
        writer_give(world->writer, give->number, fd, give->large, give->ticket);
    } else if (type == SEGMENT_REFUSE) {
        const struct segment_refuse *refuse = body;
        writer_refuse(world->writer, refuse->full ? WRITER_FULL : WRITER_FAILED, refuse->large, refuse->ticket);
    } else {
        world->space = ((const struct spool_space *)body)->enough;
    }
}

static inline void world_need(void *context, bool large, uint64_t ticket)
{
    struct world *world = context;
    struct segment_ask ask = { .ticket = ticket, .large = large };
    if (!ipc_send(world->submission, SEGMENT_ASK, &ask, sizeof ask, -1))
        writer_refuse(world->writer, WRITER_FAILED, large, ticket);
}

static inline void world_done(void *context, uint64_t number, bool failed)
{
    struct world *world = context;
    struct segment_done done = { .number = number, .failed = failed };
    ipc_send(world->submission, SEGMENT_DONE, &done, sizeof done, -1);
}

static const struct writer_events world_writer_events = { .need_segment = world_need, .done_segment = world_done };

static inline void world_tell_stored(struct world *world, uint64_t segment, uint64_t offset, struct uid id)
{
    const struct messages_stored stored = { 1, { { segment, offset, id } } };
    ipc_send(world->submission, MESSAGES_STORED, &stored, offsetof(struct messages_stored, each[1]), -1);
}

static inline void world_stored(void *context, enum writer_verdict verdict, const struct writer_place *place)
{
    struct world *world = context;
    if (verdict != WRITER_STORED) {
        world->refused++;
        return;
    }
    world->stored++;
    world_tell_stored(world, place->segment, place->record.offset, place->record.id);
}

static inline void world_submission(struct world *world)
{
    ipc_free(&world->submission);
    world->submission = ipc_new(world->role.loop, world_link(world, ROLE_SUBMISSION, 0), &submission_queue_channel, IPC_FRONT,
                                world_from_queue, NULL, world);
    if (!world->writer)
        world->writer = writer_new(world->role.loop, &world_writer_events, world);
}

/* An envelope of one account with its recipients, separated by spaces. */
static inline void world_envelope(struct envelope *envelope, const char *account, const char *from, const char *to)
{
    struct span rest = span_of(to);
    envelope_init(envelope);
    envelope->id = uid_next();
    envelope->arrived_ms = clock_wall_ms();
    text_copy(envelope->account, sizeof envelope->account, span_of(account));
    text_copy(envelope->client, sizeof envelope->client, SPAN("192.0.2.1"));
    text_copy(envelope->sender, sizeof envelope->sender, span_of(from));
    while (rest.n) {
        char address[256];
        text_copy(address, sizeof address, span_cut(&rest, ' '));
        envelope_add(envelope, address, 0, NULL);
    }
}

#define WORLD_CONTENT "From: alice@here.example\r\nSubject: hello\r\n\r\nfirst line\r\n..a stuffed line\r\n"

/* Stores ENVELOPE's message; it is freed. */
static inline struct uid world_send_envelope(struct world *world, struct envelope *envelope, struct span content)
{
    struct buffer bytes;
    struct uid id = envelope->id;
    buffer_init(&bytes, ENVELOPE_STORED_MAX);
    assert_true(envelope_store(envelope, &bytes));
    struct intake *intake = intake_new(world->writer, id, 100 << 20);
    assert_true(intake_add(intake, content));
    intake_commit(&intake, buffer_span(&bytes), SPAN("Received: by here.example\r\n"), world_stored, world);
    buffer_fini(&bytes);
    envelope_fini(envelope);
    return id;
}

static inline struct uid world_send(struct world *world, const char *account, const char *from, const char *to)
{
    struct envelope envelope;
    world_envelope(&envelope, account, from, to);
    return world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
}

/* --- dns --- */

/* A message of SIZE bytes from alice to TO, "Subject: large". */
static inline struct uid world_send_large(struct world *world, size_t size, const char *to)
{
    static const char head[] = "Subject: large\r\n\r\n";
    struct envelope envelope;
    char *content = test_malloc(size);
    memset(content, 'x', size);
    memcpy(content, head, sizeof head - 1);
    memcpy(content + size - 2, "\r\n", 2);
    world_envelope(&envelope, "alice", "alice@here.example", to);
    struct uid id = world_send_envelope(world, &envelope, span_make(content, size));
    test_free(content);
    return id;
}

/* By default every domain D has the one mail host mx.D; "shared…" have mx.shared; others by their names. */
static inline enum dns_status world_resolve(struct world *world, const char *domain, struct dns_mx *answer)
{
    static const struct {
        const char *domain;
        enum dns_status status;
    } known[] = {
        { "nxdomain.example", DNS_NXDOMAIN }, { "nullmx.example", DNS_NULL_MX },  { "loop.example", DNS_LOOP },
        { "servfail.example", DNS_SERVFAIL }, { "timeout.example", DNS_TIMEOUT },
    };
    (void)world;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(domain, known[i].domain) == 0)
            return known[i].status;
    answer->count = 1;
    answer->ttl_s = 300;
    answer->hosts[0].preference = 10;
    text_format(answer->hosts[0].name, sizeof answer->hosts[0].name, "mx.%s",
                strncmp(domain, "shared", 6) == 0 ? "shared" : domain);
    return DNS_OK;
}

static inline void world_question(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    const struct dns_ask_mx *ask = body;
    struct dns_mx answer = { .ticket = ask->ticket };
    (void)size;
    (void)fd;
    assert_int_equal(type, DNS_ASK_MX);
    world->questions++;
    if (world->dns_silent)
        return;
    answer.status = world->resolve(world, ask->domain, &answer);
    ipc_send(world->dns, DNS_MX, &answer, offsetof(struct dns_mx, hosts) + answer.count * sizeof *answer.hosts, -1);
}

/* By default no domain has a policy. */
static inline void world_no_policy(struct world *world, const char *domain, struct sts_policy *policy)
{
    (void)world;
    (void)domain;
    policy->ttl_s = 3600;
}

static inline void world_policy_question(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    const struct sts_ask *ask = body;
    struct sts_policy policy = { .ticket = ask->ticket };
    (void)size;
    (void)fd;
    assert_int_equal(type, STS_ASK);
    world->policies++;
    if (world->sts_silent)
        return;
    world->policy(world, ask->domain, &policy);
    ipc_send(world->sts, STS_POLICY, &policy, offsetof(struct sts_policy, hosts) + policy.size, -1);
}

static inline void world_sts(struct world *world)
{
    ipc_free(&world->sts);
    world->sts =
        ipc_new(world->role.loop, world_link(world, ROLE_STS, 0), &sts_channel, IPC_BACK, world_policy_question, NULL, world);
}

static inline void world_dns(struct world *world)
{
    ipc_free(&world->dns);
    world->dns = ipc_new(world->role.loop, world_link(world, ROLE_DNS, 0), &dns_channel, IPC_BACK, world_question, NULL, world);
    world_sts(world);
}

/* --- delivery --- */

static inline void world_next(struct world *world, unsigned process, uint64_t connection)
{
    struct delivery_next next = { .connection = connection, .mx = "mx.test[192.0.2.9]:25", .tls = "none" };
    ipc_send(world->processes[process].ipc, DELIVERY_NEXT, &next, sizeof next, -1);
}

static inline void world_close(struct world *world, unsigned process, uint64_t connection, enum delivery_end end,
                               const char *enhanced, const char *reply)
{
    struct delivery_closed closed = { .connection = connection, .end = end };
    text_copy(closed.enhanced, sizeof closed.enhanced, span_of(enhanced));
    text_copy(closed.reply, sizeof closed.reply, span_of(reply));
    ipc_send(world->processes[process].ipc, DELIVERY_CLOSED, &closed, sizeof closed, -1);
}

static inline void world_outcome(struct world *world, unsigned process, const struct delivery_assign *assign, uint32_t index,
                                 const char *to)
{
    struct delivery_outcome outcome = world->verdict;
    if (world->judge)
        world->judge(world, to, &outcome);
    outcome.connection = assign->connection;
    outcome.id = assign->id;
    outcome.recipient = assign->recipients[index];
    ipc_send(world->processes[process].ipc, DELIVERY_OUTCOME, &outcome, sizeof outcome, -1);
}

/* Reads the message that was assigned through its descriptor, as delivery does. */
static inline void world_read(struct world_assign *got, int fd, struct envelope *envelope)
{
    struct record record;
    struct buffer bytes;
    buffer_init(&bytes, 64 << 20);
    assert_int_equal(record_read(fd, got->assign.offset, INT64_MAX, &record), RECORD_OK);
    assert_int_equal(uid_compare(record.id, got->assign.id), 0);
    assert_int_equal(record_read_envelope(fd, &record, &bytes), RECORD_OK);
    assert_true(envelope_load(buffer_span(&bytes), envelope));
    buffer_clear(&bytes);
    assert_int_equal(record_read_prefix(fd, &record, &bytes), RECORD_OK);
    assert_int_equal(record_read_content(fd, &record, 0, sizeof got->content, &bytes), RECORD_OK);
    text_copy(got->content, sizeof got->content, buffer_span(&bytes));
    text_copy(got->from, sizeof got->from, span_of(envelope->sender));
    text_copy(got->to, sizeof got->to, span_of(envelope->recipients[got->assign.recipients[0]].address));
    buffer_fini(&bytes);
}

static inline void world_put_segment(struct world_process *process, unsigned place, int fd)
{
    assert_in_range(place, 0, DELIVERY_SEGMENTS - 1);
    if (process->segments[place])
        close(process->segments[place] - 1);
    process->segments[place] = fd + 1;
}

static inline void world_assigned(struct world_process *process, const void *body)
{
    struct world *world = process->world;
    struct world_assign got = { .process = process->index };
    struct envelope envelope;
    memcpy(&got.assign, body, sizeof got.assign);
    envelope_init(&envelope);
    assert_in_range(got.assign.segment, 0, DELIVERY_SEGMENTS - 1);
    world_read(&got, process->segments[got.assign.segment] - 1, &envelope);
    if (world->nassigns < sizeof world->assigns / sizeof *world->assigns)
        world->assigns[world->nassigns] = got;
    world->nassigns++;
    for (uint32_t i = 0; i < got.assign.count && !world->manual; i++)
        world_outcome(world, process->index, &got.assign, i, envelope.recipients[got.assign.recipients[i]].address);
    if (!world->manual)
        world_next(world, process->index, got.assign.connection);
    envelope_fini(&envelope);
}

static inline void world_ordered(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world_process *process = context;
    struct world *world = process->world;
    (void)size;
    if (type == DELIVERY_SEGMENT) {
        process->lent++;
        world_put_segment(process, ((const struct delivery_segment *)body)->place, fd);
    } else if (type == DELIVERY_FORGET) {
        process->forgotten++;
        world_put_segment(process, ((const struct delivery_forget *)body)->place, -1);
    } else if (type == DELIVERY_ASSIGN) {
        world_assigned(process, body);
    } else if (type == DELIVERY_CLOSE) {
        world->closes++;
        world_close(world, process->index, ((const struct delivery_close *)body)->connection, DELIVERY_ENDED, "", "");
    } else {
        memcpy(&world->last_open, body, sizeof world->last_open);
        world->opens++;
        if (world->refuse != DELIVERY_ENDED) {
            world->refused_opens++;
            world_close(world, process->index, world->last_open.connection, world->refuse,
                        world->refuse == DELIVERY_IMPOSSIBLE ? "5.4.6" : "4.4.1", "connection refused");
        } else if (!world->manual) {
            world_next(world, process->index, world->last_open.connection);
        }
    }
}

static inline void world_process_end(struct world_process *process)
{
    ipc_free(&process->ipc);
    for (unsigned place = 0; place < DELIVERY_SEGMENTS; place++)
        world_put_segment(process, place, -1);
}

/* Starts delivery process INDEX, or starts it anew. */
static inline void world_process(struct world *world, unsigned index)
{
    struct world_process *process = &world->processes[index];
    world_process_end(process);
    process->world = world;
    process->index = index;
    process->ipc = ipc_new(world->role.loop, world_link(world, ROLE_DELIVERY, index), &queue_delivery_channel, IPC_BACK,
                           world_ordered, NULL, process);
}

static inline void world_say(struct world *world, enum delivery_verdict verdict, const char *enhanced, const char *reply)
{
    world->verdict = (struct delivery_outcome){ .verdict = verdict, .remote = 1, .mx = "mx.test[192.0.2.9]:25", .tls = "none" };
    text_copy(world->verdict.enhanced, sizeof world->verdict.enhanced, span_of(enhanced));
    text_copy(world->verdict.reply, sizeof world->verdict.reply, span_of(reply));
}

/* --- control --- */

static inline void world_answered(void *context, unsigned type, const void *body, size_t size, int fd)
{
    struct world *world = context;
    (void)size;
    (void)fd;
    if (type == ADMIN_END) {
        const struct admin_end *end = body;
        world->result = (int)end->result;
        text_copy(world->reason, sizeof world->reason, span_of_array(end->reason, sizeof end->reason));
        return;
    }
    const struct admin_text *text = body;
    assert_true(world->answer_size + text->size + 2 < sizeof world->answer);
    memcpy(world->answer + world->answer_size, text->text, text->size);
    world->answer_size += text->size;
    if (text->ends) {
        world->answer[world->answer_size++] = '\n';
        world->values++;
    }
    world->answer[world->answer_size] = '\0';
}

/* Asks and waits for the end; the answer's values are in world->answer, one a line. */
static inline int world_ask(struct world *world, const struct admin_ask *ask)
{
    if (!world->control)
        world->control =
            ipc_new(world->role.loop, world_link(world, ROLE_CONTROL, 0), &admin_channel, IPC_FRONT, world_answered, NULL, world);
    world->answer_size = world->values = 0;
    world->answer[0] = '\0';
    world->result = -1;
    ipc_send(world->control, ADMIN_ASK, ask, sizeof *ask, -1);
    WORLD_UNTIL(world, world->result >= 0);
    return world->result;
}

static inline int world_ask_id(struct world *world, enum admin_verb verb, struct uid id)
{
    struct admin_ask ask = { .ticket = 7, .verb = verb };
    char text[UID_TEXT_SIZE];
    uid_print(id, text);
    text_copy(ask.id, sizeof ask.id, span_of(text));
    return world_ask(world, &ask);
}

/* --- the role --- */

static inline struct conf *world_conf(const char *folder, const char *more)
{
    char text[4096];
    text_format(text, sizeof text,
                "hostname = \"relay.here.example\"\npostmaster = \"postmaster@here.example\"\n"
                "listener submission { address = { \"127.0.0.1:2525\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
                "spool { directory = \"%s\" minimum-free = 1 allow-volatile = yes }\n%s",
                folder, more);
    return conf_read_text("test", span_of(text), world_complain, NULL);
}

/* Starts the role over the folder that is there. */
static inline void world_begin(struct world *world)
{
    assert_true(queue_steps.start(&world->role));
    queue_steps.open(&world->role);
    world->queue = world->role.state;
    world->space = -1;
    world_submission(world);
}

/* Everything but the folder ends. */
static inline void world_end(struct world *world)
{
    writer_free(&world->writer);
    queue_steps.stop(&world->role);
    ipc_free(&world->submission);
    ipc_free(&world->dns);
    ipc_free(&world->sts);
    ipc_free(&world->control);
    for (unsigned i = 0; i < WORLD_PROCESSES; i++)
        world_process_end(&world->processes[i]);
    world->role.draining = false;
}

/* A queue with dns and one delivery process, which delivers all. MORE is configuration text. */
static inline struct world *world_new(const char *more)
{
    struct world *world = text_zalloc(sizeof *world);
    text_copy(world->folder, sizeof world->folder, SPAN("/tmp/postern-queue-XXXXXX"));
    assert_non_null(mkdtemp(world->folder));
    text_format(world->log, sizeof world->log, "%s.log", world->folder);
    int log = open(world->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    world->stderr_before = dup(2);
    world_running = world;
    dup2(log, 2);
    close(log);
    world->conf = world_conf(world->folder, more);
    assert_non_null(world->conf);
    world->role = (struct role){ .kind = ROLE_QUEUE, .loop = loop_new(), .conf = world->conf };
    world->resolve = world_resolve;
    world->policy = world_no_policy;
    world_say(world, DELIVERY_DONE, "2.0.0", "250 2.0.0 ok");
    world_begin(world);
    world_dns(world);
    world_process(world, 0);
    return world;
}

/* How many files with ENDING the spool has. */
static inline unsigned world_files(const struct world *world, const char *ending)
{
    unsigned count = 0;
    DIR *folder = opendir(world->folder);
    const struct dirent *file;
    while ((file = readdir(folder)))
        count += span_ends_nocase(span_of(file->d_name), span_of(ending));
    closedir(folder);
    return count;
}

static inline void world_free(struct world **world)
{
    char path[512];
    if (world[0]->queue && world[0]->role.state)
        world_end(*world);
    loop_free(&(*world)->role.loop);
    conf_free(&(*world)->conf);
    dup2((*world)->stderr_before, 2);
    world_running = NULL;
    close((*world)->stderr_before);
    DIR *folder = opendir((*world)->folder);
    const struct dirent *file;
    while (folder && (file = readdir(folder))) {
        text_format(path, sizeof path, "%s/%s", (*world)->folder, file->d_name);
        unlink(path);
    }
    if (folder)
        closedir(folder);
    rmdir((*world)->folder);
    unlink((*world)->log);
    free(*world);
    *world = NULL;
}

#endif

/* Mail of suspended accounts: held, freed, and whose decision counts; what policy hears of the world; and its letters. */
#include "../../../relay/queue/accounts.h"
#include "../../../relay/channels/queue_policy.h"
#include "../../../relay/queue/letters.h"
#include "../../../relay/queue/visit.h"
#include "world.h"

static struct ipc *policy;
static struct {
    char lines[8192]; /* "good alice 192.0.2.1 2;bad alice b@x perm 5.1.1 reply;" … */
} heard;

static void policy_hears(void *context, unsigned type, const void *body, size_t size, int fd)
{
    size_t at = strlen(heard.lines), room = sizeof heard.lines - at;
    char client[NETADDR_TEXT_SIZE];
    (void)context;
    (void)size;
    (void)fd;
    if (type == REPLIES_GOOD) {
        const struct replies_good *good = body;
        netaddr_print(&good->client, client);
        snprintf(heard.lines + at, room, "good %s %s %u;", good->account, client, good->count);
    } else if (type == LETTER_STORED) {
        const struct letter_stored *stored = body;
        snprintf(heard.lines + at, room, "stored %u;", (unsigned)stored->ticket);
    } else {
        const struct reply_bad *bad = body;
        netaddr_print(&bad->client, client);
        snprintf(heard.lines + at, room, "bad %s %s %s %s %s %s;", bad->account, client, bad->recipient,
                 bad->permanent ? "perm" : "temp", bad->enhanced, bad->reply);
    }
}

/* Policy comes. */
static void meet(struct world *world)
{
    ipc_free(&policy);
    policy =
        ipc_new(world->role.loop, world_link(world, ROLE_POLICY, 0), &queue_policy_channel, IPC_BACK, policy_hears, NULL, world);
}

static void hold(const char *account)
{
    struct account_hold message = { .account = "" };
    text_copy(message.account, sizeof message.account, span_of(account));
    assert_true(ipc_send(policy, ACCOUNT_HOLD, &message, sizeof message, -1));
}

static void let_go(const char *account)
{
    struct account_free message = { .account = "" };
    text_copy(message.account, sizeof message.account, span_of(account));
    assert_true(ipc_send(policy, ACCOUNT_FREE, &message, sizeof message, -1));
}

static void told(void)
{
    struct accounts_told message = { 0 };
    assert_true(ipc_send(policy, ACCOUNTS_TOLD, &message, sizeof message, -1));
}

/* A queue whose messages wait, as no delivery process does anything; policy is there and has suspended nobody. */
static struct world *quiet(void)
{
    struct world *world = world_new("");
    world->manual = true;
    heard.lines[0] = '\0';
    meet(world);
    told();
    return world;
}

static void end(struct world **world)
{
    ipc_free(&policy);
    world_free(world);
}

/* The queue process ends and another one begins; nobody else is there. */
static void restart(struct world *world)
{
    ipc_free(&policy);
    writer_free(&world->writer);
    queue_steps.stop(&world->role);
    ipc_free(&world->submission);
    ipc_free(&world->dns);
    ipc_free(&world->control);
    for (unsigned i = 0; i < WORLD_PROCESSES; i++)
        ipc_free(&world->processes[i].ipc);
    world_begin(world);
}

static struct uid put(struct world *world, const char *account)
{
    size_t before = entries_count(world->queue);
    struct uid id = world_send(world, account, "a@here.example", "b@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == before + 1);
    return id;
}

static const struct entry *known(struct world *world, struct uid id)
{
    WORLD_UNTIL(world, entry_find(world->queue, id));
    return entry_find(world->queue, id);
}

/* The walk over all messages is over. */
static void walked(struct world *world)
{
    WORLD_UNTIL(world, list_empty(&world->queue->visits));
}

static void until_held(struct world *world, uint64_t count)
{
    WORLD_UNTIL(world, world->queue->recipients[UNIT_HELD] == count && list_empty(&world->queue->visits));
}

static void a_suspended_account(void **state)
{
    (void)state;
    struct world *world = quiet();
    struct uid first = put(world, "alice"), others = put(world, "bob"), odd = put(world, "Alice");
    hold("ALICE");
    until_held(world, 2);
    assert_true(known(world, first)->suspended && known(world, odd)->suspended);
    assert_false(known(world, others)->held);
    put(world, "alice");
    until_held(world, 3);
    assert_int_equal(world_logged(world, "event=held", "reason=\"the account is suspended\""), 3);
    let_go("nobody");
    let_go("alice");
    until_held(world, 0);
    assert_int_equal(world_logged(world, "event=released", "reason=\"the account is no more suspended\""), 3);
    hold("");
    hold("alice");
    until_held(world, 3);
    end(&world);
}

/* Whoever asks about an account may write it as they like, and hears of no other. */
static void asked_for(void **state)
{
    struct admin_ask ask = { .ticket = 7, .verb = ADMIN_ACCOUNT_SHOW, .account = "aLIce" };
    (void)state;
    struct world *world = quiet();
    put(world, "alice");
    put(world, "Alice");
    put(world, "alic");
    put(world, "");
    hold("alice");
    until_held(world, 2);
    put(world, "bob");
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    assert_string_equal(world->answer, "{\"queued\":2,\"held\":2}\n");
    text_copy(ask.account, sizeof ask.account, SPAN("bob"));
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    assert_string_equal(world->answer, "{\"queued\":1,\"held\":0}\n");
    text_copy(ask.account, sizeof ask.account, SPAN("192.0.2.1"));
    assert_int_equal(world_ask(world, &ask), ADMIN_DONE);
    assert_string_equal(world->answer, "{\"queued\":0,\"held\":0}\n");
    end(&world);
}

/* Over a restart mail stays held until policy has told who is suspended; then the others' is free. */
static void policy_comes_and_goes(void **state)
{
    (void)state;
    struct world *world = quiet();
    put(world, "alice");
    put(world, "bob");
    hold("alice");
    hold("bob");
    until_held(world, 2);
    restart(world);
    until_held(world, 2);
    meet(world);
    hold("carol");
    world_serve(world, 20);
    meet(world); /* the first one went before it had told all */
    world_serve(world, 20);
    until_held(world, 2);
    hold("alice");
    told();
    until_held(world, 1);
    ipc_free(&policy);
    world_serve(world, 20);
    put(world, "alice");
    until_held(world, 2); /* who was suspended when it went */
    for (unsigned i = 0; i < 20; i++) {
        meet(world);
        hold("alice");
        told();
    }
    until_held(world, 2);
    meet(world);
    told();
    until_held(world, 0);
    end(&world);
}

/* What a person or a limit holds is not freed with the account, and what a person releases is held again by a later suspension only. */
static void whose_decision_counts(void **state)
{
    (void)state;
    struct world *world = quiet();
    struct envelope envelope;
    struct uid free_one = put(world, "alice"), persons = put(world, "alice"), both = put(world, "alice");
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_HOLD, persons), ADMIN_DONE);
    world_envelope(&envelope, "alice", "a@here.example", "b@there.example");
    envelope.flags |= ENVELOPE_HELD;
    struct uid limits = world_send_envelope(world, &envelope, SPAN(WORLD_CONTENT));
    until_held(world, 2);
    hold("alice");
    until_held(world, 4);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_HOLD, both), ADMIN_DONE); /* suspended, and a person's from here on */
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_RELEASE, free_one), ADMIN_DONE);
    until_held(world, 3);
    hold("bob");
    walked(world);
    until_held(world, 3);
    restart(world);
    until_held(world, 3);
    meet(world);
    hold("alice");
    hold("carol");
    told();
    until_held(world, 3);
    assert_true(known(world, free_one)->freed && !known(world, free_one)->held);
    let_go("alice");
    walked(world);
    until_held(world, 3);
    assert_true(known(world, persons)->held && known(world, limits)->held && known(world, both)->held);
    assert_int_equal(world_ask_id(world, ADMIN_QUEUE_RELEASE, persons), ADMIN_DONE);
    until_held(world, 2);
    hold("alice");
    until_held(world, 4);
    assert_true(known(world, persons)->suspended && known(world, free_one)->suspended);
    restart(world);
    until_held(world, 4);
    assert_false(known(world, free_one)->freed);
    meet(world);
    told();
    until_held(world, 2);
    end(&world);
}

/* A resume is no person's release: the next suspension holds what waits again, over a restart, too. */
static void suspended_again(void **state)
{
    (void)state;
    struct world *world = quiet();
    struct uid id = put(world, "alice");
    for (unsigned i = 0; i < 2; i++) {
        hold("alice");
        until_held(world, 1);
        let_go("alice");
        until_held(world, 0);
    }
    restart(world);
    assert_false(known(world, id)->freed);
    meet(world);
    hold("alice");
    told();
    until_held(world, 1);
    end(&world);
}

/* What is being sent just then is held when it comes back, and what was delivered is gone. */
static void suspended_while_sending(void **state)
{
    (void)state;
    struct world *world = quiet();
    world_send(world, "alice", "a@here.example", "b@there.example");
    WORLD_UNTIL(world, world->opens == 1);
    world_next(world, 0, world->last_open.connection);
    WORLD_UNTIL(world, world->nassigns == 1);
    hold("alice");
    walked(world);
    until_held(world, 0);
    world_say(world, DELIVERY_TEMPORARY, "4.2.0", "450 4.2.0 greylisted");
    world_outcome(world, 0, &world->assigns[0].assign, 0, "b@there.example");
    world_next(world, 0, world->assigns[0].assign.connection);
    until_held(world, 1);
    end(&world);
}

/* A message is looked at in its turn to be sent, too, and not by those alone who go through all. */
static void its_turn_comes_first(void **state)
{
    (void)state;
    struct world *world = quiet();
    world->dns_silent = true;
    world_send(world, "alice", "a@here.example", "b@slow.example");
    WORLD_UNTIL(world, world->queue->recipients[UNIT_RESOLVING] == 1);
    struct account_hold message = { .account = "alice" };
    accounts_hold(world->queue, &message);
    queue_steps.settings(&world->role); /* all are placed anew */
    until_held(world, 1);
    end(&world);
}

/* More than a round's worth; some go meanwhile, and the whole role ends in the middle. */
static void many_messages(void **state)
{
    enum { MANY = 700 };
    (void)state;
    struct uid ids[MANY];
    struct world *world = quiet();
    for (unsigned i = 0; i < MANY; i++)
        ids[i] = world_send(world, i % 10 ? "alice" : "bob", "a@here.example", "b@there.example");
    WORLD_UNTIL(world, entries_count(world->queue) == MANY);
    hold("alice");
    WORLD_UNTIL(world, world->queue->recipients[UNIT_HELD] > 0);
    assert_false(list_empty(&world->queue->visits));
    for (unsigned i = 0; i < MANY; i += 7)
        world_ask_id(world, ADMIN_QUEUE_REMOVE, ids[i]);
    walked(world);
    unsigned held = 0;
    for (unsigned i = 0; i < MANY; i++) {
        const struct entry *entry = entry_find(world->queue, ids[i]);
        assert_int_equal(entry == NULL, i % 7 == 0);
        assert_true(!entry || entry->held == (i % 10 != 0));
        held += entry && entry->held;
    }
    until_held(world, held);
    let_go("alice");
    WORLD_UNTIL(world, world->queue->recipients[UNIT_HELD] < held);
    assert_false(list_empty(&world->queue->visits));
    end(&world);
}

static uint64_t moved(void *context, uint64_t offset)
{
    (void)offset;
    return *(uint64_t *)context;
}

struct seen {
    uint64_t offsets[8];
    unsigned count, most;
};

static bool see(void *context, struct entry *entry)
{
    struct seen *seen = context;
    if (seen->count == seen->most)
        return false;
    seen->offsets[seen->count++] = entry->offset;
    return true;
}

/* A visit goes on where its segment was moved to. */
static void a_visit_over_a_compaction(void **state)
{
    (void)state;
    struct world *world = quiet();
    struct visit visit = { .segment = 0 };
    struct seen seen = { .most = 2 };
    struct uid ids[4];
    for (unsigned i = 0; i < 4; i++)
        ids[i] = put(world, "alice");
    visit_end(&visit);
    visit_begin(world->queue, &visit);
    assert_false(visit_some(world->queue, &visit, see, &seen));
    uint64_t third = entry_find(world->queue, ids[2])->offset - 100;
    visits_moved(world->queue, visit.segment + 1, moved, &(uint64_t){ 0 });
    visits_moved(world->queue, visit.segment, moved, &third);
    for (unsigned i = 2; i < 4; i++)
        entry_find(world->queue, ids[i])->offset -= 100;
    seen.most = 8;
    assert_true(visit_some(world->queue, &visit, see, &seen));
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.offsets[2], third);
    visit_end(&visit);
    visit_end(&visit);
    for (unsigned i = 2; i < 4; i++)
        entry_find(world->queue, ids[i])->offset += 100;
    end(&world);
}

static void by_name(struct world *world, const char *to, struct delivery_outcome *outcome)
{
    struct delivery_outcome whole = world->verdict;
    if (to[0] == 't')
        world_say(world, DELIVERY_TEMPORARY, "4.7.1", "450 4.7.1 spam");
    else if (to[0] == 'p')
        world_say(world, DELIVERY_PERMANENT, "5.1.1", "550 5.1.1 nobody");
    *outcome = world->verdict;
    world->verdict = whole;
}

/* What policy hears: good before bad, sums, a deferral once, nothing of what the relay itself writes. */
static void what_policy_hears(void **state)
{
    (void)state;
    struct world *world = quiet();
    world->manual = false;
    world->judge = by_name;
    world_send(world, "alice", "a@here.example", "d1@there.example d2@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", NULL) == 2);
    world_send(world, "alice", "a@here.example", "p@there.example");
    WORLD_UNTIL(world, strstr(heard.lines, "perm"));
    assert_string_equal(heard.lines, "good alice 192.0.2.1 2;bad alice 192.0.2.1 p@there.example perm 5.1.1 550 5.1.1 nobody;");
    heard.lines[0] = '\0';
    struct uid late = world_send(world, "alice", "a@here.example", "t@there.example");
    WORLD_UNTIL(world, strstr(heard.lines, "temp"));
    assert_string_equal(heard.lines, "bad alice 192.0.2.1 t@there.example temp 4.7.1 450 4.7.1 spam;");
    world_ask_id(world, ADMIN_QUEUE_RETRY, late);
    WORLD_UNTIL(world, world_logged(world, "event=deferred", "attempt=2"));
    ipc_free(&policy);
    world_serve(world, 10);
    world_send(world, "alice", "a@here.example", "p@there.example d@there.example");
    WORLD_UNTIL(world, world_logged(world, "event=delivered", "to=d@there.example") == 1);
    meet(world);
    told();
    world_send(world, "", "a@here.example", "d4@there.example");
    WORLD_UNTIL(world, strstr(heard.lines, "good  192.0.2.1 1;"));
    assert_null(strstr(heard.lines, "attempt"));
    assert_string_equal(heard.lines, "bad alice 192.0.2.1 t@there.example temp 4.7.1 450 4.7.1 spam;good  192.0.2.1 1;");
    end(&world);
}

static void write_letter(const char *to, const char *subject, const char *text)
{
    struct letter letter = { .ticket = 7, .size = (uint32_t)strlen(text) };
    text_copy(letter.to, sizeof letter.to, span_of(to));
    text_copy(letter.subject, sizeof letter.subject, span_of(subject));
    memcpy(letter.text, text, letter.size);
    assert_true(ipc_send(policy, LETTER, &letter, offsetof(struct letter, text) + letter.size, -1));
}

static const struct world_assign *last(const struct world *world)
{
    return &world->assigns[world->nassigns - 1];
}

static void letters(void **state)
{
    (void)state;
    struct world *world = quiet();
    world->manual = false;
    write_letter("postmaster@here.example", "The account a is suspended", "one\n.two\n\nthree\n");
    WORLD_UNTIL(world, world->nassigns == 1 && entries_count(world->queue) == 0);
    assert_string_equal(last(world)->to, "postmaster@here.example");
    assert_string_equal(last(world)->from, "");
    assert_non_null(strstr(last(world)->content, "\r\nTo: <postmaster@here.example>\r\nSubject: The account a is suspended\r\n"));
    assert_non_null(strstr(last(world)->content, "\r\nContent-Transfer-Encoding: 7bit\r\n\r\none\r\n..two\r\n\r\nthree\r\n"));
    assert_string_equal(heard.lines, "stored 7;");
    write_letter("postmaster@here.example", "x\r\nBcc: <all@there.example>\r\n\r\nm\xc3\xbcller", "m\xc3\xbcller\r\nno end");
    WORLD_UNTIL(world, world->nassigns == 2 && entries_count(world->queue) == 0);
    assert_non_null(strstr(last(world)->content, "\r\nSubject: x??Bcc: <all@there.example>????m??ller\r\n"));
    assert_null(strstr(last(world)->content, "\r\nBcc"));
    assert_non_null(strstr(last(world)->content, "Content-Transfer-Encoding: 8bit\r\n\r\nm\xc3\xbcller?\r\nno end\r\n"));
    write_letter("post\r\nX: y@here.example", "", "");
    world_serve(world, 20);
    assert_null(strstr(last(world)->content, "\r\nX: y"));
    end(&world);
}

/* While the disk takes nothing they wait, as many as there is room for; then all are stored. */
static void letters_wait_for_the_disk(void **state)
{
    (void)state;
    struct world *world = quiet();
    WORLD_UNTIL(world, world->space == 1);
    world->conf->spool.minimum_free = UINT64_MAX / 32;
    WORLD_UNTIL(world, world->space == 0);
    for (unsigned i = 0; i < LETTERS_MAX + 3; i++)
        write_letter("postmaster@here.example", "x", "text\n");
    WORLD_UNTIL(world, world_logged(world, "event=error", "a letter about an account is dropped") == 3);
    WORLD_UNTIL(world, world_logged(world, "event=error", "a letter about an account could not be stored") > 0 &&
                           !letters_running(world->queue));
    world_serve(world, 20);
    assert_int_equal(world_logged(world, "event=error", "a letter about an account could not be stored"), 1);
    assert_int_equal(entries_count(world->queue), 0);
    end(&world);
    world = quiet();
    WORLD_UNTIL(world, world->space == 1);
    world->conf->spool.minimum_free = UINT64_MAX / 32;
    WORLD_UNTIL(world, world->space == 0);
    write_letter("postmaster@here.example", "x", "text\n");
    WORLD_UNTIL(world, world_logged(world, "event=error", "a letter about an account could not be stored") == 1);
    world->conf->spool.minimum_free = 1;
    WORLD_UNTIL(world, world->space == 1);
    write_letter("postmaster@here.example", "x", "text\n");
    WORLD_UNTIL(world, entries_count(world->queue) == 2);
    assert_int_equal(world_logged(world, "event=notice", "letters about accounts can be stored again"), 1);
    write_letter("postmaster@here.example", "x", "text\n");
    WORLD_UNTIL(world, entries_count(world->queue) == 3);
    assert_int_equal(world_logged(world, "event=notice", "letters about accounts can be stored again"), 1);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_suspended_account),   WORLD_TEST(asked_for),       WORLD_TEST(policy_comes_and_goes),
        WORLD_TEST(whose_decision_counts), WORLD_TEST(suspended_again), WORLD_TEST(suspended_while_sending),
        WORLD_TEST(its_turn_comes_first),  WORLD_TEST(many_messages),   WORLD_TEST(a_visit_over_a_compaction),
        WORLD_TEST(what_policy_hears),     WORLD_TEST(letters),         WORLD_TEST(letters_wait_for_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

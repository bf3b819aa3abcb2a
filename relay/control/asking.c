/* Each question has a ticket; a peer that answers under a ticket which nobody waits for (the administrator has gone) is not heard. A
 * question to a peer that is away, or cannot take more, ends from the loop and not from within the call, so that whoever asks has one
 * way to be told. */
#include "asking.h"

#include "../base/list.h"
#include "../base/text.h"

#include <stdlib.h>

struct question {
    struct list node;
    uint64_t ticket;
    enum control_peer peer;
    bool unheard; /* could not be asked */
    const struct asking_events *events;
    void *context;
};

struct asking {
    struct control *control;
    struct list questions;
    uint64_t last_ticket;
    struct timer unheard;
};

static const char *const away[CONTROL_PEERS] = {
    [CONTROL_QUEUE] = "the queue process is being started again; ask once more in a moment",
    [CONTROL_POLICY] = "the policy process is being started again; ask once more in a moment",
};

/* Ends QUESTION towards whoever asked, who may ask again from within. */
static void finish(struct question *question, enum admin_result result, const char *reason)
{
    const struct asking_events *events = question->events;
    void *context = question->context;
    list_remove(&question->node);
    free(question);
    events->end(context, result, reason);
}

static struct question *find(const struct asking *asking, enum control_peer peer, uint64_t ticket)
{
    LIST_EACH(node, &asking->questions) {
        struct question *question = LIST_ENTRY(node, struct question, node);
        if (question->ticket == ticket && question->peer == peer)
            return question;
    }
    return NULL;
}

/* Ends the questions that WANTED picks, but none that is asked meanwhile. One at a time from the front, since `end` may ask, or forget
 * what others asked. */
static void finish_all(struct asking *asking, bool (*wanted)(const struct question *question, enum control_peer peer),
                       enum control_peer peer)
{
    uint64_t last = asking->last_ticket;
    struct list *node = asking->questions.next;
    while (node != &asking->questions) {
        struct question *question = LIST_ENTRY(node, struct question, node);
        bool over = question->ticket <= last && wanted(question, peer);
        if (over)
            finish(question, ADMIN_REFUSED, away[question->peer]);
        node = over ? asking->questions.next : node->next;
    }
}

static bool is_unheard(const struct question *question, enum control_peer peer)
{
    (void)peer;
    return question->unheard;
}

static bool is_of(const struct question *question, enum control_peer peer)
{
    return question->peer == peer;
}

static void end_unheard(void *context)
{
    finish_all(context, is_unheard, CONTROL_QUEUE);
}

struct asking *asking_new(struct control *control)
{
    struct asking *asking = text_zalloc(sizeof *asking);
    asking->control = control;
    list_init(&asking->questions);
    return asking;
}

void asking_free(struct asking **asking)
{
    if (!*asking)
        return;
    LIST_EACH(node, &(*asking)->questions)
        free(LIST_ENTRY(node, struct question, node));
    timer_fini(&(*asking)->unheard);
    free(*asking);
    *asking = NULL;
}

uint64_t asking_start(struct asking *asking, enum control_peer peer, struct admin_ask *ask, const struct asking_events *events,
                      void *context)
{
    struct question *question = text_zalloc(sizeof *question);
    ask->ticket = ++asking->last_ticket;
    *question = (struct question){ .ticket = ask->ticket, .peer = peer, .events = events, .context = context };
    list_append(&asking->questions, &question->node);
    if (!ipc_send(asking->control->peers[peer], ADMIN_ASK, ask, sizeof *ask, -1)) {
        question->unheard = true;
        timer_set(&asking->unheard, asking->control->role->loop, 0, end_unheard, asking);
    }
    return ask->ticket;
}

/* Where the peer takes no more it has gone, or its channel ends, and the question with it. */
static void want(const struct asking *asking, const struct question *question, enum admin_pace pace)
{
    struct admin_want want = { .ticket = question->ticket, .pace = pace };
    if (question->peer == CONTROL_QUEUE && !question->unheard)
        ipc_send(asking->control->peers[CONTROL_QUEUE], ADMIN_WANT, &want, sizeof want, -1);
}

void asking_pace(struct asking *asking, const void *context, bool rest)
{
    LIST_EACH(node, &asking->questions) {
        const struct question *question = LIST_ENTRY(node, struct question, node);
        if (question->context == context)
            want(asking, question, rest ? ADMIN_REST : ADMIN_GO_ON);
    }
}

void asking_forget(struct asking *asking, const void *context)
{
    LIST_EACH(node, &asking->questions) {
        struct question *question = LIST_ENTRY(node, struct question, node);
        if (question->context != context)
            continue;
        want(asking, question, ADMIN_FORGET);
        list_remove(node);
        free(question);
    }
}

static void take_text(struct asking *asking, enum control_peer peer, const void *body)
{
    const struct admin_text *message = body;
    const struct question *question = find(asking, peer, message->ticket);
    size_t size = message->size <= sizeof message->text ? message->size : sizeof message->text;
    if (question)
        question->events->text(question->context, span_make(message->text, size), message->ends);
}

static void take_end(struct asking *asking, enum control_peer peer, const void *body)
{
    const struct admin_end *message = body;
    struct question *question = find(asking, peer, message->ticket);
    char reason[sizeof message->reason];
    text_escape(reason, sizeof reason, span_of_array(message->reason, sizeof message->reason));
    if (question)
        finish(question, message->result <= ADMIN_REFUSED ? message->result : ADMIN_REFUSED, reason);
}

void asking_received(struct asking *asking, enum control_peer peer, unsigned type, const void *body, size_t size)
{
    (void)size;
    if (type == ADMIN_TEXT)
        take_text(asking, peer, body);
    else if (type == ADMIN_END)
        take_end(asking, peer, body);
}

void asking_gone(struct asking *asking, enum control_peer peer)
{
    finish_all(asking, is_of, peer);
}

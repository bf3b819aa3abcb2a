/* The same as asking.c for dns, whose answers are structs: questions by ticket, and one way to be told, from the loop. */
#include "looking.h"

#include "../base/list.h"
#include "../base/text.h"

#include <stdlib.h>

struct lookup_question {
    struct list node;
    uint64_t ticket;
    bool unheard; /* could not be asked */
    unsigned which;
    looking_mx mx; /* one of the two */
    looking_address address;
    void *context;
};

struct looking {
    struct control *control;
    struct list questions;
    uint64_t last_ticket;
    struct timer unheard;
};

struct looking *looking_new(struct control *control)
{
    struct looking *looking = text_zalloc(sizeof *looking);
    looking->control = control;
    list_init(&looking->questions);
    return looking;
}

void looking_free(struct looking **looking)
{
    if (!*looking)
        return;
    LIST_EACH(node, &(*looking)->questions)
        free(LIST_ENTRY(node, struct lookup_question, node));
    timer_fini(&(*looking)->unheard);
    free(*looking);
    *looking = NULL;
}

static void tell_mx(struct lookup_question *question, const struct dns_mx *mx)
{
    looking_mx found = question->mx;
    void *context = question->context;
    list_remove(&question->node);
    free(question);
    found(context, mx);
}

static void tell_address(struct lookup_question *question, const struct dns_address *address)
{
    looking_address found = question->address;
    void *context = question->context;
    unsigned which = question->which;
    list_remove(&question->node);
    free(question);
    found(context, which, address);
}

/* Nobody will answer QUESTION. */
static void give_up(struct lookup_question *question)
{
    if (question->mx)
        tell_mx(question, &(struct dns_mx){ .status = DNS_TIMEOUT });
    else
        tell_address(question, &(struct dns_address){ .status = DNS_TIMEOUT });
}

/* From the front again after each, since whoever is told may ask or forget; what is asked meanwhile stays. */
static void give_up_all(struct looking *looking, bool only_unheard)
{
    uint64_t last = looking->last_ticket;
    struct list *node = looking->questions.next;
    while (node != &looking->questions) {
        struct lookup_question *question = LIST_ENTRY(node, struct lookup_question, node);
        bool over = question->ticket <= last && (question->unheard || !only_unheard);
        if (over)
            give_up(question);
        node = over ? looking->questions.next : node->next;
    }
}

static void end_unheard(void *context)
{
    give_up_all(context, true);
}

static struct lookup_question *ask(struct looking *looking, void *context)
{
    struct lookup_question *question = text_zalloc(sizeof *question);
    *question = (struct lookup_question){ .ticket = ++looking->last_ticket, .context = context };
    list_append(&looking->questions, &question->node);
    return question;
}

static void send_question(struct looking *looking, struct lookup_question *question, unsigned type, const void *body, size_t size)
{
    if (ipc_send(looking->control->peers[CONTROL_DNS], type, body, size, -1))
        return;
    question->unheard = true;
    timer_set(&looking->unheard, looking->control->role->loop, 0, end_unheard, looking);
}

void looking_ask_mx(struct looking *looking, struct span domain, looking_mx found, void *context)
{
    struct lookup_question *question = ask(looking, context);
    struct dns_ask_mx message = { .ticket = question->ticket };
    question->mx = found;
    text_copy(message.domain, sizeof message.domain, domain);
    send_question(looking, question, DNS_ASK_MX, &message, sizeof message);
}

void looking_ask_address(struct looking *looking, struct span host, unsigned which, looking_address found, void *context)
{
    struct lookup_question *question = ask(looking, context);
    struct dns_ask_address message = { .ticket = question->ticket };
    question->address = found;
    question->which = which;
    text_copy(message.host, sizeof message.host, host);
    send_question(looking, question, DNS_ASK_ADDRESS, &message, sizeof message);
}

void looking_forget(struct looking *looking, const void *context)
{
    LIST_EACH(node, &looking->questions) {
        struct lookup_question *question = LIST_ENTRY(node, struct lookup_question, node);
        if (question->context != context)
            continue;
        list_remove(node);
        free(question);
    }
}

static struct lookup_question *find(const struct looking *looking, uint64_t ticket)
{
    LIST_EACH(node, &looking->questions) {
        struct lookup_question *question = LIST_ENTRY(node, struct lookup_question, node);
        if (question->ticket == ticket)
            return question;
    }
    return NULL;
}

void looking_received(struct looking *looking, unsigned type, const void *body)
{
    if (type == DNS_MX) {
        struct lookup_question *question = find(looking, ((const struct dns_mx *)body)->ticket);
        if (question && question->mx)
            tell_mx(question, body);
    } else if (type == DNS_ADDRESS) {
        struct lookup_question *question = find(looking, ((const struct dns_address *)body)->ticket);
        if (question && question->address)
            tell_address(question, body);
    }
}

void looking_gone(struct looking *looking)
{
    give_up_all(looking, false);
}

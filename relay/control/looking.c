/* The same as asking.c for dns and sts, whose answers are structs: questions by ticket, and one way to be told, from the loop. */
#include "looking.h"

#include "../base/list.h"
#include "../base/text.h"

#include <stdlib.h>

struct lookup_kind;

struct lookup_question {
    struct list node;
    const struct lookup_kind *kind;
    uint64_t ticket;
    bool unheard; /* could not be asked */
    unsigned which;
    union {
        looking_mx mx;
        looking_address address;
        looking_tlsa tlsa;
        looking_policy policy;
    } found; /* the kind's */
    void *context;
};

static void tell_mx(const struct lookup_question *question, const void *body)
{
    question->found.mx(question->context, body);
}

static void tell_address(const struct lookup_question *question, const void *body)
{
    question->found.address(question->context, question->which, body);
}

static void tell_tlsa(const struct lookup_question *question, const void *body)
{
    question->found.tlsa(question->context, question->which, body);
}

static void tell_policy(const struct lookup_question *question, const void *body)
{
    question->found.policy(question->context, body);
}

static const struct dns_mx no_mx = { .status = DNS_TIMEOUT };
static const struct dns_address no_address = { .status = DNS_TIMEOUT };
static const struct dns_tlsa no_tlsa = { .status = DNS_TIMEOUT };
static const struct sts_policy no_policy = { .mode = STS_MODES };

/* What can be asked: of whom, as what, how the answer is told, and what is told where none comes. */
static const struct lookup_kind {
    enum control_peer peer;
    unsigned question, answer; /* messages of the channel */
    void (*tell)(const struct lookup_question *question, const void *body);
    const void *none;
} kinds[] = {
    { CONTROL_DNS, DNS_ASK_MX, DNS_MX, tell_mx, &no_mx },
    { CONTROL_DNS, DNS_ASK_ADDRESS, DNS_ADDRESS, tell_address, &no_address },
    { CONTROL_DNS, DNS_ASK_TLSA, DNS_TLSA, tell_tlsa, &no_tlsa },
    { CONTROL_STS, STS_ASK, STS_POLICY, tell_policy, &no_policy },
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

/* QUESTION is answered with BODY, and is no more. */
static void tell(struct lookup_question *question, const void *body)
{
    struct lookup_question kept = *question;
    list_remove(&question->node);
    free(question);
    kept.kind->tell(&kept, body);
}

/* From the front again after each, since whoever is told may ask or forget; what is asked meanwhile stays. */
static void give_up_all(struct looking *looking, enum control_peer peer, bool only_unheard)
{
    uint64_t last = looking->last_ticket;
    struct list *node = looking->questions.next;
    while (node != &looking->questions) {
        struct lookup_question *question = LIST_ENTRY(node, struct lookup_question, node);
        bool over = question->ticket <= last && (only_unheard ? question->unheard : question->kind->peer == peer);
        if (over)
            tell(question, question->kind->none);
        node = over ? looking->questions.next : node->next;
    }
}

static void end_unheard(void *context)
{
    give_up_all(context, CONTROL_PEERS, true);
}

/* A question of the kind that MESSAGE of PEER's channel asks. */
static struct lookup_question *ask(struct looking *looking, enum control_peer peer, unsigned message, void *context)
{
    struct lookup_question *question = text_zalloc(sizeof *question);
    const struct lookup_kind *kind = kinds;
    while (kind->peer != peer || kind->question != message)
        kind++;
    *question = (struct lookup_question){ .kind = kind, .ticket = ++looking->last_ticket, .context = context };
    list_append(&looking->questions, &question->node);
    return question;
}

static void send_question(struct looking *looking, struct lookup_question *question, const void *body, size_t size)
{
    if (ipc_send(looking->control->peers[question->kind->peer], question->kind->question, body, size, -1))
        return;
    question->unheard = true;
    timer_set(&looking->unheard, looking->control->role->loop, 0, end_unheard, looking);
}

void looking_ask_mx(struct looking *looking, struct span domain, looking_mx found, void *context)
{
    struct lookup_question *question = ask(looking, CONTROL_DNS, DNS_ASK_MX, context);
    struct dns_ask_mx message = { .ticket = question->ticket };
    question->found.mx = found;
    text_copy(message.domain, sizeof message.domain, domain);
    send_question(looking, question, &message, sizeof message);
}

void looking_ask_address(struct looking *looking, struct span host, unsigned which, looking_address found, void *context)
{
    struct lookup_question *question = ask(looking, CONTROL_DNS, DNS_ASK_ADDRESS, context);
    struct dns_ask_address message = { .ticket = question->ticket };
    question->found.address = found;
    question->which = which;
    text_copy(message.host, sizeof message.host, host);
    send_question(looking, question, &message, sizeof message);
}

void looking_ask_tlsa(struct looking *looking, struct span host, uint16_t port, unsigned which, looking_tlsa found, void *context)
{
    struct lookup_question *question = ask(looking, CONTROL_DNS, DNS_ASK_TLSA, context);
    struct dns_ask_tlsa message = { .ticket = question->ticket, .port = port };
    question->found.tlsa = found;
    question->which = which;
    text_copy(message.host, sizeof message.host, host);
    send_question(looking, question, &message, sizeof message);
}

void looking_ask_policy(struct looking *looking, struct span domain, looking_policy found, void *context)
{
    struct lookup_question *question = ask(looking, CONTROL_STS, STS_ASK, context);
    struct sts_ask message = { .ticket = question->ticket };
    question->found.policy = found;
    text_copy(message.domain, sizeof message.domain, domain);
    send_question(looking, question, &message, sizeof message);
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

/* The ticket is the first member of each answer. */
void looking_received(struct looking *looking, enum control_peer peer, unsigned type, const void *body)
{
    uint64_t ticket;
    memcpy(&ticket, body, sizeof ticket);
    struct lookup_question *question = find(looking, ticket);
    if (question && question->kind->peer == peer && question->kind->answer == type)
        tell(question, body);
}

void looking_gone(struct looking *looking, enum control_peer peer)
{
    give_up_all(looking, peer, false);
}

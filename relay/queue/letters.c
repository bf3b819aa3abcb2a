#include "letters.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../message/envelope.h"
#include "../smtp/content.h"
#include "accounts.h"
#include "arrive.h"
#include "store.h"

#include <stdlib.h>

#define AGAIN_MS 30000
#define WIRE_MAX (256 * 1024)

struct waiting {
    struct list node;
    struct queue *queue;
    struct uid id;
    bool running;
    struct letter letter;
};

struct letters {
    struct list all;
    unsigned count;
    struct timer again;
    bool failing; /* the last one that was tried could not be stored */
};

struct letters *letters_new(void)
{
    struct letters *letters = text_zalloc(sizeof *letters);
    list_init(&letters->all);
    return letters;
}

void letters_free(struct letters **letters)
{
    if (!*letters)
        return;
    timer_fini(&(*letters)->again);
    if ((*letters)->count)
        log_say(LOG_ERROR, "error", "%u letters about accounts are not stored yet; policy has to hand them over again",
                (*letters)->count);
    LIST_EACH(node, &(*letters)->all)
        free(LIST_ENTRY(node, struct waiting, node));
    free(*letters);
    *letters = NULL;
}

bool letters_running(const struct queue *queue)
{
    LIST_EACH(node, &queue->letters->all) {
        if (LIST_ENTRY(node, struct waiting, node)->running)
            return true;
    }
    return false;
}

static void write_plain(const struct waiting *waiting, const char *hostname, bool ascii, struct buffer *out)
{
    const struct letter *letter = &waiting->letter;
    char date[CLOCK_TEXT_SIZE], id[UID_TEXT_SIZE];
    struct span rest = span_make(letter->text, letter->size);
    clock_rfc5322(clock_wall_ms(), date);
    uid_print(waiting->id, id);
    buffer_addf(out, "Date: %s\r\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <%s>\r\nSubject: %s\r\n", date, hostname,
                letter->to, letter->subject);
    buffer_addf(out, "Message-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n", id, hostname);
    buffer_addf(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", ascii ? "7bit" : "8bit");
    while (rest.n) {
        struct span line = span_cut(&rest, '\n');
        buffer_add(out, line);
        buffer_add_text(out, "\r\n");
    }
}

static void store(struct queue *queue, struct waiting *waiting);

/* Tries the first that waits: where the disk takes it, the others follow. */
static void try_again(void *context)
{
    struct queue *queue = context;
    LIST_EACH(node, &queue->letters->all) {
        struct waiting *waiting = LIST_ENTRY(node, struct waiting, node);
        if (waiting->running || queue->role->draining)
            continue;
        store(queue, waiting);
        return;
    }
}

/* WAITING stays, behind the others, so that none keeps them from being tried. */
static void keep_waiting(struct queue *queue, struct waiting *waiting)
{
    struct letters *letters = queue->letters;
    if (!letters->failing)
        log_say(LOG_ERROR, "error", "a letter about an account could not be stored; it is tried again every %d seconds",
                AGAIN_MS / 1000);
    letters->failing = true;
    list_remove(&waiting->node);
    list_append(&letters->all, &waiting->node);
    timer_set(&letters->again, queue->loop, AGAIN_MS, try_again, queue);
}

/* The disk takes letters again: all that wait are stored. */
static void store_all(struct queue *queue)
{
    queue->letters->failing = false;
    log_say(LOG_INFO, "notice", "letters about accounts can be stored again");
    LIST_EACH(node, &queue->letters->all) {
        struct waiting *waiting = LIST_ENTRY(node, struct waiting, node);
        if (!waiting->running && !queue->role->draining)
            store(queue, waiting);
    }
}

static void stored(void *context, enum writer_verdict verdict, const struct writer_place *place)
{
    struct waiting *waiting = context;
    struct queue *queue = waiting->queue;
    waiting->running = false;
    if (verdict != WRITER_STORED) {
        keep_waiting(queue, waiting);
        return;
    }
    list_remove(&waiting->node);
    queue->letters->count--;
    accounts_letter_stored(queue, waiting->letter.ticket);
    struct log_entry entry;
    log_begin(&entry, LOG_INFO, "accepted");
    log_uid(&entry, "id", waiting->id);
    log_string(&entry, "account", "");
    log_string(&entry, "client", "");
    log_string(&entry, "from", "");
    log_number(&entry, "nrcpt", 1);
    log_number(&entry, "size", (int64_t)place->record.content_size);
    log_string(&entry, "report", "account");
    log_end(&entry);
    free(waiting);
    arrive_stored(queue, place->segment, place->record.offset, place->record.id);
    if (queue->letters->failing)
        store_all(queue);
}

static void store(struct queue *queue, struct waiting *waiting)
{
    struct envelope envelope;
    struct buffer plain, wire, bytes;
    bool ascii = span_is_ascii(span_make(waiting->letter.text, waiting->letter.size)),
         plain_to = span_is_ascii(span_of(waiting->letter.to));
    envelope_init(&envelope);
    buffer_init(&plain, WIRE_MAX);
    buffer_init(&wire, WIRE_MAX);
    buffer_init(&bytes, ENVELOPE_STORED_MAX);
    waiting->id = envelope.id = uid_next();
    waiting->running = true;
    envelope.arrived_ms = clock_wall_ms();
    envelope.flags = ENVELOPE_REPORT | (ascii ? 0u : ENVELOPE_8BIT) | (plain_to ? 0u : ENVELOPE_SMTPUTF8 | ENVELOPE_8BIT);
    envelope_add(&envelope, waiting->letter.to, COMMAND_NOTIFY_NEVER, NULL);
    envelope_store(&envelope, &bytes);
    write_plain(waiting, queue_conf(queue)->hostname, ascii, &plain);
    content_stuff(buffer_span(&plain), &wire);
    struct intake *intake = intake_new(queue->store->writer, waiting->id, WIRE_MAX);
    intake_add(intake, buffer_span(&wire));
    intake_commit(&intake, buffer_span(&bytes), SPAN(""), stored, waiting);
    buffer_fini(&plain);
    buffer_fini(&wire);
    buffer_fini(&bytes);
    envelope_fini(&envelope);
}

static bool is_control(char byte)
{
    return (unsigned char)byte < ' ' || byte == 0x7f;
}

/* What stands in a header is one line, whatever policy says; of ASCII, but for an address that is not. */
static void make_field(char *text, size_t size, bool ascii)
{
    text[size - 1] = '\0';
    for (; *text; text++)
        if (is_control(*text) || (ascii && *text & 0x80))
            *text = '?';
}

/* A text has lines, and no other control bytes. */
static void make_text(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (is_control(text[i]) && text[i] != '\n')
            text[i] = '?';
}

void letters_take(struct queue *queue, const struct letter *letter)
{
    bool is_sound = letter->size <= sizeof letter->text;
    if (!is_sound || queue->letters->count >= LETTERS_MAX) {
        log_say(LOG_ERROR, "error", "a letter about an account is dropped: %s",
                is_sound ? "too many wait for the disk" : "its size is none that a letter can have");
        return;
    }
    struct waiting *waiting = text_zalloc(sizeof *waiting);
    waiting->queue = queue;
    memcpy(&waiting->letter, letter, offsetof(struct letter, text) + letter->size);
    make_field(waiting->letter.to, sizeof waiting->letter.to, false);
    make_field(waiting->letter.subject, sizeof waiting->letter.subject, true);
    make_text(waiting->letter.text, waiting->letter.size);
    list_append(&queue->letters->all, &waiting->node);
    queue->letters->count++;
    if (!queue->role->draining)
        store(queue, waiting);
}

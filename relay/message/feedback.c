/* A report is a multipart/report of three parts: words for people, fields (message/feedback-report), and the original message or its
 * header. The first of each kind counts. Fields and header are gathered as they come and read at the end. */
#include "feedback.h"

#include "../base/text.h"
#include "../smtp/address.h"
#include "mime.h"

#include <stdlib.h>

struct feedback {
    const char *hostname;
    struct mime *mime;
    bool is_multipart; /* the message is one of this kind */
    bool has_report, has_original;
    struct buffer report, original;
    struct buffer *gathering; /* one of them, or NULL */
};

static bool begin(void *context, const struct mime_part *part)
{
    struct feedback *feedback = context;
    bool original = strcmp(part->type, "message/rfc822") == 0 || strcmp(part->type, "text/rfc822-headers") == 0;
    feedback->gathering = NULL;
    if (part->depth == 0)
        feedback->is_multipart = strcmp(part->type, "multipart/report") == 0 && strcmp(part->report_type, "feedback-report") == 0;
    if (!feedback->is_multipart || part->depth != 1)
        return false;
    if (strcmp(part->type, "message/feedback-report") == 0 && !feedback->has_report) {
        feedback->has_report = true;
        feedback->gathering = &feedback->report;
    } else if (original && !feedback->has_original) {
        feedback->has_original = true;
        feedback->gathering = &feedback->original;
    }
    return feedback->gathering != NULL;
}

/* Fields end at an empty line, but some reporters begin with one. */
static void gather(void *context, struct span line)
{
    struct feedback *feedback = context;
    struct buffer *into = feedback->gathering;
    if (!into)
        return;
    if (!line.n && buffer_size(into))
        feedback->gathering = NULL;
    else if (line.n && !into->overflow && buffer_add(into, line))
        buffer_add_text(into, "\r\n");
}

struct feedback *feedback_new(const char *hostname)
{
    static const struct mime_visitor visitor = { begin, gather };
    struct feedback *feedback = text_zalloc(sizeof *feedback);
    feedback->hostname = hostname;
    feedback->mime = mime_new(&visitor, feedback);
    buffer_init(&feedback->report, FEEDBACK_REPORT_MAX);
    buffer_init(&feedback->original, FEEDBACK_ORIGINAL_MAX);
    return feedback;
}

void feedback_free(struct feedback **feedback)
{
    if (!*feedback)
        return;
    mime_free(&(*feedback)->mime);
    buffer_fini(&(*feedback)->report);
    buffer_fini(&(*feedback)->original);
    free(*feedback);
    *feedback = NULL;
}

void feedback_add(struct feedback *feedback, struct span wire)
{
    mime_add(feedback->mime, wire);
}

/* A word of letters, digits and hyphens; all others stand for one that is not known. */
static void read_type(struct span value, struct feedback_result *result)
{
    static const char *const accusing[] = { "abuse", "fraud", "virus" };
    static const char known[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (result->type[0] || !value.n)
        return;
    bool fits = text_copy(result->type, sizeof result->type, value);
    text_lower(result->type);
    if (!fits || strspn(result->type, known) < strlen(result->type))
        text_copy(result->type, sizeof result->type, SPAN("other"));
    for (size_t i = 0; i < sizeof accusing / sizeof *accusing; i++)
        result->accuses = result->accuses || strcmp(result->type, accusing[i]) == 0;
}

static void read_source(struct span value, struct feedback_result *result)
{
    struct netaddr source;
    if (!result->source.family && netaddr_parse(value, &source))
        result->source = source;
}

/* An address with or without <>. */
static void read_address(struct span value, char dest[SMTP_ADDRESS_SIZE])
{
    struct address address;
    if (value.n >= 2 && value.p[0] == '<' && value.p[value.n - 1] == '>')
        value = span_make(value.p + 1, value.n - 2);
    if (dest[0] || address_parse(value, true, &address) != ADDRESS_OK)
        return;
    if (!address_normal(&address, dest, SMTP_ADDRESS_SIZE))
        dest[0] = '\0';
}

static void read_from(struct span value, struct feedback_result *result)
{
    read_address(value, result->original_from);
}

static void read_rcpt(struct span value, struct feedback_result *result)
{
    read_address(value, result->original_rcpt);
}

/* A field of the report; what is not here is of no use to us. */
static const struct {
    const char *name;
    void (*read)(struct span value, struct feedback_result *result);
} fields[] = {
    { "Feedback-Type", read_type },
    { "Source-IP", read_source },
    { "Original-Mail-From", read_from },
    { "Original-Rcpt-To", read_rcpt },
};

/* Takes the next field of *REST, stepping over lines that are none. */
static bool next_field(struct span *rest, struct header_field *field)
{
    while (rest->n && !header_next(rest, field))
        span_cut(rest, '\n');
    return rest->n || field->whole.n;
}

static void read_report(struct span rest, struct feedback_result *result)
{
    char value[SMTP_ADDRESS_SIZE + 2];
    while (rest.n) {
        struct header_field field = { .whole = SPAN("") };
        if (!next_field(&rest, &field))
            return;
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (span_equal_nocase(field.name, span_of(fields[i].name)) && header_unfold(field.value, value, sizeof value))
                fields[i].read(span_of(value), result);
    }
}

static void read_original(struct span rest, const char *hostname, struct feedback_result *result)
{
    while (rest.n && !result->has_origin) {
        struct header_field field = { .whole = SPAN("") };
        if (next_field(&rest, &field) && span_equal_nocase(field.name, SPAN("Received")))
            result->has_origin = received_read(field.value, hostname, &result->origin);
    }
}

void feedback_end(struct feedback *feedback, struct feedback_result *ret_result)
{
    struct feedback_result result = { .is_report = false };
    mime_end(feedback->mime);
    read_report(buffer_span(&feedback->report), &result);
    result.is_report = feedback->has_report && result.type[0];
    if (result.is_report)
        read_original(buffer_span(&feedback->original), feedback->hostname, &result);
    *ret_result = result.is_report ? result : (struct feedback_result){ .is_report = false };
}

/* Whatever comes from outside (replies, subjects, names) stands in a record in escaped form already, or is escaped here: a letter is
 * read by a person in a mail program. What is to be done stands in front of the evidence, of which a spammer can make as much as there is
 * room for. */
#include "letter.h"

#include "../relay/base/text.h"

#define SHOWN_SIZE 600
#define ROWS_MAX   10

static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* One line of TEXT, indented; nothing where it is "". */
static void add_line(struct buffer *out, const char *text)
{
    char shown[SHOWN_SIZE];
    text_escape(shown, sizeof shown, span_of(text));
    if (*shown)
        buffer_addf(out, "    %s\n", shown);
}

static void add_strike(const json_t *strike, struct buffer *out)
{
    char line[SHOWN_SIZE];
    text_format(line, sizeof line, "%s %s", member(strike, "time"), member(strike, "text"));
    add_line(out, line);
}

static void add_signal(const json_t *signal, struct buffer *out)
{
    char line[SHOWN_SIZE];
    text_format(line, sizeof line, "%s %s %s %s %s", member(signal, "time"), member(signal, "kind"), member(signal, "client"),
                member(signal, "to"), member(signal, "text"));
    add_line(out, line);
}

static void add_network(const json_t *network, struct buffer *out)
{
    char line[SHOWN_SIZE];
    text_format(line, sizeof line, "%s %lld login(s), the last at %s", member(network, "network"),
                (long long)json_integer_value(json_object_get(network, "count")), member(network, "last"));
    add_line(out, line);
}

static void add_sample(const json_t *sample, struct buffer *out)
{
    char line[SHOWN_SIZE];
    text_format(line, sizeof line, "%s from <%s> at %s to <%s>: %s", member(sample, "time"), member(sample, "from"),
                member(sample, "client"), member(sample, "to"), member(sample, "subject"));
    add_line(out, line);
}

/* A heading, and the newest of the list NAME of RECORD. */
static void add_list(const json_t *record, const char *name, const char *heading,
                     void (*add)(const json_t *item, struct buffer *out), struct buffer *out)
{
    const json_t *list = json_object_get(record, name);
    size_t size = json_array_size(list);
    if (!size)
        return;
    buffer_addf(out, "\n%s\n", heading);
    for (size_t i = size > ROWS_MAX ? size - ROWS_MAX : 0; i < size; i++)
        add(json_array_get(list, i), out);
}

void letter_to_postmaster(const json_t *record, const char *hostname, struct buffer *text)
{
    const char *account = member(record, "account");
    buffer_addf(text, "%s has suspended the account %s at %s.\n\nThe reason:\n", hostname, account, member(record, "since"));
    add_line(text, member(record, "reason"));
    buffer_add_text(text, "\nIts logins and messages are refused, and what it has queued is held; nothing is lost.\n");
    buffer_addf(text,
                "\nTo see all of it:\n    postern account show %s\n    postern queue list --account %s\n\n"
                "If its password was stolen: give it another one, throw its mail away, and let it send again:\n"
                "    postern user passwd %s\n    postern queue remove --account %s\n    postern account resume %s\n\n"
                "If this is a false alarm, one command lets the account and its mail go:\n    postern account resume %s\n",
                account, account, account, account, account, account);
    add_list(record, "strikes", "Strikes:", add_strike, text);
    add_list(record, "signals", "What came back last:", add_signal, text);
    add_list(record, "networks", "Where it logged in from:", add_network, text);
    add_list(record, "samples", "What it sent last:", add_sample, text);
}

void letter_to_user(const json_t *record, const char *hostname, const char *postmaster, struct buffer *text)
{
    buffer_addf(text,
                "The mail account %s can send nothing at the moment: %s has suspended it at %s,\n"
                "because what it sent looks as if somebody else used it. The reason:\n",
                member(record, "account"), hostname, member(record, "since"));
    add_line(text, member(record, "reason"));
    buffer_addf(text,
                "\nWhat it had still to send is kept. Mail that comes to you is not concerned.\n\n"
                "If you did not send it, your password is probably known to somebody: change it, here and wherever else you\n"
                "use the same one, and look at the machines that have it stored. In any case speak to your postmaster,\n"
                "%s, who can let the account send again.\n",
                postmaster);
}

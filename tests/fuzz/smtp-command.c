/* Lines of a client, as the session takes them apart: line, command, and what MAIL, RCPT and EHLO say. */
#include "../../relay/smtp/command.h"

#include "../../relay/smtp/line.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Is TEXT without control bytes, and ASCII unless UTF8? */
static bool is_clean(const char *text, bool utf8)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f || (!utf8 && (unsigned char)*text > 0x7f))
            return false;
    return true;
}

/* What was decoded encodes to something that decodes to it. */
static void check_xtext(const char *text)
{
    struct buffer out;
    char again[SMTP_ORCPT_MAX + 1];
    buffer_init(&out, 3 * SMTP_ORCPT_MAX);
    require(command_xtext_encode(span_of(text), &out));
    require(command_xtext_decode(buffer_span(&out), again, sizeof again) && strcmp(text, again) == 0);
    buffer_fini(&out);
}

static void check_command(struct span line)
{
    struct command command;
    struct command_mail mail;
    struct command_rcpt rcpt;
    if (!command_parse(line, &command))
        return;
    require(command_name(command.verb)[0]);
    if (command_parse_mail(command.argument, &mail) == COMMAND_FINE) {
        require(is_clean(mail.sender, mail.smtputf8) && is_clean(mail.envid, false));
        check_xtext(mail.envid);
    }
    for (int utf8 = 0; utf8 < 2; utf8++) {
        if (command_parse_rcpt(command.argument, utf8, &rcpt) == COMMAND_FINE) {
            require(rcpt.recipient[0] && is_clean(rcpt.recipient, utf8) && is_clean(rcpt.orcpt, false));
            check_xtext(rcpt.orcpt);
        }
    }
    if (command_is_helo_name(command.argument))
        require(command.argument.n <= SMTP_DOMAIN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make((const char *)data, size), line;
    size_t used;
    for (;;) {
        enum line_progress progress = line_next(rest, SMTP_COMMAND_LINE_MAX, &line, &used);
        if (progress == LINE_MORE || progress == LINE_TOO_LONG)
            break;
        require(used <= rest.n && line.n < used);
        check_command(line);
        rest = span_skip(rest, used);
    }
    check_command(rest);
    return 0;
}

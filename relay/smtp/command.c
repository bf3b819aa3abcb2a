/* MAIL and RCPT are a path and a list of parameters. Each parameter is a row of a table: its name, what reads its value into the
 * struct, and whether it has a value at all. The loop over the list knows nothing of them but that none may come twice
 * (RFC 5321 4.1.2). Whether 8-bit in the sender's path is right depends on SMTPUTF8, which comes behind it: so the path is
 * read as if SMTPUTF8 were there, and judged at the end.
 *
 * Nothing of xtext is kept encoded: what is stored is printable ASCII, checked here, and encoded again on the way out. So a
 * "+0A" never becomes a line end in anybody's file (CVE-2020-28026). */
#include "command.h"

#include "../base/text.h"

#define PARAMETERS_MAX 32             /* rows of one table: bits of a mask */
#define AUTH_MAX       SMTP_ORCPT_MAX /* RFC 4954 4.1: the AUTH parameter's limit, 500 */

/* A row of the tables below. READ gets the struct that is being filled; it is called once at most for a command. */
struct parameter {
    const char *name;
    enum command_fault (*read)(void *command, struct span value);
    bool has_value;
};

static const char *const verbs[COMMAND_VERBS] = {
    [COMMAND_EHLO] = "EHLO", [COMMAND_HELO] = "HELO", [COMMAND_STARTTLS] = "STARTTLS", [COMMAND_AUTH] = "AUTH",
    [COMMAND_MAIL] = "MAIL", [COMMAND_RCPT] = "RCPT", [COMMAND_DATA] = "DATA",         [COMMAND_RSET] = "RSET",
    [COMMAND_NOOP] = "NOOP", [COMMAND_VRFY] = "VRFY", [COMMAND_HELP] = "HELP",         [COMMAND_QUIT] = "QUIT",
};

static const char *const fault_replies[] = {
    [COMMAND_FINE] = "250 2.0.0 OK",
    [COMMAND_BAD_SYNTAX] = "501 5.5.4 Syntax error in the arguments",
    [COMMAND_BAD_SENDER] = "501 5.1.7 The sender's address is not written correctly",
    [COMMAND_BAD_RECIPIENT] = "501 5.1.3 The recipient's address is not written correctly",
    [COMMAND_NO_SENDER_NAME] = "501 5.1.7 The domain of the sender's address is no internationalized domain name (RFC 5891)",
    [COMMAND_NO_RECIPIENT_NAME] =
        "501 5.1.3 The domain of the recipient's address is no internationalized domain name (RFC 5891)",
    [COMMAND_NEEDS_SMTPUTF8] = "553 5.6.7 An address with letters beyond ASCII needs SMTPUTF8",
    [COMMAND_BAD_PARAMETER] = "501 5.5.4 A parameter has a wrong value or is given twice",
    [COMMAND_UNKNOWN_PARAMETER] = "555 5.5.4 A parameter is not known here",
    [COMMAND_TOO_BIG] = "552 5.3.4 The message is too big",
};

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool has_high(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] > 0x7f)
            return true;
    return false;
}

/* Is C printable ASCII but the space? */
static bool is_graphic(char c)
{
    return c > ' ' && c < 0x7f;
}

/* A tab in front of the argument would make the verb's end a matter of taste, so it is none of what may stand there. */
bool command_parse(struct span line, struct command *ret_command)
{
    struct span argument = line, verb = span_cut(&argument, ' ');
    for (size_t i = 0; i < line.n; i++)
        if (is_control(line.p[i]) && (line.p[i] != '\t' || i < verb.n))
            return false;
    if (!text_is_utf8(line))
        return false;
    ret_command->verb = 0;
    while (ret_command->verb < COMMAND_VERBS && !span_equal_nocase(verb, span_of(verbs[ret_command->verb])))
        ret_command->verb++;
    ret_command->argument = span_trim(argument);
    return true;
}

const char *command_name(enum command_verb verb)
{
    return verb < COMMAND_VERBS ? verbs[verb] : "?";
}

const char *command_fault_reply(enum command_fault fault)
{
    return fault_replies[fault];
}

/* size-value = 1*20DIGIT: a number that is too large for us is too large a message, not a mistake (RFC 1870 3). */
static enum command_fault read_size(void *command, struct span value)
{
    struct command_mail *mail = command;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '0' || value.p[i] > '9')
            return COMMAND_BAD_PARAMETER;
    return text_number(value, 0, UINT64_MAX, &mail->size) ? COMMAND_FINE : COMMAND_TOO_BIG;
}

/* BINARYMIME is not offered, since it takes BDAT (RFC 3030). */
static enum command_fault read_body(void *command, struct span value)
{
    struct command_mail *mail = command;
    mail->body_8bit = span_equal_nocase(value, SPAN("8BITMIME"));
    return mail->body_8bit || span_equal_nocase(value, SPAN("7BIT")) ? COMMAND_FINE : COMMAND_BAD_PARAMETER;
}

static enum command_fault read_smtputf8(void *command, struct span value)
{
    struct command_mail *mail = command;
    (void)value;
    mail->smtputf8 = true;
    return COMMAND_FINE;
}

/* Who first submitted it, as the client says. postern believes only its own AUTH, so this is checked and forgotten; but it has
 * to be accepted (RFC 4954 5). */
static enum command_fault read_auth(void *command, struct span value)
{
    char address[AUTH_MAX + 1];
    (void)command;
    return command_xtext_decode(value, address, sizeof address) ? COMMAND_FINE : COMMAND_BAD_PARAMETER;
}

static enum command_fault read_ret(void *command, struct span value)
{
    struct command_mail *mail = command;
    if (span_equal_nocase(value, SPAN("FULL")))
        mail->ret = COMMAND_RET_FULL;
    else if (span_equal_nocase(value, SPAN("HDRS")))
        mail->ret = COMMAND_RET_HEADERS;
    return mail->ret == COMMAND_RET_UNSET ? COMMAND_BAD_PARAMETER : COMMAND_FINE;
}

/* The length is that of what is sent: the next server would refuse a longer one. */
static enum command_fault read_envid(void *command, struct span value)
{
    struct command_mail *mail = command;
    bool fits = value.n <= SMTP_ENVID_MAX && command_xtext_decode(value, mail->envid, sizeof mail->envid);
    return fits ? COMMAND_FINE : COMMAND_BAD_PARAMETER;
}

/* One element of NOTIFY's list, or 0. */
static unsigned notify_flag(struct span element)
{
    static const struct {
        const char *name;
        unsigned flag;
    } flags[] = {
        { "NEVER", COMMAND_NOTIFY_NEVER },
        { "SUCCESS", COMMAND_NOTIFY_SUCCESS },
        { "FAILURE", COMMAND_NOTIFY_FAILURE },
        { "DELAY", COMMAND_NOTIFY_DELAY },
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (span_equal_nocase(element, span_of(flags[i].name)))
            return flags[i].flag;
    return 0;
}

/* notify-esmtp-value = "NEVER" / 1#notify-list-element */
static enum command_fault read_notify(void *command, struct span value)
{
    struct command_rcpt *rcpt = command;
    if (value.p[value.n - 1] == ',')
        return COMMAND_BAD_PARAMETER;
    while (value.n) {
        unsigned flag = notify_flag(span_cut(&value, ','));
        if (!flag || rcpt->notify & flag)
            return COMMAND_BAD_PARAMETER;
        rcpt->notify |= flag;
    }
    bool alone = !(rcpt->notify & COMMAND_NOTIFY_NEVER) || rcpt->notify == COMMAND_NOTIFY_NEVER;
    return alone ? COMMAND_FINE : COMMAND_BAD_PARAMETER;
}

/* original-recipient-address = addr-type ";" xtext
 * The type is an atom and stays as it is; the address must not be empty. Both go into the report to the sender, as one field. */
static enum command_fault read_orcpt(void *command, struct span value)
{
    struct command_rcpt *rcpt = command;
    size_t type = span_find(value, ';');
    if (!type || type + 1 >= value.n || value.n > SMTP_ORCPT_MAX)
        return COMMAND_BAD_PARAMETER;
    for (size_t i = 0; i < type; i++)
        if (!is_graphic(value.p[i]) || strchr("()<>@,:\\\".[]+=", value.p[i]))
            return COMMAND_BAD_PARAMETER;
    memcpy(rcpt->orcpt, value.p, type + 1);
    return command_xtext_decode(span_skip(value, type + 1), rcpt->orcpt + type + 1, sizeof rcpt->orcpt - type - 1)
               ? COMMAND_FINE
               : COMMAND_BAD_PARAMETER;
}

static const struct parameter mail_parameters[] = {
    { "SIZE", read_size, true },          /* RFC 1870 */
    { "BODY", read_body, true },          /* RFC 6152 */
    { "SMTPUTF8", read_smtputf8, false }, /* RFC 6531 */
    { "AUTH", read_auth, true },          /* RFC 4954 5 */
    { "RET", read_ret, true },            /* RFC 3461 4.3 */
    { "ENVID", read_envid, true },        /* RFC 3461 4.4 */
    { NULL, NULL, false },
};

static const struct parameter rcpt_parameters[] = {
    { "NOTIFY", read_notify, true }, /* RFC 3461 4.1 */
    { "ORCPT", read_orcpt, true },   /* RFC 3461 4.2 */
    { NULL, NULL, false },
};

/* Reads one parameter, "NAME" or "NAME=value". *SEEN has a bit for each row of TABLE that came already. */
static enum command_fault parse_parameter(struct span text, const struct parameter *table, void *command, uint32_t *seen)
{
    struct span value = text, name = span_cut(&value, '=');
    bool has_value = name.n < text.n;
    for (unsigned i = 0; table[i].name && i < PARAMETERS_MAX; i++) {
        if (!span_equal_nocase(name, span_of(table[i].name)))
            continue;
        bool doubled = *seen >> i & 1;
        *seen |= UINT32_C(1) << i;
        if (doubled || has_value != table[i].has_value || (has_value && !value.n))
            return COMMAND_BAD_PARAMETER;
        return table[i].read(command, value);
    }
    return COMMAND_UNKNOWN_PARAMETER;
}

/* Reads the parameters behind a path: each with a space in front, more than one does no harm. Ends at the first fault, so that
 * the reply is about what stands first. */
static enum command_fault parse_parameters(struct span text, const struct parameter *table, void *command)
{
    enum command_fault fault = COMMAND_FINE;
    uint32_t seen = 0;
    if (text.n && text.p[0] != ' ')
        return COMMAND_BAD_SYNTAX;
    while (text.n && fault == COMMAND_FINE) {
        struct span one = span_cut(&text, ' ');
        if (one.n)
            fault = parse_parameter(one, table, command, &seen);
    }
    return fault;
}

/* Takes KEYWORD ("FROM:") and the path behind it off the front of *ARGUMENT. Spaces behind the colon are against RFC 5321 3.3
 * and yet what many programs send. NORMAL has SMTP_ADDRESS_SIZE bytes. */
static enum command_fault take_path(struct span *argument, struct span keyword, bool null_allowed, bool utf8, char *normal)
{
    enum command_fault bad = null_allowed ? COMMAND_BAD_SENDER : COMMAND_BAD_RECIPIENT;
    struct address address;
    if (!span_starts_nocase(*argument, keyword))
        return COMMAND_BAD_SYNTAX;
    *argument = span_trim(span_skip(*argument, keyword.n));
    switch (address_parse_path(argument, null_allowed, utf8, &address)) {
    case ADDRESS_OK:
        return address_normal(&address, normal, SMTP_ADDRESS_SIZE) ? COMMAND_FINE : bad;
    case ADDRESS_NOT_ASCII:
        return COMMAND_NEEDS_SMTPUTF8;
    case ADDRESS_NO_NAME:
        return null_allowed ? COMMAND_NO_SENDER_NAME : COMMAND_NO_RECIPIENT_NAME;
    default:
        return bad;
    }
}

enum command_fault command_parse_mail(struct span argument, struct command_mail *ret_mail)
{
    struct command_mail mail = { .size = 0 };
    enum command_fault fault = take_path(&argument, SPAN("FROM:"), true, true, mail.sender);
    if (fault == COMMAND_FINE)
        fault = parse_parameters(argument, mail_parameters, &mail);
    if (fault == COMMAND_FINE && !mail.smtputf8 && has_high(span_of(mail.sender)))
        fault = COMMAND_NEEDS_SMTPUTF8;
    if (fault == COMMAND_FINE)
        *ret_mail = mail;
    return fault;
}

enum command_fault command_parse_rcpt(struct span argument, bool smtputf8, struct command_rcpt *ret_rcpt)
{
    ret_rcpt->notify = 0;
    ret_rcpt->recipient[0] = ret_rcpt->orcpt[0] = '\0'; /* the rest is left alone: a message may name thousands */
    enum command_fault fault = take_path(&argument, SPAN("TO:"), false, smtputf8, ret_rcpt->recipient);
    return fault == COMMAND_FINE ? parse_parameters(argument, rcpt_parameters, ret_rcpt) : fault;
}

bool command_is_helo_name(struct span argument)
{
    if (!argument.n || argument.n > SMTP_DOMAIN_MAX)
        return false;
    if (argument.p[0] == '[')
        return address_is_literal(argument);
    for (size_t i = 0; i < argument.n; i++) {
        char c = argument.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

/* xchar = any ASCII CHAR between "!" and "~" inclusive, except for "+" and "=" */
static bool is_xchar(char c)
{
    return is_graphic(c) && c != '+' && c != '=';
}

/* Value of an upper-case hexadecimal digit, or 16: RFC 3461 4 wants them so, and two spellings of one byte help nobody. */
static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

bool command_xtext_decode(struct span span, char *dest, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < span.n; i++) {
        char c = span.p[i];
        if (c == '+') {
            unsigned high = i + 1 < span.n ? hex_digit(span.p[i + 1]) : 16;
            unsigned low = i + 2 < span.n ? hex_digit(span.p[i + 2]) : 16;
            if (high > 7 || low > 15)
                return false;
            c = (char)(high << 4 | low);
            if (is_control(c))
                return false;
            i += 2;
        } else if (!is_xchar(c)) {
            return false;
        }
        if (n + 1 >= size)
            return false;
        dest[n++] = c;
    }
    if (!size)
        return false;
    dest[n] = '\0';
    return true;
}

bool command_xtext_encode(struct span span, struct buffer *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t size = buffer_size(out);
    bool fits = true;
    for (size_t i = 0; i < span.n && fits; i++) {
        unsigned char byte = (unsigned char)span.p[i];
        char escaped[3] = { '+', hex[byte >> 4], hex[byte & 15] };
        fits = is_xchar(span.p[i]) ? buffer_add_byte(out, span.p[i]) : buffer_add(out, span_make(escaped, sizeof escaped));
    }
    if (!fits)
        buffer_truncate(out, size);
    return fits;
}

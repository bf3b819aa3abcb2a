/* Command lines (RFC 5321 4.1.1) and their parameters: parse only, no session. */
#ifndef POSTERN_SMTP_COMMAND_H
#define POSTERN_SMTP_COMMAND_H

#include "address.h"

#include <stdint.h>

enum command_verb {
    COMMAND_EHLO,
    COMMAND_HELO,
    COMMAND_STARTTLS,
    COMMAND_AUTH,
    COMMAND_MAIL,
    COMMAND_RCPT,
    COMMAND_DATA,
    COMMAND_RSET,
    COMMAND_NOOP,
    COMMAND_VRFY,
    COMMAND_HELP,
    COMMAND_QUIT,
    COMMAND_UNKNOWN
};
#define COMMAND_VERBS COMMAND_UNKNOWN

struct command {
    enum command_verb verb;
    struct span argument; /* what follows the verb and its spaces, trailing spaces dropped */
};

/* Splits LINE (without CRLF) into verb, any case, and argument. A NUL or other control byte (but tab in the argument), or
 * 8-bit that is not UTF-8, gives false: 500 5.5.2. An unknown verb is COMMAND_UNKNOWN, true. */
bool command_parse(struct span line, struct command *ret_command);

/* The verb's name in capitals; "?" for COMMAND_UNKNOWN. */
const char *command_name(enum command_verb verb);

/* What is wrong with an argument, each with its reply (see command_fault_reply). */
enum command_fault {
    COMMAND_FINE,
    COMMAND_BAD_SYNTAX,        /* 501 5.5.4 */
    COMMAND_BAD_SENDER,        /* 501 5.1.7 */
    COMMAND_BAD_RECIPIENT,     /* 501 5.1.3 */
    COMMAND_NO_SENDER_NAME,    /* 501 5.1.7: its domain has U-labels that are none */
    COMMAND_NO_RECIPIENT_NAME, /* 501 5.1.3: the same */
    COMMAND_NEEDS_SMTPUTF8,    /* 553 5.6.7 */
    COMMAND_BAD_PARAMETER,     /* 501 5.5.4: known, but its value is wrong, doubled, or too long */
    COMMAND_UNKNOWN_PARAMETER, /* 555 5.5.4 */
    COMMAND_TOO_BIG            /* 552 5.3.4: SIZE beyond any number */
};

/* RFC 3461: whose returned message contains what, and when. */
enum command_ret { COMMAND_RET_UNSET, COMMAND_RET_FULL, COMMAND_RET_HEADERS };
enum { COMMAND_NOTIFY_NEVER = 1, COMMAND_NOTIFY_SUCCESS = 2, COMMAND_NOTIFY_FAILURE = 4, COMMAND_NOTIFY_DELAY = 8 };

/* MAIL FROM:<path> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8] [AUTH=…] [RET=…] [ENVID=…] */
struct command_mail {
    char sender[SMTP_ADDRESS_SIZE]; /* normal form; "" for the null path */
    uint64_t size;                  /* SIZE, 0 where not given */
    bool body_8bit;
    bool smtputf8;
    enum command_ret ret;
    char envid[SMTP_ENVID_MAX + 1]; /* decoded from xtext, printable ASCII only */
};

/* RCPT TO:<path> [NOTIFY=…] [ORCPT=…] */
struct command_rcpt {
    char recipient[SMTP_ADDRESS_SIZE]; /* normal form; "postmaster" without domain stays so */
    unsigned notify;                   /* COMMAND_NOTIFY_…; 0 where not given */
    char orcpt[SMTP_ORCPT_MAX + 1];    /* "type;address", the address decoded from xtext, printable ASCII only */
};

/* Parses the argument of MAIL ("FROM:<…> …"); *ret_mail is written on COMMAND_FINE only. SMTPUTF8 among the parameters counts
 * for the path too. RFC 1870, 6152, 6531, 4954 (the AUTH parameter is checked as xtext and forgotten), 3461 4. */
enum command_fault command_parse_mail(struct span argument, struct command_mail *ret_mail);

/* Parses the argument of RCPT ("TO:<…> …"); *ret_rcpt holds something of use on COMMAND_FINE only. SMTPUTF8 says whether the transaction
 * has it. RFC 3461 4. */
enum command_fault command_parse_rcpt(struct span argument, bool smtputf8, struct command_rcpt *ret_rcpt);

/* The reply line for FAULT without CRLF, such as "501 5.1.3 …"; static. */
const char *command_fault_reply(enum command_fault fault);

/* EHLO's and HELO's argument: a domain, an address literal, or (as printers send) a bare word of letters, digits, "-", "_" and
 * "."; at most 255 bytes. */
bool command_is_helo_name(struct span argument);

/* xtext (RFC 3461 4): decodes SPAN to DEST of SIZE bytes; false on malformed "+", on anything that decodes to a control byte or
 * 8-bit, or that does not fit. DEST then holds nothing of use. */
bool command_xtext_decode(struct span span, char *dest, size_t size);

/* Appends the xtext of SPAN to OUT: any bytes. False, and OUT as it was, where it is full. */
bool command_xtext_encode(struct span span, struct buffer *out);

#endif

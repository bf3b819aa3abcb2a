/* The protocol's sizes (RFC 5321 4.5.3.1, RFC 4954 4), in octets. Each buffer that holds one of these is named after it. */
#ifndef POSTERN_SMTP_LIMITS_H
#define POSTERN_SMTP_LIMITS_H

enum {
    SMTP_LOCAL_MAX = 64,            /* local part */
    SMTP_DOMAIN_MAX = 255,          /* domain */
    SMTP_LABEL_MAX = 63,            /* one label of it */
    SMTP_ADDRESS_MAX = 254,         /* local@domain: a path is 256 with its <> */
    SMTP_ADDRESS_SIZE = 256,        /* room for an address and a NUL */
    SMTP_DOMAIN_SIZE = 256,         /* room for a domain and a NUL */
    SMTP_COMMAND_LINE_MAX = 4096,   /* a command line with its CRLF: 512, and room for many parameters */
    SMTP_AUTH_LINE_MAX = 12288 + 2, /* a SASL response line, base64, with its CRLF */
    SMTP_REPLY_LINE_MAX = 2048,     /* a reply line that we accept: 512, generously */
    SMTP_REPLY_LINES_MAX = 128,     /* lines of one reply that we accept */
    SMTP_REPLY_TEXT_SIZE = 512,     /* what is kept of a reply's text, with its NUL */
    SMTP_TEXT_LINE_MAX = 998,       /* a line of text without CRLF as the standard wants it; longer ones pass unchanged */
    SMTP_ENVID_MAX = 100,           /* RFC 3461 4.4, as xtext, which decoded is never longer */
    SMTP_ORCPT_MAX = 500,           /* RFC 3461 4.2, likewise */
    SMTP_ENHANCED_SIZE = 12,        /* "5.123.123" and a NUL */
};

#endif

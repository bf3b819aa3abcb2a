/* Address lists of header fields (RFC 5322 3.4), read strictly: whoever checks From must read what every receiver reads, and what
 * two of them could read differently (an "@" in an unquoted name, two addresses without a comma, a source route) is malformed.
 *
 * A token at a time: comments and folds are skipped, words and dots are put together into `spec` as they come. What they were is
 * decided by the next special: "<" makes them a display name and begins the address anew, "@" a local part, ":" the name of a
 * group; at "," ";" and the end the mailbox is complete. Then address_parse judges `spec`. Words in a row with nothing
 * between are fine in a name and never in an address: `broken` remembers them. Each byte is looked at once. */
#include "header.h"

#include "../base/text.h"
#include "../smtp/address.h"

#define COMMENT_DEPTH_MAX 32

/* Where we are inside of one mailbox. */
enum phase {
    PHASE_PHRASE, /* words: a display name, a local part or a group's name */
    PHASE_DOMAIN, /* behind the "@" of a bare address */
    PHASE_ANGLE,  /* behind "<" */
    PHASE_ANGLE_DOMAIN,
    PHASE_CLOSED,    /* behind ">" */
    PHASE_GROUP_OVER /* behind ";": only "," or the end may follow */
};

struct list_parser {
    struct span rest;
    bool (*each)(void *context, const char *address);
    void *context;
    enum phase phase;
    bool in_group;
    bool any;     /* at least one mailbox or group was there */
    bool stopped; /* `each` wants no more */
    bool words;   /* something stands in `spec`, or did */
    bool broken;  /* no address can come of it */
    bool glue;    /* the last token was a dot, "@" or nothing: a word may follow */
    size_t size;
    char spec[SMTP_ADDRESS_SIZE];
};

static bool is_fold(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Is C part of an atom? Bytes above 127 are; what they may be is address_parse's to judge. */
static bool is_atom_byte(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && !strchr("()<>[]:;@\\,.\"", c);
}

/* Length of the comment at the front of TEXT, nested ones included, or 0 where it does not end. */
static size_t comment_length(struct span text)
{
    unsigned depth = 0;
    for (size_t at = 0; at < text.n; at++) {
        if (text.p[at] == '\\')
            at++;
        else if (text.p[at] == '(' && ++depth > COMMENT_DEPTH_MAX)
            return 0;
        else if (text.p[at] == ')' && --depth == 0)
            return at + 1;
    }
    return 0;
}

/* Skips comments and folds; false on a comment that does not end. */
static bool skip_cfws(struct span *rest)
{
    while (rest->n && (is_fold(rest->p[0]) || rest->p[0] == '(')) {
        size_t n = is_fold(rest->p[0]) ? 1 : comment_length(*rest);
        if (!n)
            return false;
        *rest = span_skip(*rest, n);
    }
    return true;
}

/* Length of what stands between QUOTE at the front of TEXT and END, both included; 0 where it does not end. */
static size_t quoted_length(struct span text, char end)
{
    for (size_t at = 1; at < text.n; at++) {
        if (text.p[at] == end)
            return at + 1;
        at += text.p[at] == '\\';
    }
    return 0;
}

/* atom, and what old messages and encoded words have in its place: anything that is no special. */
static size_t atom_length(struct span text)
{
    size_t n = 0;
    while (n < text.n && is_atom_byte(text.p[n]))
        n++;
    return n;
}

/* Adds TOKEN to the mailbox. GLUE says whether a word may follow it. */
static void add_token(struct list_parser *parser, struct span token, bool glue)
{
    parser->broken |= !glue && !parser->glue;
    parser->broken |= parser->phase == PHASE_CLOSED || token.n >= sizeof parser->spec - parser->size;
    parser->glue = glue;
    parser->words = true;
    if (parser->broken)
        return;
    memcpy(parser->spec + parser->size, token.p, token.n);
    parser->size += token.n;
}

/* Forgets the words so far: they were a display name or a group's, or belong to the mailbox that is complete. */
static void start_spec(struct list_parser *parser)
{
    parser->size = 0;
    parser->words = parser->broken = false;
    parser->glue = true;
}

/* The end of a mailbox: nothing (RFC 5322 4.4 allows empty elements), or a whole address. */
static bool end_mailbox(struct list_parser *parser)
{
    char normal[SMTP_ADDRESS_SIZE];
    struct address address;
    bool empty = (parser->phase == PHASE_PHRASE || parser->phase == PHASE_GROUP_OVER) && !parser->words;
    bool whole = parser->phase == PHASE_DOMAIN || parser->phase == PHASE_CLOSED;
    if (empty) {
        parser->phase = PHASE_PHRASE;
        return true;
    }
    if (!whole || parser->broken || address_parse(span_make(parser->spec, parser->size), true, &address) != ADDRESS_OK ||
        !address_normal(&address, normal, sizeof normal))
        return false;
    parser->any = true;
    parser->phase = PHASE_PHRASE;
    start_spec(parser);
    parser->stopped = !parser->each(parser->context, normal);
    return true;
}

/* The specials: each says whether it may stand where it does. */
static bool take_at(struct list_parser *parser)
{
    if (parser->phase != PHASE_PHRASE && parser->phase != PHASE_ANGLE)
        return false;
    add_token(parser, SPAN("@"), true);
    parser->phase = parser->phase == PHASE_PHRASE ? PHASE_DOMAIN : PHASE_ANGLE_DOMAIN;
    return true;
}

static bool take_open(struct list_parser *parser)
{
    if (parser->phase != PHASE_PHRASE)
        return false;
    start_spec(parser);
    parser->phase = PHASE_ANGLE;
    return true;
}

static bool take_close(struct list_parser *parser)
{
    if (parser->phase != PHASE_ANGLE_DOMAIN)
        return false;
    parser->phase = PHASE_CLOSED;
    return true;
}

/* group = display-name ":" [group-list] ";" with no group in it */
static bool take_colon(struct list_parser *parser)
{
    if (parser->phase != PHASE_PHRASE || !parser->words || parser->in_group)
        return false;
    start_spec(parser);
    parser->in_group = parser->any = true;
    return true;
}

static bool take_semicolon(struct list_parser *parser)
{
    if (!parser->in_group || !end_mailbox(parser))
        return false;
    parser->in_group = false;
    parser->phase = PHASE_GROUP_OVER;
    return true;
}

static bool take_dot(struct list_parser *parser)
{
    add_token(parser, SPAN("."), true);
    return true;
}

static const struct {
    char byte;
    bool (*take)(struct list_parser *parser);
} specials[] = {
    { '@', take_at },    { '<', take_open },      { '>', take_close }, { ',', end_mailbox },
    { ':', take_colon }, { ';', take_semicolon }, { '.', take_dot },
};

/* Takes a word: a quoted string, a domain literal, or an atom. */
static bool take_word(struct list_parser *parser)
{
    char first = parser->rest.p[0];
    bool in_domain = parser->phase == PHASE_DOMAIN || parser->phase == PHASE_ANGLE_DOMAIN;
    size_t n;
    if (first == '"')
        n = quoted_length(parser->rest, '"');
    else
        n = first == '[' && in_domain ? quoted_length(parser->rest, ']') : atom_length(parser->rest);
    add_token(parser, span_head(parser->rest, n), false);
    parser->rest = span_skip(parser->rest, n);
    return n > 0;
}

static bool take_token(struct list_parser *parser)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        if (parser->rest.p[0] == specials[i].byte) {
            parser->rest = span_skip(parser->rest, 1);
            return specials[i].take(parser);
        }
    }
    return take_word(parser);
}

bool header_addresses(struct span value, bool (*each)(void *context, const char *address), void *context)
{
    struct list_parser parser = { .rest = value, .each = each, .context = context };
    start_spec(&parser);
    while (skip_cfws(&parser.rest)) {
        if (!parser.rest.n)
            return !parser.in_group && end_mailbox(&parser) && parser.any;
        if (!take_token(&parser))
            return false;
        if (parser.stopped)
            return true;
    }
    return false;
}

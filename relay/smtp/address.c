/* Recursive descent over bytes, without recursion since the grammar has none: each part of a path has a function that says how
 * long it is at the front of a text, 0 where it is not there. Bytes above 127 count as letters on the way; whether they may be
 * there at all, and whether they are UTF-8, is asked once of the whole.
 *
 * The local part is read by the grammar from its front, never by searching for an "@": so an "@" inside quotes separates nothing
 * (CVE-2025-13033 and its like), and what stands behind the local part must be the one "@" that does.
 *
 * RFC 5321 4.1.2 with two restrictions: address literals are IPv4 and IPv6 only, and quoted text holds no control bytes. */
#include "address.h"

#include "../base/netaddr.h"
#include "../base/text.h"
#include "idn.h"

#define PATH_MAX_OCTETS (SMTP_ADDRESS_MAX + 2) /* RFC 5321 4.5.3.1.3: with its "<", ">" and source route */

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_high(char c)
{
    return (unsigned char)c > 0x7f;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Of sub-domain = Let-dig [Ldh-str], and U-label (RFC 6531 3.3). Not "_": no host that takes mail has one in its name. */
static bool is_domain_byte(char c)
{
    return is_letter_or_digit(c) || c == '-' || c == '.' || is_high(c);
}

/* atext of RFC 5322 3.2.3, and UTF8-non-ascii (RFC 6531 3.3) */
static bool is_atext(char c)
{
    return is_letter_or_digit(c) || is_high(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool starts_with(struct span text, char c)
{
    return text.n && text.p[0] == c;
}

/* Dot-string = Atom *("." Atom) */
static size_t dot_string(struct span text)
{
    size_t at = 0;
    for (;;) {
        size_t atom = at;
        while (at < text.n && is_atext(text.p[at]))
            at++;
        if (at == atom)
            return 0;
        if (at == text.n || text.p[at] != '.')
            return at;
        at++;
    }
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE
 * QcontentSMTP = qtextSMTP / quoted-pairSMTP. Empty quotes are an address by this grammar, so they pass and are sent as they are
 * (CVE-2020-10967 was a server that had not thought of them). */
static size_t quoted_string(struct span text)
{
    for (size_t at = 1; at < text.n; at++) {
        if (text.p[at] == '"')
            return at + 1;
        if (text.p[at] == '\\')
            at++;
        if (at == text.n || is_control(text.p[at]))
            return 0;
    }
    return 0;
}

/* sub-domain = Let-dig [Ldh-str]
 * Characters are counted, not bytes, where it is not ASCII: a U-label may have more than 63 bytes, and its A-label is what the
 * limit is about. Whether that is too long is seen when it is made. */
static enum address_verdict check_label(struct span label)
{
    size_t characters = 0;
    if (!label.n || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return ADDRESS_SYNTAX;
    for (size_t i = 0; i < label.n; i++) {
        if (label.p[i] == '.' || !is_domain_byte(label.p[i]))
            return ADDRESS_SYNTAX;
        characters += ((unsigned char)label.p[i] & 0xc0) != 0x80;
    }
    return characters > SMTP_LABEL_MAX ? ADDRESS_TOO_LONG : ADDRESS_OK;
}

/* Domain = sub-domain *("." sub-domain) */
static enum address_verdict check_domain(struct span domain)
{
    enum address_verdict verdict = ADDRESS_OK;
    if (!domain.n || domain.p[domain.n - 1] == '.')
        return ADDRESS_SYNTAX;
    if (domain.n > SMTP_DOMAIN_MAX)
        return ADDRESS_TOO_LONG;
    while (domain.n && verdict == ADDRESS_OK)
        verdict = check_label(span_cut(&domain, '.'));
    return verdict;
}

/* May the bytes above 127 in TEXT be there? C1 controls are as unwelcome as those of ASCII. */
static enum address_verdict check_high(struct span text, bool utf8)
{
    bool high = false, c1 = false;
    for (size_t i = 0; i < text.n; i++) {
        high |= is_high(text.p[i]);
        c1 |= text.p[i] == '\xc2' && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0;
    }
    if (!high)
        return ADDRESS_OK;
    if (!utf8)
        return ADDRESS_NOT_ASCII;
    return !c1 && text_is_utf8(text) ? ADDRESS_OK : ADDRESS_SYNTAX;
}

/* May there be mail for, or from, DOMAIN? */
static bool has_name(struct span domain)
{
    char ascii[SMTP_DOMAIN_SIZE];
    return !domain.n || idn_ascii(domain, ascii).n;
}

/* Cuts the first N bytes off *TEXT. */
static struct span take(struct span *text, size_t n)
{
    struct span taken = span_head(*text, n);
    *text = span_skip(*text, n);
    return taken;
}

/* Takes a domain or an address literal off the front of *TEXT. What does not belong to it is left for the caller, who knows what
 * must follow. */
static enum address_verdict take_domain(struct span *text, struct span *ret_domain)
{
    size_t n = 0;
    if (starts_with(*text, '[')) {
        *ret_domain = take(text, span_find(*text, ']') + 1);
        return address_is_literal(*ret_domain) ? ADDRESS_OK : ADDRESS_SYNTAX;
    }
    while (n < text->n && is_domain_byte(text->p[n]))
        n++;
    *ret_domain = take(text, n);
    return check_domain(*ret_domain);
}

/* A-d-l = At-domain *( "," At-domain ), with the ":" behind it; dropped. */
static enum address_verdict take_route(struct span *text)
{
    enum address_verdict verdict = ADDRESS_OK;
    struct span domain;
    if (!starts_with(*text, '@'))
        return ADDRESS_OK;
    do {
        if (starts_with(*text, ','))
            take(text, 1);
        if (!starts_with(take(text, 1), '@'))
            return ADDRESS_SYNTAX;
        verdict = take_domain(text, &domain);
    } while (verdict == ADDRESS_OK && starts_with(*text, ','));
    if (verdict == ADDRESS_OK && !starts_with(*text, ':'))
        verdict = ADDRESS_SYNTAX;
    take(text, 1);
    return verdict;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ). A local part alone leaves the domain empty. */
static enum address_verdict take_mailbox(struct span *text, struct address *ret_address)
{
    struct span *domain = &ret_address->domain;
    size_t n = starts_with(*text, '"') ? quoted_string(*text) : dot_string(*text);
    if (!n)
        return ADDRESS_SYNTAX;
    ret_address->local = take(text, n);
    *domain = SPAN("");
    if (!starts_with(*text, '@'))
        return ADDRESS_OK;
    take(text, 1);
    enum address_verdict verdict = take_domain(text, domain);
    if (verdict != ADDRESS_OK)
        return verdict;
    return n > SMTP_LOCAL_MAX || n + 1 + domain->n > SMTP_ADDRESS_MAX ? ADDRESS_TOO_LONG : ADDRESS_OK;
}

/* What stands between "<" and ">", and the ">". */
static enum address_verdict take_path(struct span *text, bool null_allowed, struct address *ret_address)
{
    *ret_address = (struct address){ .local = SPAN(""), .domain = SPAN("") };
    if (!null_allowed || !starts_with(*text, '>')) {
        enum address_verdict verdict = take_route(text);
        if (verdict == ADDRESS_OK)
            verdict = take_mailbox(text, ret_address);
        if (verdict != ADDRESS_OK)
            return verdict;
        if (!ret_address->domain.n && (null_allowed || !span_equal_nocase(ret_address->local, SPAN("postmaster"))))
            return ADDRESS_SYNTAX;
    }
    return starts_with(take(text, 1), '>') ? ADDRESS_OK : ADDRESS_SYNTAX;
}

enum address_verdict address_parse_path(struct span *text, bool null_allowed, bool utf8, struct address *ret_address)
{
    struct span rest = *text;
    struct address address;
    if (!starts_with(take(&rest, 1), '<'))
        return ADDRESS_SYNTAX;
    enum address_verdict verdict = take_path(&rest, null_allowed, &address);
    size_t n = text->n - rest.n;
    if (verdict == ADDRESS_OK && n > PATH_MAX_OCTETS)
        verdict = ADDRESS_TOO_LONG;
    if (verdict == ADDRESS_OK)
        verdict = check_high(span_head(*text, n), utf8);
    if (verdict == ADDRESS_OK && !has_name(address.domain))
        verdict = ADDRESS_NO_NAME;
    if (verdict != ADDRESS_OK)
        return verdict;
    *text = rest;
    *ret_address = address;
    return ADDRESS_OK;
}

enum address_verdict address_parse(struct span text, bool utf8, struct address *ret_address)
{
    struct span rest = text;
    struct address address;
    enum address_verdict verdict = take_mailbox(&rest, &address);
    if (verdict == ADDRESS_OK && (rest.n || !address.domain.n))
        verdict = ADDRESS_SYNTAX;
    if (verdict == ADDRESS_OK)
        verdict = check_high(text, utf8);
    if (verdict == ADDRESS_OK)
        *ret_address = address;
    return verdict;
}

/* Writes what LOCAL means, without quotes and backslashes, into VALUE, which is as large as LOCAL. */
static struct span local_value(struct span local, char *value)
{
    size_t n = 0;
    if (!starts_with(local, '"'))
        return local;
    for (size_t i = 1; i + 1 < local.n; i++) {
        if (local.p[i] == '\\' && i + 2 < local.n)
            i++;
        value[n++] = local.p[i];
    }
    return span_make(value, n);
}

/* Appends C at DEST[*AT] where there is room for it and a NUL. */
static bool put(char *dest, size_t size, size_t *at, char c)
{
    if (*at + 1 >= size)
        return false;
    dest[(*at)++] = c;
    return true;
}

/* Appends the local part that means VALUE: quoted only where it is no Dot-string. So one mailbox has one spelling, whatever the
 * client wrote, and limits and lists cannot be passed by writing it differently. */
static bool put_local(struct span value, char *dest, size_t size, size_t *at)
{
    bool quote = !value.n || dot_string(value) != value.n;
    bool fits = !quote || put(dest, size, at, '"');
    for (size_t i = 0; i < value.n && fits; i++)
        fits = ((value.p[i] != '"' && value.p[i] != '\\') || put(dest, size, at, '\\')) && put(dest, size, at, value.p[i]);
    return fits && (!quote || put(dest, size, at, '"'));
}

bool address_normal(const struct address *address, char *dest, size_t size)
{
    char value[SMTP_LOCAL_MAX];
    size_t at = 0;
    bool fits = size > 0 && address->local.n <= sizeof value;
    if (fits && address->local.n)
        fits = put_local(local_value(address->local, value), dest, size, &at);
    size_t lower_from = address->domain.n ? at : 0; /* "postmaster" alone is lower-cased whole; no other local part is */
    if (fits && address->domain.n)
        fits = put(dest, size, &at, '@');
    for (size_t i = 0; i < address->domain.n && fits; i++)
        fits = put(dest, size, &at, address->domain.p[i]);
    if (!fits)
        return false;
    dest[at] = '\0';
    text_lower(dest + lower_from);
    return true;
}

struct span address_domain(struct span normal)
{
    const char *at = normal.n ? memrchr(normal.p, '@', normal.n) : NULL;
    return at ? span_skip(normal, (size_t)(at - normal.p) + 1) : SPAN("");
}

struct span address_key(struct span normal, char dest[ADDRESS_KEY_SIZE])
{
    char ascii[SMTP_DOMAIN_SIZE];
    struct span domain = address_domain(normal), known = idn_ascii(domain, ascii);
    size_t before = normal.n - domain.n;
    if (known.p == domain.p || !known.n || before + known.n >= ADDRESS_KEY_SIZE)
        return normal;
    text_copy(dest, ADDRESS_KEY_SIZE, span_head(normal, before));
    text_copy(dest + before, ADDRESS_KEY_SIZE - before, known);
    return span_make(dest, before + known.n);
}

bool address_is_domain(struct span text, bool utf8)
{
    return check_domain(text) == ADDRESS_OK && check_high(text, utf8) == ADDRESS_OK;
}

bool address_is_literal(struct span text)
{
    struct netaddr address;
    if (text.n < 2 || text.p[0] != '[' || text.p[text.n - 1] != ']')
        return false;
    struct span inner = span_make(text.p + 1, text.n - 2);
    /* The tag and the colons of the address must agree: "[IPv6:192.0.2.1]" and "[2001:db8::1]" are neither. */
    bool six = span_starts_nocase(inner, SPAN("IPv6:"));
    if (six)
        inner = span_skip(inner, sizeof "IPv6:" - 1);
    return six == (span_find(inner, ':') < inner.n) && netaddr_parse(inner, &address);
}

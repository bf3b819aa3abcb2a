/* Mailbox addresses (RFC 5321 4.1.2, RFC 6531 3.3): parse, compare, print. Bytes only. */
#ifndef POSTERN_SMTP_ADDRESS_H
#define POSTERN_SMTP_ADDRESS_H

#include "../base/buffer.h"
#include "limits.h"

/* What came out of parsing a path. */
enum address_verdict {
    ADDRESS_OK,
    ADDRESS_SYNTAX,    /* 501 5.1.3 for a recipient, 5.1.7 for a sender */
    ADDRESS_TOO_LONG,  /* the same codes: a part is beyond its limit */
    ADDRESS_NOT_ASCII, /* 8-bit without SMTPUTF8: 553 5.6.7 */
    ADDRESS_NO_NAME    /* an 8-bit domain that has no ASCII form, so that nothing can be looked up: 501 5.1.3, 5.1.7 */
};

/* A parsed address: spans into the text it was parsed from. */
struct address {
    struct span local;  /* as written: with quotes and backslashes where it had them */
    struct span domain; /* "example.net", "[192.0.2.1]", "[IPv6:…]"; empty for the null path and for <postmaster> */
};

/* Path = "<" [ A-d-l ":" ] Mailbox ">" | "<>" (only where NULL_ALLOWED) | "<postmaster>" (any case, only where !NULL_ALLOWED).
 *
 * Parses the path at the front of *TEXT and moves *TEXT behind it. A source route is syntax-checked and dropped (RFC 5321
 * appendix C). A local part without "<>" is ADDRESS_SYNTAX. UTF8 says whether SMTPUTF8 is in force: then 8-bit must be
 * well-formed UTF-8, and the domain one that has an ASCII form (idn.h). The domain is the part behind the last "@" outside quotes:
 * <"x@evil.example y"@good.example> has the domain good.example. Control bytes are never accepted, quoted or not. */
enum address_verdict address_parse_path(struct span *text, bool null_allowed, bool utf8, struct address *ret_address);

/* The same for a bare address without "<>", all of TEXT: configuration, command line, header fields' addr-spec. Never null. */
enum address_verdict address_parse(struct span text, bool utf8, struct address *ret_address);

/* Writes ADDRESS as local@domain with the quoting it needs and no more ("\a" and quotes that are not needed are dropped), the
 * domain in lower case: the one form in which addresses are stored and sent. The null path gives "".
 * False where it does not fit (it always does for SMTP_ADDRESS_SIZE). */
bool address_normal(const struct address *address, char *dest, size_t size);

#define ADDRESS_KEY_SIZE (SMTP_ADDRESS_SIZE + SMTP_DOMAIN_SIZE) /* room for an address whose domain has become longer */

/* NORMAL, an address in normal form, as it is compared, counted and looked up: with its domain's ASCII form (idn.h), since one domain may
 * be written in both. That is NORMAL itself where the domain is ASCII or has no such form, and else lies in DEST. */
struct span address_key(struct span normal, char dest[ADDRESS_KEY_SIZE]);

/* The domain of an address in normal form (behind the last "@"), or the empty span. */
struct span address_domain(struct span normal);

/* Is TEXT a domain name: letters, digits, hyphens (and UTF-8 where UTF8), labels of 1 to 63, 255 in all? */
bool address_is_domain(struct span text, bool utf8);

/* Is TEXT an address literal, "[192.0.2.1]" or "[IPv6:2001:db8::1]", well formed? */
bool address_is_literal(struct span text);

#endif

/* c-ares moves the packets and has checked id and question; what is in an answer is read here and not by its parsers, because
 * these take records of any owner as the asked name's, tell no TTL of an MX, and do not tell a referral from "no such data".
 *
 * The answer section is walked as often as there are aliases in the chain (at most ALIASES_MAX), each time for the CNAME of the
 * name at hand, and once for the records themselves. Its size is bounded by that of a message, so this stays linear. A section
 * that cannot be walked to its end makes the whole answer worthless: half an MX set could send mail to the wrong place. */
#include "answer.h"

#include <string.h>

#define HEADER_SIZE 12
#define ALIASES_MAX 16
#define CLASS_IN    1
#define TYPE_NS     2
#define TYPE_SOA    6
#define FLAG_ANSWER 0x8000u
#define FLAG_CUT    0x0200u
#define FLAG_SECURE 0x0020u
#define RCODE_BITS  0x000fu
#define TTL_MAX     0x7fffffffu /* beyond: zero (RFC 2181 8) */
#define SOA_NUMBERS 20          /* bytes behind a SOA's two names */
#define TLSA_HEAD   3           /* usage, selector, matching type */

/* Where a message is being read. */
struct cursor {
    struct span message;
    size_t at;
};

/* One resource record of any type. */
struct resource {
    struct name_wire owner;
    unsigned type, class;
    uint32_t ttl_s;
    size_t begin, end; /* of its data */
};

struct header {
    unsigned flags, questions, answers, authorities;
};

static bool has(const struct cursor *cursor, size_t n)
{
    return cursor->message.n - cursor->at >= n;
}

static uint32_t take(struct cursor *cursor, unsigned bytes)
{
    uint32_t value = 0;
    for (; bytes; bytes--)
        value = value << 8 | (unsigned char)cursor->message.p[cursor->at++];
    return value;
}

static bool read_header(struct cursor *cursor, struct header *header)
{
    if (!has(cursor, HEADER_SIZE))
        return false;
    cursor->at += 2;
    header->flags = take(cursor, 2);
    header->questions = take(cursor, 2);
    header->answers = take(cursor, 2);
    header->authorities = take(cursor, 2);
    cursor->at += 2;
    return header->flags & FLAG_ANSWER && header->questions == 1;
}

static bool read_question(struct cursor *cursor, const struct name_wire *name, enum answer_type type)
{
    struct name_wire asked;
    return name_read(cursor->message, &cursor->at, &asked) && has(cursor, 4) && name_equal(&asked, name) &&
           take(cursor, 2) == (unsigned)type && take(cursor, 2) == CLASS_IN;
}

static bool read_resource(struct cursor *cursor, struct resource *resource)
{
    if (!name_read(cursor->message, &cursor->at, &resource->owner) || !has(cursor, 10))
        return false;
    resource->type = take(cursor, 2);
    resource->class = take(cursor, 2);
    resource->ttl_s = take(cursor, 4);
    if (resource->ttl_s > TTL_MAX)
        resource->ttl_s = 0;
    size_t size = take(cursor, 2);
    if (!has(cursor, size))
        return false;
    resource->begin = cursor->at;
    resource->end = cursor->at += size;
    return true;
}

/* The name that fills RESOURCE's data from OFFSET on to its end. */
static bool data_name(struct span message, const struct resource *resource, size_t offset, struct name_wire *ret_name)
{
    size_t at = resource->begin + offset;
    return at < resource->end && name_read(message, &at, ret_name) && at == resource->end;
}

static bool read_mx(struct span message, const struct resource *resource, struct answer_record *record)
{
    struct cursor cursor = { message, resource->begin };
    if (resource->end - resource->begin < 3)
        return false;
    record->preference = (uint16_t)take(&cursor, 2);
    return data_name(message, resource, 2, &record->host);
}

static bool read_address(struct span message, const struct resource *resource, struct answer_record *record)
{
    size_t size = resource->end - resource->begin;
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    if (size != (resource->type == ANSWER_A ? 4u : 16u))
        return false;
    if (resource->type == ANSWER_A) {
        record->address.family = 4;
        memcpy(record->address.bytes, message.p + resource->begin, size);
        return true;
    }
    memcpy(&in6.sin6_addr, message.p + resource->begin, size); /* by way of the socket's form: an IPv4-mapped one becomes IPv4 */
    return netaddr_from_sockaddr((const struct sockaddr *)&in6, &record->address);
}

static bool read_cname(struct span message, const struct resource *resource, struct answer_record *record)
{
    return data_name(message, resource, 0, &record->host);
}

static struct span data_of(struct span message, const struct resource *resource)
{
    return span_make(message.p + resource->begin, resource->end - resource->begin);
}

/* One character-string at least, and they fill the data (RFC 1035 3.3.14). */
static bool read_txt(struct span message, const struct resource *resource, struct answer_record *record)
{
    struct span rest = record->data = data_of(message, resource);
    while (rest.n) {
        size_t n = 1u + (unsigned char)*rest.p;
        if (n > rest.n)
            return false;
        rest = span_skip(rest, n);
    }
    return record->data.n > 0;
}

/* RFC 6698 2.1. What the three numbers and the data mean is for others to say. */
static bool read_tlsa(struct span message, const struct resource *resource, struct answer_record *record)
{
    record->data = data_of(message, resource);
    return record->data.n > TLSA_HEAD;
}

typedef bool (*record_reader)(struct span message, const struct resource *resource, struct answer_record *record);

static record_reader reader_of(enum answer_type type)
{
    static const struct {
        enum answer_type type;
        record_reader read;
    } readers[] = {
        { ANSWER_A, read_address },   { ANSWER_AAAA, read_address }, { ANSWER_MX, read_mx },
        { ANSWER_CNAME, read_cname }, { ANSWER_TXT, read_txt },      { ANSWER_TLSA, read_tlsa },
    };
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (readers[i].type == type)
            return readers[i].read;
    return NULL;
}

static void lower_ttl(struct answer *answer, uint32_t ttl_s)
{
    answer->ttl_s = answer->has_ttl && answer->ttl_s < ttl_s ? answer->ttl_s : ttl_s;
    answer->has_ttl = true;
}

/* Looks for the CNAME of *NAME in the COUNT records from CURSOR on; *ret_found says whether *NAME was replaced by its target.
 * Leaves the cursor alone. False where the section is broken. */
static bool follow_alias(struct cursor cursor, unsigned count, struct name_wire *name, struct answer *answer, bool *ret_found)
{
    struct resource resource;
    struct name_wire target;
    *ret_found = false;
    for (; count; count--) {
        if (!read_resource(&cursor, &resource))
            return false;
        if (*ret_found || resource.type != ANSWER_CNAME || resource.class != CLASS_IN || !name_equal(&resource.owner, name))
            continue;
        if (!data_name(cursor.message, &resource, 0, &target))
            return false;
        lower_ttl(answer, resource.ttl_s);
        *ret_found = true;
    }
    if (*ret_found)
        *name = target;
    return true;
}

static bool follow_aliases(struct cursor cursor, unsigned count, struct name_wire *name, struct answer *answer)
{
    bool found = true;
    for (unsigned i = 0; found; i++)
        if (i > ALIASES_MAX || !follow_alias(cursor, count, name, answer, &found))
            return false;
    return true;
}

/* Walks the answer section and moves CURSOR behind it. Returns how many records NAME has, -1 where one is broken. */
static int read_records(struct cursor *cursor, unsigned count, const struct name_wire *name, enum answer_type type,
                        struct answer *answer, void (*each)(void *context, const struct answer_record *record), void *context)
{
    const record_reader read = reader_of(type);
    int found = 0;
    for (; count; count--) {
        struct resource resource;
        struct answer_record record = { .preference = 0 };
        if (!read_resource(cursor, &resource))
            return -1;
        if (resource.type != (unsigned)type || resource.class != CLASS_IN || !name_equal(&resource.owner, name))
            continue;
        if (!read || !read(cursor->message, &resource, &record))
            return -1;
        lower_ttl(answer, resource.ttl_s);
        each(context, &record);
        found++;
    }
    return found;
}

/* How long "no" holds: the lesser of the SOA's TTL and its last number (RFC 2308 5). A section with name servers but no SOA is a
 * referral: who sent it does not know, and has not said no, unless the answer's code does. */
static bool read_authority(struct cursor *cursor, unsigned count, struct answer *answer)
{
    bool soa = false, servers = false;
    for (; count; count--) {
        struct resource resource;
        if (!read_resource(cursor, &resource))
            return false;
        servers |= resource.type == TYPE_NS;
        if (resource.type != TYPE_SOA || resource.class != CLASS_IN)
            continue;
        if (resource.end - resource.begin < SOA_NUMBERS + 2)
            return false;
        struct cursor minimum = { cursor->message, resource.end - 4 };
        uint32_t least = take(&minimum, 4);
        lower_ttl(answer, least < resource.ttl_s ? least : resource.ttl_s);
        soa = true;
    }
    return soa || !servers || answer->status == DNS_NXDOMAIN;
}

enum dns_status answer_code(struct span bytes)
{
    static const enum dns_status by_code[] = { DNS_OK, DNS_MALFORMED, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_SERVFAIL, DNS_REFUSED };
    if (bytes.n < HEADER_SIZE)
        return DNS_MALFORMED;
    unsigned code = (unsigned char)bytes.p[3] & RCODE_BITS;
    return code < sizeof by_code / sizeof *by_code ? by_code[code] : DNS_SERVFAIL;
}

struct answer answer_read(struct span bytes, const struct name_wire *name, enum answer_type type,
                          void (*each)(void *context, const struct answer_record *record), void *context)
{
    static const struct answer malformed = { .status = DNS_MALFORMED };
    struct cursor cursor = { bytes, 0 };
    struct header header;
    struct answer answer = { .status = DNS_OK, .name = *name };
    if (!read_header(&cursor, &header) || header.flags & FLAG_CUT || !read_question(&cursor, name, type))
        return malformed;
    answer.status = answer_code(bytes);
    if (answer.status != DNS_OK && answer.status != DNS_NXDOMAIN)
        return answer;
    answer.secure = (header.flags & FLAG_SECURE) != 0;
    if (type != ANSWER_CNAME && !follow_aliases(cursor, header.answers, &answer.name, &answer))
        return malformed;
    int found = read_records(&cursor, header.answers, &answer.name, type, &answer, each, context);
    if (found < 0 || (found > 0 && answer.status == DNS_NXDOMAIN))
        return malformed;
    if (found > 0)
        return answer;
    if (!read_authority(&cursor, header.authorities, &answer))
        return malformed;
    if (answer.status == DNS_OK)
        answer.status = DNS_NO_MAIL;
    return answer;
}

/* The stored form is a list of {tag, length, bytes}, so a reader of any version can step over what it does not know. One table
 * row stands for each text field and serves both ways; the few numbers and the recipients have functions of their own.
 *
 * No control byte goes in or comes out. What is loaded becomes SMTP commands and log lines, and it may come from another
 * machine's disk: the CRC says that nobody damaged it, not that nobody wrote it. Since store refuses exactly what load refuses,
 * an accepted message is always one that can be read again. */
#include "envelope.h"

#include "../base/text.h"

#include <stdlib.h>

#define STORED_VERSION   1
#define FIELD_HEAD       3 /* tag and length */
#define RECIPIENTS_FIRST 4 /* room for so many at first: most messages have one or two */

/* The numbers are on disks: none may change, and new ones go to the end. */
enum tag {
    TAG_ARRIVED = 1,
    TAG_ACCOUNT,
    TAG_CLIENT,
    TAG_HELO,
    TAG_LISTENER, /* not written yet */
    TAG_SENDER,
    TAG_FLAGS, /* flags (4 bytes), ret (1 byte) */
    TAG_ENVID,
    TAG_RECIPIENT, /* address, NUL, notify (1 byte), orcpt */
    TAGS
};

/* The texts of an envelope and where they are in the struct. An empty one is not stored. */
static const struct text_field {
    enum tag tag;
    size_t offset, size;
} text_fields[] = {
    { TAG_ACCOUNT, offsetof(struct envelope, account), ENVELOPE_ACCOUNT_SIZE },
    { TAG_CLIENT, offsetof(struct envelope, client), NETADDR_TEXT_SIZE },
    { TAG_HELO, offsetof(struct envelope, helo), SMTP_DOMAIN_SIZE },
    { TAG_SENDER, offsetof(struct envelope, sender), SMTP_ADDRESS_SIZE },
    { TAG_ENVID, offsetof(struct envelope, envid), SMTP_ENVID_MAX + 1 },
};
#define TEXT_FIELDS (sizeof text_fields / sizeof text_fields[0])

void envelope_init(struct envelope *envelope)
{
    *envelope = (struct envelope){ .arrived_ms = 0 };
}

void envelope_fini(struct envelope *envelope)
{
    for (size_t i = 0; i < envelope->nrecipients; i++) {
        free(envelope->recipients[i].address);
        free(envelope->recipients[i].orcpt);
    }
    free(envelope->recipients);
    envelope_init(envelope);
}

static bool add_recipient(struct envelope *envelope, struct span address, unsigned notify, struct span orcpt)
{
    if (envelope->nrecipients == ENVELOPE_RECIPIENTS_MAX)
        return false;
    if (envelope->nrecipients == envelope->recipients_capacity) {
        size_t capacity = envelope->recipients_capacity ? 2 * envelope->recipients_capacity : RECIPIENTS_FIRST;
        envelope->recipients = text_realloc(envelope->recipients, capacity * sizeof *envelope->recipients);
        envelope->recipients_capacity = capacity;
    }
    envelope->recipients[envelope->nrecipients++] = (struct envelope_recipient){
        .address = text_dup(address),
        .orcpt = orcpt.n ? text_dup(orcpt) : NULL,
        .notify = (uint8_t)notify,
    };
    return true;
}

bool envelope_add(struct envelope *envelope, const char *address, unsigned notify, const char *orcpt)
{
    return add_recipient(envelope, span_of(address), notify, span_of(orcpt));
}

/* Without control bytes? 8-bit is fine: it was judged where it came in. */
static bool is_clean(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return true;
}

/* Little-endian, whatever the machine: spools are carried from one to another. */
static bool put_number(struct buffer *out, uint64_t value, unsigned size_bytes)
{
    char bytes[8];
    for (unsigned i = 0; i < size_bytes; i++)
        bytes[i] = (char)(unsigned char)(value >> 8 * i);
    return buffer_add(out, span_make(bytes, size_bytes));
}

static uint64_t get_number(struct span bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes.n; i-- > 0;)
        value = value << 8 | (unsigned char)bytes.p[i];
    return value;
}

static bool put_head(struct buffer *out, enum tag tag, size_t length)
{
    return length <= UINT16_MAX && put_number(out, tag, 1) && put_number(out, length, 2);
}

static bool put_text(struct buffer *out, enum tag tag, const char *text)
{
    struct span span = span_of(text);
    return is_clean(span) && (!span.n || (put_head(out, tag, span.n) && buffer_add(out, span)));
}

static bool put_recipient(struct buffer *out, const struct envelope_recipient *recipient)
{
    struct span address = span_of(recipient->address), orcpt = span_of(recipient->orcpt);
    return address.n && address.n < SMTP_ADDRESS_SIZE && orcpt.n <= SMTP_ORCPT_MAX && is_clean(address) && is_clean(orcpt) &&
           put_head(out, TAG_RECIPIENT, address.n + 2 + orcpt.n) && buffer_add(out, address) && buffer_add_byte(out, '\0') &&
           put_number(out, recipient->notify, 1) && buffer_add(out, orcpt);
}

static bool store(const struct envelope *envelope, struct buffer *out)
{
    bool good = put_number(out, STORED_VERSION, 1) && put_head(out, TAG_ARRIVED, 8) &&
                put_number(out, (uint64_t)envelope->arrived_ms, 8) && put_head(out, TAG_FLAGS, 5) &&
                put_number(out, envelope->flags, 4) && put_number(out, envelope->ret, 1);
    for (size_t i = 0; i < TEXT_FIELDS && good; i++)
        good = put_text(out, text_fields[i].tag, (const char *)envelope + text_fields[i].offset);
    for (size_t i = 0; i < envelope->nrecipients && good; i++)
        good = put_recipient(out, &envelope->recipients[i]);
    return good;
}

bool envelope_store(const struct envelope *envelope, struct buffer *out)
{
    size_t size = buffer_size(out);
    if (store(envelope, out))
        return true;
    buffer_truncate(out, size);
    return false;
}

/* The loaders: each takes the bytes of one field and says whether they are what the field must be. */
static bool load_text(struct envelope *envelope, enum tag tag, struct span bytes)
{
    for (size_t i = 0; i < TEXT_FIELDS; i++)
        if (text_fields[i].tag == tag)
            return is_clean(bytes) && text_copy((char *)envelope + text_fields[i].offset, text_fields[i].size, bytes);
    return true;
}

static bool load_arrived(struct envelope *envelope, enum tag tag, struct span bytes)
{
    (void)tag;
    envelope->arrived_ms = (int64_t)get_number(bytes);
    return bytes.n == 8;
}

static bool load_flags(struct envelope *envelope, enum tag tag, struct span bytes)
{
    (void)tag;
    uint64_t ret = get_number(span_skip(bytes, 4));
    envelope->flags = (unsigned)get_number(span_head(bytes, 4));
    envelope->ret = ret <= COMMAND_RET_HEADERS ? (enum command_ret)ret : COMMAND_RET_UNSET;
    return bytes.n == 5 && ret <= COMMAND_RET_HEADERS;
}

/* The limits are those of SMTP, so that nothing behind here needs to ask for lengths again. */
static bool load_recipient(struct envelope *envelope, enum tag tag, struct span bytes)
{
    (void)tag;
    struct span rest = bytes, address = span_cut(&rest, '\0');
    struct span orcpt = span_skip(rest, 1);
    return address.n && address.n < SMTP_ADDRESS_SIZE && rest.n && orcpt.n <= SMTP_ORCPT_MAX && is_clean(address) &&
           is_clean(orcpt) && add_recipient(envelope, address, (unsigned char)rest.p[0], orcpt);
}

static bool (*const loaders[TAGS])(struct envelope *envelope, enum tag tag, struct span bytes) = {
    [TAG_ARRIVED] = load_arrived, [TAG_ACCOUNT] = load_text, [TAG_CLIENT] = load_text, [TAG_HELO] = load_text,
    [TAG_SENDER] = load_text,     [TAG_FLAGS] = load_flags,  [TAG_ENVID] = load_text,  [TAG_RECIPIENT] = load_recipient,
};

/* Takes one field off the front of *REST. *SEEN has a bit for each tag that came already: all but recipients come once. */
static bool load_field(struct span *rest, struct envelope *envelope, uint32_t *seen)
{
    if (rest->n < FIELD_HEAD)
        return false;
    unsigned tag = (unsigned char)rest->p[0];
    size_t length = (size_t)get_number(span_make(rest->p + 1, 2));
    *rest = span_skip(*rest, FIELD_HEAD);
    if (length > rest->n)
        return false;
    struct span bytes = span_head(*rest, length);
    *rest = span_skip(*rest, length);
    if (tag >= TAGS || !loaders[tag])
        return true;
    if (tag != TAG_RECIPIENT && *seen >> tag & 1)
        return false;
    *seen |= UINT32_C(1) << tag;
    return loaders[tag](envelope, (enum tag)tag, bytes);
}

bool envelope_load(struct span stored, struct envelope *envelope)
{
    uint32_t seen = 0;
    struct span rest = span_skip(stored, 1);
    bool good = stored.n && stored.n <= ENVELOPE_STORED_MAX && stored.p[0] == STORED_VERSION;
    envelope_init(envelope);
    while (good && rest.n)
        good = load_field(&rest, envelope, &seen);
    if (good && seen >> TAG_ARRIVED & 1)
        return true;
    envelope_fini(envelope);
    return false;
}

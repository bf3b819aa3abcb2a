/* sts-text-record = sts-version 1*(sts-field-delim sts-field) [sts-field-delim]
 * sts-field       = sts-id / sts-extension
 * sts-field-delim = *WSP ";" *WSP
 * sts-version     = %s"v=STSv1"
 * sts-id          = %s"id=" 1*32(ALPHA / DIGIT)
 * sts-extension   = sts-ext-name "=" sts-ext-value
 * sts-ext-name    = (ALPHA / DIGIT) *31(ALPHA / DIGIT / "_" / "-" / ".")
 * sts-ext-value   = 1*(%x21-3A / %x3C / %x3E-7E)             ; no "=", ";", space or control byte */
#include "announcement.h"

#include "../base/text.h"
#include "../channels/dns.h"

#define EXTENSION_NAME_MAX 32

static bool is_alphanumeric(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_id(struct span value)
{
    if (!value.n || value.n >= ANNOUNCEMENT_ID_SIZE)
        return false;
    for (size_t i = 0; i < value.n; i++)
        if (!is_alphanumeric(value.p[i]))
            return false;
    return true;
}

static bool is_extension(struct span name, struct span value)
{
    if (!name.n || name.n > EXTENSION_NAME_MAX || !is_alphanumeric(name.p[0]) || !value.n)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_alphanumeric(name.p[i]) && name.p[i] != '_' && name.p[i] != '-' && name.p[i] != '.')
            return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < '!' || value.p[i] > '~' || value.p[i] == '=')
            return false;
    return true;
}

/* Is RECORD about MTA-STS? What is behind "v=STSv1" goes to *ret_fields. */
static bool is_announcement(struct span record, struct span *ret_fields)
{
    const struct span version = SPAN("v=STSv1");
    if (!span_equal(span_head(record, version.n), version))
        return false;
    struct span rest = span_skip(record, version.n);
    if (rest.n && rest.p[0] != ';' && rest.p[0] != ' ' && rest.p[0] != '\t')
        return false;
    *ret_fields = span_trim(rest);
    return true;
}

/* Reads FIELDS, which begin with a semicolon. */
static bool read_fields(struct span fields, char ret_id[ANNOUNCEMENT_ID_SIZE])
{
    bool found = false;
    if (!fields.n || fields.p[0] != ';')
        return false;
    fields = span_skip(fields, 1);
    while (span_trim(fields).n) {
        struct span value = span_trim(span_cut(&fields, ';'));
        struct span name = span_cut(&value, '=');
        bool is_first = !found && span_equal(name, SPAN("id"));
        if (is_first ? !is_id(value) : !is_extension(name, value))
            return false;
        if (is_first)
            text_copy(ret_id, ANNOUNCEMENT_ID_SIZE, value);
        found = found || is_first;
    }
    return found;
}

bool announcement_read(struct span records, char ret_id[ANNOUNCEMENT_ID_SIZE])
{
    struct span record, fields, chosen = SPAN("");
    unsigned count = 0;
    while (dns_next_record(&records, &record)) {
        if (!is_announcement(record, &fields))
            continue;
        chosen = fields;
        count++;
    }
    return count == 1 && read_fields(chosen, ret_id);
}

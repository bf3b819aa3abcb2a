/* sts-policy-record = sts-policy-field *WSP *(sts-policy-term sts-policy-field *WSP) [sts-policy-term]
 * sts-policy-field  = name ":" *WSP value                   ; version, mode, max_age, mx, or an extension
 * sts-policy-term   = LF / CRLF
 * version           = %s"STSv1"
 * mode              = %s"testing" / %s"enforce" / %s"none"
 * max_age           = 1*10DIGIT
 * mx                = ["*."] Domain
 *
 * Lines that are empty are let pass, as editors leave them. What is otherwise not so makes the whole file no policy: to leave out the one
 * host that cannot be read would refuse mail to it. */
#include "policyfile.h"

#include "../base/text.h"

#define MAX_AGE_DIGITS 10

/* What was read so far. */
struct reading {
    struct policyfile file;
    bool has_version, has_mode, has_max_age;
    unsigned hosts;
};

typedef const char *(*reader)(struct reading *reading, struct span value);

static const char *read_version(struct reading *reading, struct span value)
{
    if (reading->has_version)
        return NULL;
    reading->has_version = true;
    return span_equal(value, SPAN("STSv1")) ? NULL : "its version is not STSv1";
}

static const char *read_mode(struct reading *reading, struct span value)
{
    if (reading->has_mode)
        return NULL;
    for (enum sts_mode mode = STS_NONE; mode < STS_MODES; mode++) {
        if (!span_equal(value, span_of(sts_mode_text(mode))))
            continue;
        reading->has_mode = true;
        reading->file.mode = mode;
        return NULL;
    }
    return "its mode is not enforce, testing or none";
}

static const char *read_max_age(struct reading *reading, struct span value)
{
    uint64_t seconds;
    if (reading->has_max_age)
        return NULL;
    if (value.n > MAX_AGE_DIGITS || !text_number(value, 0, UINT64_MAX, &seconds))
        return "its max_age is no number of seconds";
    reading->has_max_age = true;
    reading->file.max_age_s = seconds < POLICYFILE_MAX_AGE_S ? (uint32_t)seconds : POLICYFILE_MAX_AGE_S;
    return NULL;
}

static bool is_host_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

/* Is NAME, in lower case, a host name, perhaps with "*." in front? */
static bool is_pattern(struct span name)
{
    if (name.n > 2 && name.p[0] == '*' && name.p[1] == '.')
        name = span_skip(name, 2);
    if (!name.n || name.n > SMTP_DOMAIN_MAX || name.p[name.n - 1] == '.')
        return false;
    while (name.n) {
        struct span label = span_cut(&name, '.');
        if (!label.n || label.n > SMTP_LABEL_MAX)
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!is_host_byte(label.p[i]))
                return false;
    }
    return true;
}

static const char *read_mx(struct reading *reading, struct span value)
{
    struct policyfile *file = &reading->file;
    char lower[SMTP_DOMAIN_SIZE + 2];
    if (value.n > sizeof lower || !is_pattern(value = span_lower(value, lower)))
        return "one of its mx is no host name";
    if (file->size + value.n + 1 > sizeof file->hosts)
        return "it names more mx than are kept";
    if (reading->hosts++)
        file->hosts[file->size++] = ' ';
    memcpy(file->hosts + file->size, value.p, value.n);
    file->size += (uint32_t)value.n;
    return NULL;
}

static const struct {
    struct span name;
    reader read;
} fields[] = {
    { { "version", 7 }, read_version },
    { { "mode", 4 }, read_mode },
    { { "max_age", 7 }, read_max_age },
    { { "mx", 2 }, read_mx },
};

static const char *read_line(struct reading *reading, struct span line)
{
    if (!span_trim(line).n)
        return NULL;
    if (span_find(line, ':') == line.n)
        return "a line of it has no colon";
    struct span name = span_cut(&line, ':');
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (span_equal(name, fields[i].name))
            return fields[i].read(reading, span_trim(line));
    return NULL;
}

static const char *missing(const struct reading *reading)
{
    return !reading->has_version                               ? "it has no version"
           : !reading->has_mode                                ? "it has no mode"
           : !reading->has_max_age                             ? "it has no max_age"
           : !reading->hosts && reading->file.mode != STS_NONE ? "it names no mx"
                                                               : NULL;
}

const char *policyfile_read(struct span text, struct policyfile *ret_file)
{
    struct reading reading = { .hosts = 0 };
    const char *problem = text.n > POLICYFILE_SIZE_MAX ? "it is too large" : NULL;
    while (text.n && !problem) {
        struct span line = span_cut(&text, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line = span_head(line, line.n - 1);
        problem = read_line(&reading, line);
    }
    if (!problem)
        problem = missing(&reading);
    if (reading.file.mode == STS_NONE)
        reading.file.size = 0; /* they mean nothing */
    if (!problem)
        *ret_file = reading.file;
    return problem;
}

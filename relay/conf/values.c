/* One row a type: how it is read from texts, printed, freed. Each reader writes its member only when all of it was right. */
#include "values.h"

#include "../base/text.h"

#include <inttypes.h>
#include <stdlib.h>

#define VALUES_LIST_MAX     10000
#define VALUES_DEFAULT_PORT 25

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit sizes[] = { { "", 1 },           { "K", 1ull << 10 }, { "M", 1ull << 20 },
                                     { "G", 1ull << 30 }, { "T", 1ull << 40 }, { NULL, 0 } };
static const struct unit times[] = { { "ms", 1 },      { "s", 1000 },     { "", 1000 },       { "min", 60000 },
                                     { "h", 3600000 }, { "d", 86400000 }, { "w", 604800000 }, { NULL, 0 } };

/* Digits and one of UNITS. */
static bool read_units(struct span text, const struct unit *units, uint64_t max, uint64_t *ret_value)
{
    size_t digits = 0;
    uint64_t number;
    while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
        digits++;
    struct span name = span_skip(text, digits);
    for (const struct unit *unit = units; unit->name; unit++) {
        if (!span_equal(name, span_of(unit->name)))
            continue;
        if (!text_number(span_head(text, digits), 0, max / unit->factor, &number))
            return false;
        *ret_value = number * unit->factor;
        return true;
    }
    return false;
}

/* VALUE in the largest of UNITS that divides it. */
static void print_units(uint64_t value, const struct unit *units, char text[32])
{
    const struct unit *best = units;
    for (const struct unit *unit = units; unit->name; unit++)
        if (*unit->name && value && value % unit->factor == 0 && unit->factor >= best->factor)
            best = unit;
    text_format(text, 32, "%" PRIu64 "%s", value / best->factor, best->name);
}

bool values_size(struct span text, uint64_t *ret_bytes)
{
    return read_units(text, sizes, INT64_MAX, ret_bytes);
}

bool values_time(struct span text, int64_t *ret_ms)
{
    uint64_t ms;
    if (!read_units(text, times, INT64_MAX / 4, &ms))
        return false;
    *ret_ms = (int64_t)ms;
    return true;
}

bool values_rate(struct span text, struct conf_rate *ret_rate)
{
    struct conf_rate rate;
    struct span count = span_cut(&text, '/');
    if (!values_size(count, &rate.count) || !values_time(text, &rate.per_ms) || rate.count == 0 || rate.per_ms == 0)
        return false;
    *ret_rate = rate;
    return true;
}

static bool is_host_name(struct span host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
                    c == '_' || c == ':';
        if (!good)
            return false;
    }
    return host.n > 0 && host.n < 254 && host.p[0] != '.' && host.p[0] != '-';
}

bool values_host(struct span text, uint16_t default_port, struct conf_host *ret_host)
{
    struct span host = text, port = { NULL, 0 };
    uint64_t number = default_port;
    struct netaddr literal;
    if (text.n && text.p[0] == '[') {
        text = span_skip(text, 1);
        host = span_cut(&text, ']');
        if (!netaddr_parse(host, &literal) || (text.n && text.p[0] != ':'))
            return false;
        port = span_skip(text, 1);
        if (text.n && !text_number(port, 1, 65535, &number))
            return false;
    } else if (span_find(text, ':') < text.n) {
        host = span_cut(&text, ':');
        if (!text_number(text, 1, 65535, &number))
            return false;
    }
    if (!is_host_name(host))
        return false;
    *ret_host = (struct conf_host){ text_dup(host), (uint16_t)number };
    text_lower(ret_host->name);
    return true;
}

void values_size_print(uint64_t bytes, char text[32])
{
    print_units(bytes, sizes, text);
}

void values_time_print(int64_t ms, char text[32])
{
    print_units((uint64_t)ms, times, text);
}

/* Text in double quotes, as libconfuse reads it: there it would put the environment's NAME in place of ${NAME}. */
static void print_quoted(struct buffer *out, const char *text)
{
    buffer_add_byte(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '$')
            buffer_add_byte(out, '\\');
        buffer_add_byte(out, *text);
    }
    buffer_add_byte(out, '"');
}

/* --- one triple of functions a type --- */

struct input {
    const struct value_bounds *bounds;
    const char *const *items;
    size_t count;
    char *why;
    size_t why_size;
};

static bool refuse(const struct input *input, const char *what)
{
    text_format(input->why, input->why_size, "%s", what);
    return false;
}

static bool read_text(const struct input *input, void *member)
{
    char **text = member;
    for (const char *at = input->items[0]; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return refuse(input, "a text without control characters");
    char *copy = text_dup(span_of(input->items[0]));
    free(*text);
    *text = copy;
    return true;
}

static void print_text(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    (void)bounds;
    print_quoted(out, *(char *const *)member);
}

static void free_text(void *member)
{
    char **text = member;
    free(*text);
    *text = NULL;
}

static bool read_bool(const struct input *input, void *member)
{
    struct span text = span_of(input->items[0]);
    bool yes = span_equal(text, SPAN("yes")) || span_equal(text, SPAN("true"));
    if (!yes && !span_equal(text, SPAN("no")) && !span_equal(text, SPAN("false")))
        return refuse(input, "yes or no");
    *(bool *)member = yes;
    return true;
}

static void print_bool(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    (void)bounds;
    buffer_add_text(out, *(const bool *)member ? "yes" : "no");
}

static bool read_number(const struct input *input, void *member)
{
    if (text_number(span_of(input->items[0]), input->bounds->min, input->bounds->max, member))
        return true;
    text_format(input->why, input->why_size, "a number from %" PRIu64 " to %" PRIu64, input->bounds->min, input->bounds->max);
    return false;
}

static void print_number(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    (void)bounds;
    buffer_addf(out, "%" PRIu64, *(const uint64_t *)member);
}

static bool read_port(const struct input *input, void *member)
{
    uint64_t port;
    if (!text_number(span_of(input->items[0]), 1, 65535, &port))
        return refuse(input, "a port from 1 to 65535");
    *(uint16_t *)member = (uint16_t)port;
    return true;
}

static void print_port(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    (void)bounds;
    buffer_addf(out, "%u", *(const uint16_t *)member);
}

static bool read_size(const struct input *input, void *member)
{
    uint64_t bytes;
    char min[32], max[32];
    if (values_size(span_of(input->items[0]), &bytes) && bytes >= input->bounds->min && bytes <= input->bounds->max) {
        *(uint64_t *)member = bytes;
        return true;
    }
    values_size_print(input->bounds->min, min);
    values_size_print(input->bounds->max, max);
    text_format(input->why, input->why_size, "a size from %s to %s, such as 50M or 1G", min, max);
    return false;
}

static void print_size(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    char text[32];
    (void)bounds;
    values_size_print(*(const uint64_t *)member, text);
    buffer_add_text(out, text);
}

/* One time within the bounds. */
static bool read_one_time(const struct input *input, const char *item, int64_t *ret_ms)
{
    char min[32], max[32];
    int64_t ms;
    if (values_time(span_of(item), &ms) && (uint64_t)ms >= input->bounds->min && (uint64_t)ms <= input->bounds->max) {
        *ret_ms = ms;
        return true;
    }
    values_time_print((int64_t)input->bounds->min, min);
    values_time_print((int64_t)input->bounds->max, max);
    text_format(input->why, input->why_size, "a time from %s to %s, such as 30s, 5min, 2h or 3d", min, max);
    return false;
}

static bool read_time(const struct input *input, void *member)
{
    return read_one_time(input, input->items[0], member);
}

static void print_time(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    char text[32];
    (void)bounds;
    values_time_print(*(const int64_t *)member, text);
    buffer_add_text(out, text);
}

static bool read_rate(const struct input *input, void *member)
{
    struct conf_rate rate = { 0, 0 };
    bool none = strcmp(input->items[0], "none") == 0;
    if (!none && (!values_rate(span_of(input->items[0]), &rate) || rate.count > input->bounds->max))
        return refuse(input, "a count and a time, such as \"200/1h\" (for bytes also \"500M/1d\")");
    *(struct conf_rate *)member = rate;
    return true;
}

static void print_rate(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    const struct conf_rate *rate = member;
    char count[32], per[32];
    (void)bounds;
    if (!rate->count) {
        buffer_add_text(out, "none");
        return;
    }
    values_size_print(rate->count, count);
    values_time_print(rate->per_ms, per);
    buffer_addf(out, "\"%s/%s\"", count, per);
}

/* The index of the item among the words; false where it is none of them. */
static bool find_word(const struct input *input, unsigned *ret_index)
{
    char list[200] = "";
    for (unsigned i = 0; input->bounds->words[i]; i++) {
        if (span_equal(span_of(input->items[0]), span_of(input->bounds->words[i]))) {
            *ret_index = i;
            return true;
        }
        size_t used = strlen(list);
        text_format(list + used, sizeof list - used, "%s%s", used ? ", " : "", input->bounds->words[i]);
    }
    bool lacks = input->bounds->lacks && strcmp(input->items[0], input->bounds->lacks) == 0;
    text_format(input->why, input->why_size, "one of %s%s%s%s", list, lacks ? "; " : "", lacks ? input->bounds->lacks : "",
                lacks ? " is not available in this version" : "");
    return false;
}

static bool read_word(const struct input *input, void *member)
{
    return find_word(input, member);
}

static bool read_choice(const struct input *input, void *member)
{
    unsigned index;
    if (!find_word(input, &index))
        return false;
    *(bool *)member = index > 0;
    return true;
}

static void print_choice(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    buffer_add_text(out, bounds->words[*(const bool *)member]);
}

static void print_word(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    buffer_add_text(out, bounds->words[*(const unsigned *)member]);
}

static void free_texts(void *member)
{
    struct conf_strings *strings = member;
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct conf_strings){ 0 };
}

static bool read_texts(const struct input *input, void *member)
{
    struct conf_strings strings = { text_zalloc(input->count * sizeof(char *)), 0 };
    for (; strings.count < input->count; strings.count++) {
        struct input one = *input;
        one.items = input->items + strings.count;
        if (!read_text(&one, &strings.items[strings.count])) {
            free_texts(&strings);
            return false;
        }
    }
    free_texts(member);
    *(struct conf_strings *)member = strings;
    return true;
}

static void print_texts(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    const struct conf_strings *strings = member;
    (void)bounds;
    for (size_t i = 0; i < strings->count; i++) {
        buffer_add_text(out, i ? ", " : "");
        print_quoted(out, strings->items[i]);
    }
}

static bool read_networks(const struct input *input, void *member)
{
    struct conf_networks *networks = member, new = { text_zalloc(input->count * sizeof *new.items), input->count };
    for (size_t i = 0; i < input->count; i++) {
        if (netaddr_parse_network(span_of(input->items[i]), &new.items[i]))
            continue;
        free(new.items);
        text_format(
            input->why, input->why_size,
            "networks such as \"10.0.0.0/8\", \"2001:db8::/32\" (no bits behind the mask) or single addresses, not \"%s\"",
            input->items[i]);
        return false;
    }
    free(networks->items);
    *networks = new;
    return true;
}

static void print_networks(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    const struct conf_networks *networks = member;
    char text[NETADDR_TEXT_SIZE];
    (void)bounds;
    for (size_t i = 0; i < networks->count; i++) {
        netaddr_print(&networks->items[i].address, text);
        buffer_addf(out, "%s\"%s/%u\"", i ? ", " : "", text, networks->items[i].bits);
    }
}

static bool read_addresses(const struct input *input, void *member)
{
    struct conf_addresses *addresses = member, new = { text_zalloc(input->count * sizeof *new.items), input->count };
    for (size_t i = 0; i < input->count; i++) {
        struct netaddr *address = &new.items[i];
        if (netaddr_parse_port(span_of(input->items[i]), address) && address->port)
            continue;
        uint16_t port = (uint16_t)input->bounds->min;
        if (port && netaddr_parse(span_of(input->items[i]), address)) {
            address->port = port;
            continue;
        }
        free(new.items);
        text_format(input->why, input->why_size,
                    "addresses %s ports such as \"192.0.2.1:%u\" or \"[2001:db8::1]:%u\", not \"%s\"",
                    port ? "with or without" : "with", port ? port : 587, port ? port : 587, input->items[i]);
        return false;
    }
    free(addresses->items);
    *addresses = new;
    return true;
}

static void print_addresses(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    const struct conf_addresses *addresses = member;
    char text[NETADDR_PORT_TEXT_SIZE];
    (void)bounds;
    for (size_t i = 0; i < addresses->count; i++) {
        netaddr_print_port(&addresses->items[i], text);
        buffer_addf(out, "%s\"%s\"", i ? ", " : "", text);
    }
}

/* Networks, addresses and times are {pointer to plain items, count}. */
static void free_items(void *member)
{
    struct conf_addresses *items = member;
    free(items->items);
    *items = (struct conf_addresses){ 0 };
}

static bool read_times(const struct input *input, void *member)
{
    struct conf_times *steps = member, new = { text_zalloc(input->count * sizeof *new.items), input->count };
    for (size_t i = 0; i < input->count; i++) {
        if (!read_one_time(input, input->items[i], &new.items[i])) {
            free(new.items);
            return false;
        }
    }
    free(steps->items);
    *steps = new;
    return true;
}

static void print_times(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    const struct conf_times *steps = member;
    for (size_t i = 0; i < steps->count; i++) {
        buffer_add_text(out, i ? ", " : "");
        print_time(bounds, &steps->items[i], out);
    }
}

static void free_hosts(void *member)
{
    struct conf_hosts *hosts = member;
    for (size_t i = 0; i < hosts->count; i++)
        free(hosts->items[i].name);
    free(hosts->items);
    *hosts = (struct conf_hosts){ 0 };
}

static bool read_hosts(const struct input *input, void *member)
{
    struct conf_hosts hosts = { 0 };
    hosts.mx = input->count == 1 && span_equal(span_of(input->items[0]), SPAN("mx"));
    if (!hosts.mx)
        hosts.items = text_zalloc(input->count * sizeof *hosts.items);
    for (; !hosts.mx && hosts.count < input->count; hosts.count++) {
        if (values_host(span_of(input->items[hosts.count]), VALUES_DEFAULT_PORT, &hosts.items[hosts.count]))
            continue;
        text_format(input->why, input->why_size, "mx, or hosts such as \"smtp.example.net:587\", not \"%s\"",
                    input->items[hosts.count]);
        free_hosts(&hosts);
        return false;
    }
    free_hosts(member);
    *(struct conf_hosts *)member = hosts;
    return true;
}

static void print_hosts(const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    const struct conf_hosts *hosts = member;
    (void)bounds;
    if (hosts->mx)
        buffer_add_text(out, "mx");
    for (size_t i = 0; i < hosts->count; i++) {
        bool six = strchr(hosts->items[i].name, ':') != NULL;
        buffer_addf(out, "%s\"%s%s%s:%u\"", i ? ", " : "", six ? "[" : "", hosts->items[i].name, six ? "]" : "",
                    hosts->items[i].port);
    }
}

static const struct {
    bool list;
    bool (*read)(const struct input *input, void *member);
    void (*print)(const struct value_bounds *bounds, const void *member, struct buffer *out);
    void (*free)(void *member);
} types[VALUE_TYPES] = {
    [VALUE_TEXT] = { false, read_text, print_text, free_text },
    [VALUE_BOOL] = { false, read_bool, print_bool, NULL },
    [VALUE_NUMBER] = { false, read_number, print_number, NULL },
    [VALUE_PORT] = { false, read_port, print_port, NULL },
    [VALUE_SIZE] = { false, read_size, print_size, NULL },
    [VALUE_TIME] = { false, read_time, print_time, NULL },
    [VALUE_RATE] = { false, read_rate, print_rate, NULL },
    [VALUE_WORD] = { false, read_word, print_word, NULL },
    [VALUE_CHOICE] = { false, read_choice, print_choice, NULL },
    [VALUE_TEXTS] = { true, read_texts, print_texts, free_texts },
    [VALUE_NETWORKS] = { true, read_networks, print_networks, free_items },
    [VALUE_ADDRESSES] = { true, read_addresses, print_addresses, free_items },
    [VALUE_TIMES] = { true, read_times, print_times, free_items },
    [VALUE_HOSTS] = { true, read_hosts, print_hosts, free_hosts },
};

bool values_is_list(enum value_type type)
{
    return types[type].list;
}

bool values_parse(enum value_type type, const struct value_bounds *bounds, const char *const *items, size_t count, void *member,
                  char *why, size_t size)
{
    struct input input = { bounds, items, count, why, size };
    if (count > VALUES_LIST_MAX || (count != 1 && !types[type].list)) {
        text_format(why, size, "%s", types[type].list ? "fewer values" : "one value");
        return false;
    }
    return types[type].read(&input, member);
}

void values_print(enum value_type type, const struct value_bounds *bounds, const void *member, struct buffer *out)
{
    buffer_add_text(out, types[type].list ? "{ " : "");
    types[type].print(bounds, member, out);
    buffer_add_text(out, types[type].list ? " }" : "");
}

void values_free(enum value_type type, void *member)
{
    if (types[type].free)
        types[type].free(member);
}

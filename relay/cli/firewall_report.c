/* nft tells of an entry how long it has still to go, in whole seconds, and of its set how long an entry has at first: the difference is
 * its age. An entry with a time-out of its own, which an administrator may have added by hand, says so itself. The text comes from a
 * program of root's and is believed, but what it holds may be of another version: what is missing reads as 0, and what is no address is
 * left out. */
#include "firewall_report.h"

#include "../base/clock.h"
#include "../base/netaddr.h"
#include "../base/text.h"

#include <stdlib.h>

struct attempt {
    char address[NETADDR_TEXT_SIZE];
    const char *family;
    int64_t first_ms; /* -1: not known */
    int64_t last_ms;
    int64_t count;
};

struct attempts {
    struct attempt *items;
    size_t count;
    bool full;
};

static const json_t *find_set(const json_t *root, const char *name)
{
    const json_t *object;
    size_t i;
    json_array_foreach(json_object_get(root, "nftables"), i, object)
    {
        const json_t *set = json_object_get(object, "set");
        const char *found = json_string_value(json_object_get(set, "name"));
        if (found && strcmp(found, name) == 0)
            return set;
    }
    return NULL;
}

/* An entry of SET: its address in postern's own form. False where it has none. */
static bool read_address(const json_t *entry, char text[NETADDR_TEXT_SIZE])
{
    struct netaddr address;
    if (!netaddr_parse(span_of(json_string_value(json_object_get(entry, "val"))), &address))
        return false;
    netaddr_print(&address, text);
    return true;
}

/* When the time of ENTRY of SET began to run. */
static int64_t began_ms(const json_t *set, const json_t *entry, int64_t now_ms)
{
    const json_t *own = json_object_get(entry, "timeout");
    int64_t timeout = json_integer_value(own ? own : json_object_get(set, "timeout"));
    int64_t age = timeout - json_integer_value(json_object_get(entry, "expires"));
    return now_ms - (age > 0 && age <= timeout ? age : 0) * 1000;
}

/* {address: when its time began to run} of SET. */
static json_t *index_set(const json_t *set, int64_t now_ms)
{
    json_t *index = json_object();
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(set, "elem"), i, item)
    {
        char address[NETADDR_TEXT_SIZE];
        const json_t *entry = json_object_get(item, "elem");
        if (read_address(entry, address))
            json_object_set_new(index, address, json_integer(began_ms(set, entry, now_ms)));
    }
    return index;
}

static bool is_full(const json_t *set)
{
    int64_t size = json_integer_value(json_object_get(set, "size"));
    return size && json_array_size(json_object_get(set, "elem")) >= (size_t)size;
}

/* Adds those that TRIED and FIRST, the sets of one family, tell of. */
static void read_family(struct attempts *attempts, const char *family, const json_t *tried, const json_t *first, int64_t now_ms)
{
    const json_t *elements = json_object_get(tried, "elem"), *item;
    json_t *firsts = index_set(first, now_ms);
    size_t i;
    attempts->items = text_realloc(attempts->items, (attempts->count + json_array_size(elements) + 1) * sizeof *attempts->items);
    json_array_foreach(elements, i, item)
    {
        struct attempt *attempt = &attempts->items[attempts->count];
        const json_t *entry = json_object_get(item, "elem"), *known;
        if (!read_address(entry, attempt->address))
            continue;
        attempt->family = family;
        attempt->last_ms = began_ms(tried, entry, now_ms);
        known = json_object_get(firsts, attempt->address);
        attempt->first_ms = known ? json_integer_value(known) : -1;
        attempt->count = json_integer_value(json_object_get(json_object_get(entry, "counter"), "packets"));
        attempts->count++;
    }
    attempts->full = attempts->full || is_full(tried);
    json_decref(firsts);
}

static int by_count(const void *a, const void *b)
{
    const struct attempt *left = a, *right = b;
    if (left->count != right->count)
        return left->count < right->count ? 1 : -1;
    return strcmp(left->address, right->address);
}

static json_t *time_of(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (wall_ms < 0)
        return json_null();
    clock_rfc3339(wall_ms, text);
    return json_string(text);
}

static json_t *values_of(const struct attempts *attempts)
{
    json_t *values = json_array();
    for (size_t i = 0; i < attempts->count; i++) {
        const struct attempt *attempt = &attempts->items[i];
        json_array_append_new(values, json_pack("{s:s, s:s, s:o, s:o, s:I}", "address", attempt->address, "family",
                                                attempt->family, "first", time_of(attempt->first_ms), "last",
                                                time_of(attempt->last_ms), "attempts", (json_int_t)attempt->count));
    }
    return values;
}

json_t *firewall_report_read(struct span listing, int64_t now_ms, bool *ret_full)
{
    json_t *root = json_loadb(listing.p, listing.n, 0, NULL), *values = NULL;
    const json_t *tried4 = find_set(root, "tried4"), *tried6 = find_set(root, "tried6");
    if (tried4 && tried6) {
        struct attempts attempts = { NULL, 0, false };
        read_family(&attempts, "IPv4", tried4, find_set(root, "first4"), now_ms);
        read_family(&attempts, "IPv6", tried6, find_set(root, "first6"), now_ms);
        qsort(attempts.items, attempts.count, sizeof *attempts.items, by_count);
        values = values_of(&attempts);
        *ret_full = attempts.full;
        free(attempts.items);
    }
    json_decref(root);
    return values;
}

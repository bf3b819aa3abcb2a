/* An address and a network of an account are both a `place`: each kind in a map, and in a list in the order of the last login, so that
 * the first is the one to leave, and those that have changed since the last flush are the last. An account is there as long as a place
 * names it.
 *
 * Networks and addresses are found by bytes: for an address these are the family and its 16 bytes, for a network the same and the
 * account's number. */
#include "logins.h"

#include "../relay/base/journal.h"
#include "../relay/base/list.h"
#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>

enum kind { ADDRESS, NETWORK, KINDS };

struct account {
    uint64_t number; /* no other has had it */
    size_t places;   /* that name it */
    struct list networks;
    size_t nnetworks;
    size_t size;
    char name[];
};

struct place {
    struct list node;     /* in the order of the last login */
    struct list networks; /* of the account */
    struct account *account;
    enum kind kind;
    bool changed;
    struct netaddr address; /* a network's has no host bits */
    int64_t first_ms, last_ms;
    uint64_t count;
};

struct logins {
    struct map *accounts;
    uint64_t last_number;
    struct map *by_bytes[KINDS];
    struct list places[KINDS];
    struct journal *journal; /* NULL: nothing is kept */
};

static const size_t max_of[KINDS] = { [ADDRESS] = LOGINS_ADDRESSES_MAX, [NETWORK] = LOGINS_NETWORKS_ALL };

struct logins *logins_new(void)
{
    struct logins *logins = text_zalloc(sizeof *logins);
    logins->accounts = map_new(0);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        logins->by_bytes[kind] = map_new(0);
        list_init(&logins->places[kind]);
    }
    return logins;
}

void logins_free(struct logins **logins)
{
    if (!*logins)
        return;
    for (unsigned kind = 0; kind < KINDS; kind++)
        map_free(&(*logins)->by_bytes[kind], free);
    map_free(&(*logins)->accounts, free);
    journal_free(&(*logins)->journal);
    free(*logins);
    *logins = NULL;
}

size_t logins_count(const struct logins *logins, size_t *ret_networks)
{
    *ret_networks = map_count(logins->by_bytes[NETWORK]);
    return map_count(logins->by_bytes[ADDRESS]);
}

/* --- places and accounts --- */

struct ident {
    uint8_t family;
    uint8_t bytes[16];
    uint8_t number[8]; /* of a network's account */
};

static struct span ident_of(const struct netaddr *address, uint64_t number, struct ident *ident)
{
    ident->family = address->family;
    memcpy(ident->bytes, address->bytes, sizeof ident->bytes);
    memcpy(ident->number, &number, sizeof ident->number);
    return span_make((const char *)ident, sizeof *ident);
}

static uint64_t number_of(enum kind kind, const struct account *account)
{
    return kind == NETWORK ? account->number : 0;
}

/* PLACE names its account no longer; one that no place names is forgotten. */
static void leave_account(struct logins *logins, struct place *place)
{
    struct account *account = place->account;
    if (place->kind == NETWORK)
        account->nnetworks--;
    list_remove(&place->networks);
    if (--account->places)
        return;
    map_remove(logins->accounts, span_make(account->name, account->size));
    free(account);
}

static void join_account(struct place *place, struct account *account)
{
    place->account = account;
    account->places++;
    if (place->kind != NETWORK)
        return;
    account->nnetworks++;
    list_append(&account->networks, &place->networks);
}

static void drop(struct logins *logins, struct place *place)
{
    struct ident ident;
    map_remove(logins->by_bytes[place->kind], ident_of(&place->address, number_of(place->kind, place->account), &ident));
    list_remove(&place->node);
    leave_account(logins, place);
    free(place);
}

static struct account *account_of(struct logins *logins, struct span name)
{
    struct account *account = map_get(logins->accounts, name);
    if (account)
        return account;
    account = text_zalloc(sizeof *account + name.n + 1);
    account->number = ++logins->last_number;
    account->size = name.n;
    memcpy(account->name, name.p, name.n);
    list_init(&account->networks);
    map_put(logins->accounts, name, account, NULL);
    return account;
}

static struct place *add(struct logins *logins, enum kind kind, const struct netaddr *address, struct account *account,
                         struct span ident)
{
    struct place *place = text_zalloc(sizeof *place);
    place->kind = kind;
    place->address = *address;
    place->address.port = 0;
    list_init(&place->node);
    list_init(&place->networks);
    map_put(logins->by_bytes[kind], ident, place, NULL);
    join_account(place, account);
    return place;
}

/* Takes the place from the account that it was of to ACCOUNT. */
static void move(struct logins *logins, struct place *place, struct account *account)
{
    if (place->account == account)
        return;
    leave_account(logins, place);
    join_account(place, account);
}

/* The place of that kind at ADDRESS, which is ACCOUNT's from now on and the last in the order. */
static struct place *touch(struct logins *logins, enum kind kind, const struct netaddr *address, struct account *account)
{
    struct ident bytes;
    struct span ident = ident_of(address, number_of(kind, account), &bytes);
    struct place *place = map_get(logins->by_bytes[kind], ident);
    if (!place)
        place = add(logins, kind, address, account, ident);
    move(logins, place, account);
    list_remove(&place->node);
    list_append(&logins->places[kind], &place->node);
    if (kind == NETWORK) {
        list_remove(&place->networks);
        list_append(&account->networks, &place->networks);
    }
    return place;
}

/* Lets go of what is too much, never of the last. */
static void trim(struct logins *logins, const struct account *account)
{
    if (account->nnetworks > LOGINS_NETWORKS_MAX)
        drop(logins, LIST_ENTRY(account->networks.next, struct place, networks));
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (map_count(logins->by_bytes[kind]) > max_of[kind])
            drop(logins, LIST_ENTRY(logins->places[kind].next, struct place, node));
}

/* Lets go of what is too old, in the order of the last login. */
static void forget(struct logins *logins, int64_t wall_ms)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        LIST_EACH(node, &logins->places[kind]) {
            struct place *place = LIST_ENTRY(node, struct place, node);
            if (place->last_ms >= wall_ms - LOGINS_AGE_MS)
                break;
            drop(logins, place);
        }
    }
}

/* The /24 or /48 of ADDRESS. */
static struct netaddr network_of(const struct netaddr *address)
{
    struct netaddr network = *address;
    size_t keep = address->family == 4 ? 3 : 6;
    memset(network.bytes + keep, 0, sizeof network.bytes - keep);
    network.port = 0;
    return network;
}

void logins_note(struct logins *logins, const struct netaddr *client, struct span account, int64_t wall_ms)
{
    if (!account.n || account.n >= ACCOUNT_NAME_SIZE || (client->family != 4 && client->family != 6))
        return;
    forget(logins, wall_ms);
    struct account *who = account_of(logins, account);
    struct netaddr network = network_of(client);
    struct place *places[KINDS] = { touch(logins, ADDRESS, client, who), touch(logins, NETWORK, &network, who) };
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct place *place = places[kind];
        place->first_ms = place->count ? place->first_ms : wall_ms;
        place->last_ms = wall_ms;
        place->count++;
        place->changed = true;
    }
    trim(logins, who);
}

/* --- what is kept --- */

/* A record; the account's name follows. In the machine's own byte order. */
struct record {
    struct netaddr address;
    uint8_t kind;
    uint8_t name_size;
    uint8_t zero[2];
    int64_t first_ms, last_ms;
    uint64_t count;
};

static void write_place(struct logins *logins, const struct place *place)
{
    char bytes[sizeof(struct record) + ACCOUNT_NAME_SIZE];
    struct record record = {
        .address = place->address,
        .kind = (uint8_t)place->kind,
        .name_size = (uint8_t)place->account->size,
        .first_ms = place->first_ms,
        .last_ms = place->last_ms,
        .count = place->count,
    };
    memcpy(bytes, &record, sizeof record);
    memcpy(bytes + sizeof record, place->account->name, place->account->size);
    journal_add(logins->journal, span_make(bytes, sizeof record + place->account->size));
}

static void take_record(void *context, struct span bytes)
{
    struct logins *logins = context;
    struct record record;
    if (bytes.n <= sizeof record)
        return;
    memcpy(&record, bytes.p, sizeof record);
    struct span name = span_skip(bytes, sizeof record);
    if (record.kind >= KINDS || name.n != record.name_size || (record.address.family != 4 && record.address.family != 6))
        return;
    struct account *account = account_of(logins, name);
    struct place *place = touch(logins, record.kind, &record.address, account);
    place->first_ms = record.first_ms;
    place->last_ms = record.last_ms;
    place->count = record.count;
    trim(logins, account);
}

void logins_open(struct logins *logins, const char *folder)
{
    journal_free(&logins->journal);
    logins->journal = journal_new(folder, "logins.log", "postern logins 1", take_record, logins);
}

void logins_flush(struct logins *logins, bool sync)
{
    if (!logins->journal)
        return;
    bool all = journal_begin(logins->journal, sync);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct list *end = &logins->places[kind], *node = end;
        while (node->previous != end && (all || LIST_ENTRY(node->previous, struct place, node)->changed))
            node = node->previous;
        for (; node != end; node = node->next) {
            struct place *place = LIST_ENTRY(node, struct place, node);
            place->changed = false;
            write_place(logins, place);
        }
    }
    journal_end(logins->journal, sync);
}

/* --- what is told --- */

bool logins_of(const struct logins *logins, const struct netaddr *client, int64_t wall_ms, char ret_account[ACCOUNT_NAME_SIZE],
               int64_t *ret_when_ms)
{
    struct ident ident;
    const struct place *place = map_get(logins->by_bytes[ADDRESS], ident_of(client, 0, &ident));
    if (!place || place->last_ms < wall_ms - LOGINS_AGE_MS)
        return false;
    text_copy(ret_account, ACCOUNT_NAME_SIZE, span_make(place->account->name, place->account->size));
    *ret_when_ms = place->last_ms;
    return true;
}

bool logins_knows(const struct logins *logins, const struct netaddr *client, struct span account, int64_t wall_ms)
{
    struct ident ident;
    const struct netaddr network = network_of(client);
    const struct account *who = map_get(logins->accounts, account);
    const struct place *place = who ? map_get(logins->by_bytes[NETWORK], ident_of(&network, who->number, &ident)) : NULL;
    return place && place->last_ms >= wall_ms - LOGINS_AGE_MS;
}

/* The visit of the map's values as that of names. */
struct naming {
    bool (*each)(void *context, struct span account);
    void *context;
};

static bool name_account(void *context, struct span name, void *account)
{
    const struct naming *naming = context;
    (void)account;
    return naming->each(naming->context, name);
}

void logins_accounts(const struct logins *logins, bool (*each)(void *context, struct span account), void *context)
{
    struct naming naming = { each, context };
    map_each(logins->accounts, name_account, &naming);
}

size_t logins_networks(const struct logins *logins, struct span account, int64_t wall_ms,
                       struct logins_network ret_networks[LOGINS_NETWORKS_MAX])
{
    const struct account *who = map_get(logins->accounts, account);
    size_t count = 0;
    if (!who)
        return 0;
    for (const struct list *node = who->networks.previous; node != &who->networks && count < LOGINS_NETWORKS_MAX;
         node = node->previous) {
        const struct place *place = LIST_ENTRY(node, struct place, networks);
        struct logins_network *network = &ret_networks[count];
        char address[NETADDR_TEXT_SIZE];
        if (place->last_ms < wall_ms - LOGINS_AGE_MS)
            continue;
        netaddr_print(&place->address, address);
        text_format(network->text, sizeof network->text, "%s/%d", address, place->address.family == 4 ? 24 : 48);
        network->first_ms = place->first_ms;
        network->last_ms = place->last_ms;
        network->count = place->count;
        count++;
    }
    return count;
}

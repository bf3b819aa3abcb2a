/* The count itself is the map's value: an entry exists only while it is above zero. */
#include "clients.h"

#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

struct clients {
    struct map *counts;
};

struct clients *clients_new(void)
{
    struct clients *clients = text_zalloc(sizeof *clients);
    clients->counts = map_new(0);
    return clients;
}

void clients_free(struct clients **clients)
{
    if (!*clients)
        return;
    map_free(&(*clients)->counts, NULL);
    free(*clients);
    *clients = NULL;
}

struct span clients_key(const struct netaddr *address, char key[CLIENTS_KEY_SIZE])
{
    size_t n = address->family == 4 ? 4 : 8;
    key[0] = (char)address->family;
    memcpy(key + 1, address->bytes, n);
    return span_make(key, n + 1);
}

/* KEY of ADDRESS at LISTENER. */
static struct span key_at(unsigned listener, const struct netaddr *address, char key[sizeof(unsigned) + CLIENTS_KEY_SIZE])
{
    memcpy(key, &listener, sizeof listener);
    return span_make(key, sizeof listener + clients_key(address, key + sizeof listener).n);
}

bool clients_enter(struct clients *clients, unsigned listener, const struct netaddr *address, uint64_t max)
{
    char bytes[sizeof(unsigned) + CLIENTS_KEY_SIZE];
    struct span key = key_at(listener, address, bytes);
    uintptr_t count = (uintptr_t)map_get(clients->counts, key);
    if (count >= max)
        return false;
    map_put(clients->counts, key, (void *)(count + 1), NULL);
    return true;
}

void clients_leave(struct clients *clients, unsigned listener, const struct netaddr *address)
{
    char bytes[sizeof(unsigned) + CLIENTS_KEY_SIZE];
    struct span key = key_at(listener, address, bytes);
    uintptr_t count = (uintptr_t)map_get(clients->counts, key);
    if (count > 1)
        map_put(clients->counts, key, (void *)(count - 1), NULL);
    else
        map_remove(clients->counts, key);
}

/* How many connections each client has open at each listener. A client is an IPv4 address or an IPv6 /64. */
#ifndef POSTERN_SUBMISSION_CLIENTS_H
#define POSTERN_SUBMISSION_CLIENTS_H

#include "../base/netaddr.h"

/* Room for clients_key's bytes. */
#define CLIENTS_KEY_SIZE 9

struct clients;

/* An empty count. */
struct clients *clients_new(void);

/* Frees *CLIENTS and nulls it. NULL is fine. */
void clients_free(struct clients **clients);

/* One more connection of ADDRESS at LISTENER. False, and nothing counted, where it has MAX already. */
bool clients_enter(struct clients *clients, unsigned listener, const struct netaddr *address, uint64_t max);

/* One less. */
void clients_leave(struct clients *clients, unsigned listener, const struct netaddr *address);

/* What makes ADDRESS the client it is, as bytes in KEY: the family, then 4 bytes of IPv4 or the first 8 of IPv6, whose users
 * choose the rest freely. */
struct span clients_key(const struct netaddr *address, char key[CLIENTS_KEY_SIZE]);

#endif

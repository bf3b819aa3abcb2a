/* Who logged in from where: the account that did so last from each address, and the networks of each account.
 *
 * Bounded: LOGINS_ADDRESSES_MAX addresses, LOGINS_NETWORKS_ALL networks, of which an account has at most LOGINS_NETWORKS_MAX; those used
 * longest ago leave first, and all that are older than LOGINS_AGE_MS. Accounts are in normal form (account.h). */
#ifndef POSTERN_POLICY_LOGINS_H
#define POSTERN_POLICY_LOGINS_H

#include "../relay/base/netaddr.h"
#include "account.h"

#define LOGINS_ADDRESSES_MAX     100000
#define LOGINS_NETWORKS_ALL      200000
#define LOGINS_NETWORKS_MAX      64
#define LOGINS_AGE_MS            ((int64_t)7 * 86400000)
#define LOGINS_NETWORK_TEXT_SIZE (NETADDR_TEXT_SIZE + 4)

struct logins;

/* Nobody logged in yet, and nothing is kept when the process ends. */
struct logins *logins_new(void);

/* Frees *LOGINS and nulls it; writes nothing. NULL is fine. */
void logins_free(struct logins **logins);

/* Enters what earlier processes left in FOLDER, and keeps everything there from the next logins_flush on. */
void logins_open(struct logins *logins, const char *folder);

/* Writes down what has changed, every few seconds and at the end; SYNC: and waits until it is on the disk. */
void logins_flush(struct logins *logins, bool sync);

/* ACCOUNT has logged in from CLIENT at WALL_MS. What has no address or no name is not noted. */
void logins_note(struct logins *logins, const struct netaddr *client, struct span account, int64_t wall_ms);

/* Who logged in last from CLIENT, as of WALL_MS? False where nobody did in LOGINS_AGE_MS. */
bool logins_of(const struct logins *logins, const struct netaddr *client, int64_t wall_ms, char ret_account[ACCOUNT_NAME_SIZE],
               int64_t *ret_when_ms);

/* Has ACCOUNT logged in from the network (/24 of IPv4, /48 of IPv6) of CLIENT in LOGINS_AGE_MS before WALL_MS? */
bool logins_knows(const struct logins *logins, const struct netaddr *client, struct span account, int64_t wall_ms);

/* A network (/24 of IPv4, /48 of IPv6) from which an account logged in. */
struct logins_network {
    char text[LOGINS_NETWORK_TEXT_SIZE]; /* "192.0.2.0/24", as a limit by network has it */
    int64_t first_ms, last_ms;           /* of the wall clock */
    uint64_t count;                      /* logins */
};

/* Writes the networks of ACCOUNT as of WALL_MS to RET_NETWORKS, that of the last login first. Returns how many there are. */
size_t logins_networks(const struct logins *logins, struct span account, int64_t wall_ms,
                       struct logins_network ret_networks[LOGINS_NETWORKS_MAX]);

/* Calls EACH with every account that logged in lately, in no order, until it returns false. LOGINS must not change meanwhile. */
void logins_accounts(const struct logins *logins, bool (*each)(void *context, struct span account), void *context);

/* How many addresses and networks are known. */
size_t logins_count(const struct logins *logins, size_t *ret_networks);

#endif

/* Queue and control ask, sts answers: what policy a recipient domain has published for mail to it (MTA-STS, RFC 8461), that is which of
 * its MX hosts may be spoken to, and only over TLS that verifies. The only code that speaks HTTP with strangers is in the sts role.
 *
 * An answer comes within STS_PATIENCE_MS, and some. If sts goes: what was asked is unanswered, and is to be asked again when the next one is
 * there, which has read what was known: to go on without an answer is to go on without the protection. */
#ifndef POSTERN_CHANNELS_STS_H
#define POSTERN_CHANNELS_STS_H

#include "../base/ipc.h"
#include "../base/span.h"
#include "../smtp/limits.h"

#define STS_HOSTS_SIZE  4096  /* of a policy's mx patterns, with a space between two */
#define STS_PATIENCE_MS 10000 /* who asks waits no longer for a policy that is being fetched */

/* What a policy wants (RFC 8461 5). */
enum sts_mode {
    STS_NONE, /* there is no policy, or one that says so, or none could be had in time: mail goes as if MTA-STS were not there */
    STS_TESTING, /* mail goes as if it were not there; to whom reports (RFC 8460) would go nobody here tells anything */
    STS_ENFORCE, /* mail goes to MX hosts that the policy allows and whose certificate verifies, or not at all */
    STS_MODES
};

/* Which policy has `domain` (lower case, as A-labels)? */
struct sts_ask {
    uint64_t ticket;
    char domain[SMTP_DOMAIN_SIZE];
};

/* The policy. `hosts` are for sts_allows. */
struct sts_policy {
    uint64_t ticket;
    uint32_t mode;  /* enum sts_mode */
    uint32_t ttl_s; /* how long the asker may go by it: 60 to 3600 */
    uint32_t size;
    char hosts[STS_HOSTS_SIZE]; /* `size` bytes: mx patterns in lower case, a space between two; sent in part */
};

#define STS_MESSAGES(X)                                                                                                          \
    X(STS_ASK, IPC_FRONT, struct sts_ask, IPC_WHOLE(struct sts_ask), false)                                                      \
    X(STS_POLICY, IPC_BACK, struct sts_policy, IPC_PART(struct sts_policy, hosts), false)

enum sts_message { IPC_ENUM(STS_MESSAGES) STS_COUNT };
extern const struct ipc_channel sts_channel;

/* Does one of the patterns HOSTS allow the MX host HOST (RFC 8461 4.1): the same name, or "*." for exactly one label in front? Case does
 * not count, nor does a dot at the end of HOST. */
bool sts_allows(struct span hosts, struct span host);

/* "none", "testing", "enforce"; "unknown" for what is none of them. Static. */
const char *sts_mode_text(enum sts_mode mode);

#endif

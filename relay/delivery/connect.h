/* The way to a site: its hosts in order of preference, their addresses, which of them may be tried, and what to say when none
 * could be reached (RFC 5321 5.1). */
#ifndef POSTERN_DELIVERY_CONNECT_H
#define POSTERN_DELIVERY_CONNECT_H

#include "../channels/queue_delivery.h"
#include "own.h"
#include "reach.h"
#include "reason.h"
#include "sources.h"

#define CONNECT_TRIES_MAX      5 /* addresses tried in one attempt, of all hosts together */
#define CONNECT_HOST_TRIES_MAX 3 /* of one host, so that one with many dead addresses leaves some tries to the next */

enum connect_progress {
    CONNECT_TARGET, /* an address to try: *ret_target */
    CONNECT_WAIT,   /* the DNS was asked: call again after connect_answer */
    CONNECT_OVER    /* none is left: connect_verdict says what to tell */
};

struct connect_target {
    const char *host; /* lives as long as the struct connect */
    struct netaddr address;
    const struct dns_tlsa
        *tlsa;             /* the host's records, that count (RFC 7672 2.2); NULL: it has none. Lives until connect_restart */
    struct source *source; /* where it is connected to from; NULL: as the kernel likes. connect_socket sets it */
};

/* What one process knows that decides about addresses; borrowed. */
struct connect_rules {
    const struct own *own;
    const struct sources *sources;
    bool allow_private;
    const char *hostname; /* ours: an MX of that name is this relay */
    struct reach *reach;  /* what was learnt of addresses; NULL: nothing */
};

/* Asks the DNS role for the addresses of HOST, the INDEXth of the list, or with a TLSA_PORT for its TLSA records of that port. */
typedef void (*connect_ask)(void *context, unsigned index, const char *host, uint16_t tlsa_port);

struct connect_host;

struct connect {
    const struct connect_rules *rules;
    connect_ask ask;
    void *context;
    bool mx;
    bool wants_tlsa; /* the hosts' TLSA records count; set behind connect_init */
    bool is_partial; /* hosts may have been left out, so that nothing is final about those that are here; the same */
    char *pool;      /* of sources; "": delivery's own */
    struct connect_host *hosts;
    unsigned nhosts;
    unsigned count;    /* hosts that count: fewer once one of them turned out to be this relay */
    unsigned at;       /* the host whose addresses are being tried */
    unsigned prepared; /* hosts before this one are resolved and allowed */
    unsigned tries;
    bool ipv4_only;   /* no IPv6 any more: it was refused */
    bool saw_rest;    /* an address was passed over since it rests */
    bool last_resort; /* none that does not rest could be tried: now those that do */
    bool saw_loop;
    bool saw_private;
    struct reason *reason; /* of the last temporary failure; NULL: there was none that counts */
    bool reason_stays;     /* whatever fails after it */
};

/* Begins with the hosts of OPEN. ASK is called with CONTEXT. */
void connect_init(struct connect *connect, const struct delivery_open *open, const struct connect_rules *rules, connect_ask ask,
                  void *context);

/* Frees what it holds; fine on an all-zero one. */
void connect_fini(struct connect *connect);

/* Begins anew: all hosts, all addresses, asked again. */
void connect_restart(struct connect *connect);

/* As connect_restart, and IPv6 addresses are left out from now on. */
void connect_use_ipv4(struct connect *connect);

/* Has the host of TARGET, which was had last, an address of the other family that may be tried? */
bool connect_has_other(const struct connect *connect, const struct connect_target *target);

/* The next address to try. Those that rest (reach.h) are passed over, unless there is no other at all. */
enum connect_progress connect_next(struct connect *connect, struct connect_target *ret_target);

/* An address of the other family to try beside TARGET, which was had last and is being tried: of the same host. False where there is
 * none. */
bool connect_rival(struct connect *connect, const struct connect_target *target, struct connect_target *ret_rival);

/* The DNS answered for the host INDEX. Its TLSA records are asked for where it may have some. */
void connect_answer(struct connect *connect, unsigned index, const struct dns_address *answer);

/* The DNS told the TLSA records of the host INDEX. Where they could not be had, the host is passed over. */
void connect_answer_tlsa(struct connect *connect, unsigned index, const struct dns_tlsa *answer);

/* Asks once more for all that is not answered: the DNS role was started anew. */
void connect_ask_again(const struct connect *connect);

/* Whatever has not been answered never will be: DNS_TIMEOUT. */
void connect_unanswered(struct connect *connect);

/* The address that was tried last failed, for REASON. COUNTED: it took its time; not where the kernel said at once that there is
 * no way to it (a machine without IPv6), which does not use up the tries. */
void connect_failed(struct connect *connect, const struct reason *reason, bool counted);

/* The same of a target that refused the login: that is the reason from here on, also where the targets behind it cannot be reached. */
void connect_failed_login(struct connect *connect, const struct reason *reason);

/* After CONNECT_OVER: DELIVERY_UNREACHABLE or DELIVERY_IMPOSSIBLE, and why. */
enum delivery_end connect_verdict(const struct connect *connect, struct reason *ret_reason);

/* Begins to connect to TARGET: a non-blocking socket on which connect() is in progress, bound to a source of the way's pool, which is noted
 * in TARGET. A source that cannot be bound to rests, and another one is taken. -1 with errno; EADDRNOTAVAIL where the pool has none. */
int connect_socket(const struct connect *connect, struct connect_target *target);

/* TARGET's host refused the address that we came from. True where it can be asked from another one. */
bool connect_refused_source(const struct connect *connect, const struct connect_target *target);

/* Is HOST an address: "192.0.2.1", "[192.0.2.1]", "2001:db8::1", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3)? */
bool connect_literal(struct span host, struct netaddr *ret_address);

#endif

/* An nftables file that leaves port 25 of the world to postern alone: `postern firewall print`. */
#ifndef POSTERN_CLI_FIREWALL_RULES_H
#define POSTERN_CLI_FIREWALL_RULES_H

#include "../base/buffer.h"
#include "../conf/conf.h"

/* Room for the text: sixty thousand networks. */
#define FIREWALL_RULES_MAX (4u << 20)
/* How many addresses each set remembers. One that is full remembers no more; what is refused does not depend on it. */
#define FIREWALL_RULES_SET_SIZE 16384
/* The longest name that Linux gives an interface. */
#define FIREWALL_RULES_INTERFACE_MAX 15

struct firewall_rules {
    const char *user;  /* whose processes deliver: a name, which nft looks up when it loads the file */
    const char *world; /* the interface that leads to the world, see firewall_rules_is_interface; NULL: all lead there */
    uint16_t redirect; /* the port of a listener of this machine that gets what was on its way to port 25; 0: it is refused */
};

/* Can NAME be put into the rules as an interface's name? A trailing "*" stands for any end, as in "ppp*". */
bool firewall_rules_is_interface(struct span name);

/* Appends the file for CONF: table inet postern, which replaces an older one of that name and touches nothing else. Who may connect to
 * port 25 of the world is told by RULES; inside, where everybody may, are loopback, private and link-local networks, the networks of
 * listeners that ask for no login, and listeners on port 25. False where OUT is full. */
bool firewall_rules_write(const struct conf *conf, const struct firewall_rules *rules, struct buffer *out);

#endif

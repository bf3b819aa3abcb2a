/* Four things in these rules are not what one would write at first:
 *
 * - This machine's own packets are looked at only where they open a connection (SYN). The kernel knows whose a packet is by the socket's
 *   file, and a socket that was closed has none while its last bytes are still being sent: a rule for all packets would break the ends
 *   of postern's own connections, and count them as attempts. What is forwarded has no owner to lose, and is looked at packet by packet,
 *   so that a SYN that was cut into fragments does not get past.
 * - Remembering and refusing are different rules. A rule ends where its set is full, so one that did both would let everybody through
 *   as soon as somebody has tried from enough addresses, which takes an IPv6 network no time.
 * - Each attempt renews its entry in `tried`, which so tells the last one and, by its counter, how many there were since the entry was
 *   made. When that was is kept in `first`, which is written only while `tried` does not have the address.
 * - Inside is told by where a packet goes, not by where it comes from: a network behind the gateway that nobody thought of, or a forged
 *   address, is refused and not let out. */
#include "firewall_rules.h"

/* Wider networks of a listener say that anybody may connect there, not who is at home here. */
#define INSIDE4_BITS_MIN 8
#define INSIDE6_BITS_MIN 16
#define SMTP_PORT        25

bool firewall_rules_is_interface(struct span name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+@";
    if (name.n && name.p[name.n - 1] == '*')
        name.n--;
    if (!name.n || name.n > FIREWALL_RULES_INTERFACE_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!name.p[i] || !strchr(allowed, name.p[i]))
            return false;
    return true;
}

static void write_head(const struct firewall_rules *rules, struct buffer *out)
{
    buffer_addf(out,
                "# Port 25 of the world is for postern alone: made by `postern firewall print`.\n"
                "#\n"
                "# Load it as root with `nft -f FILE`, and at each boot: include \"FILE\" in\n"
                "# /etc/nftables.conf. Loading it again replaces the table postern, forgets who\n"
                "# tried, and touches no other table. `nft delete table inet postern` undoes it.\n"
                "#\n"
                "# Only TCP to port 25 is ever looked at; nothing here lets through what another\n"
                "# table drops. To the world's port 25 goes who runs as the user %s: the\n"
                "# delivery role, and submission, dns, sts and control, which share its user\n"
                "# and open no such connection. Everybody else is refused at once, root too,\n"
                "# and is shown by `postern firewall report`.\n\n"
                "table inet postern {}\n"
                "delete table inet postern\n\n"
                "table inet postern {\n",
                rules->user);
}

static bool wide(const struct netaddr_network *network)
{
    return network->bits < (network->address.family == 4 ? INSIDE4_BITS_MIN : INSIDE6_BITS_MIN);
}

/* The networks that need no login at LISTENER, and its addresses on port 25. */
static void write_listener(const struct conf_listener *listener, unsigned family, struct buffer *out)
{
    char text[NETADDR_TEXT_SIZE];
    for (size_t i = 0; listener->auth != CONF_AUTH_REQUIRED && i < listener->networks.count; i++) {
        const struct netaddr_network *network = &listener->networks.items[i];
        if (network->address.family != family || wide(network))
            continue;
        netaddr_print(&network->address, text);
        buffer_addf(out, "            %s/%u,\n", text, network->bits);
    }
    for (size_t i = 0; i < listener->address.count; i++) {
        const struct netaddr *address = &listener->address.items[i];
        if (address->family != family || address->port != SMTP_PORT || netaddr_is_self(address))
            continue;
        netaddr_print(address, text);
        buffer_addf(out, "            %s,\n", text);
    }
}

static void write_inside(const struct conf *conf, unsigned family, struct buffer *out)
{
    buffer_addf(out,
                "    set inside%u {\n"
                "        type ipv%u_addr\n"
                "        flags interval\n"
                "        auto-merge\n"
                "        elements = {\n"
                "%s",
                family, family,
                family == 4 ? "            10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,\n"
                              "            100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16,\n"
                            : "            fc00::/7, ::1, fe80::/10,\n");
    for (size_t i = 0; i < conf->nlisteners; i++)
        write_listener(&conf->listeners[i], family, out);
    buffer_add_text(out, "        }\n    }\n");
}

static void write_memory(unsigned family, struct buffer *out)
{
    buffer_addf(out,
                "    set tried%u {\n"
                "        type ipv%u_addr\n"
                "        flags dynamic, timeout\n"
                "        size %u\n"
                "        timeout 7d\n"
                "        counter\n"
                "    }\n"
                "    set first%u {\n"
                "        type ipv%u_addr\n"
                "        flags dynamic, timeout\n"
                "        size %u\n"
                "        timeout 30d\n"
                "    }\n",
                family, family, FIREWALL_RULES_SET_SIZE, family, family, FIREWALL_RULES_SET_SIZE);
}

static void write_sets(const struct conf *conf, struct buffer *out)
{
    buffer_add_text(out, "    # Inside: port 25 is open to everybody there. Private networks, those that\n"
                         "    # the configuration lists for listeners without login, listeners on port 25.\n");
    write_inside(conf, 4, out);
    write_inside(conf, 6, out);
    buffer_addf(out,
                "\n    # Who tried, how often, and when last; forgotten after 7 days without an\n"
                "    # attempt. When first; forgotten after 30 days. Where %u addresses are\n"
                "    # remembered no more are, but they are refused all the same.\n",
                FIREWALL_RULES_SET_SIZE);
    write_memory(4, out);
    write_memory(6, out);
}

static void write_verdicts(struct buffer *out)
{
    buffer_add_text(out, "\n    chain remember {\n"
                         "        ip saddr != @tried4 update @first4 { ip saddr }\n"
                         "        ip6 saddr != @tried6 update @first6 { ip6 saddr }\n"
                         "        update @tried4 { ip saddr }\n"
                         "        update @tried6 { ip6 saddr }\n"
                         "    }\n"
                         "    chain refuse {\n"
                         "        tcp flags & (syn | ack) == syn jump remember\n"
                         "        counter reject with tcp reset\n"
                         "    }\n");
}

/* Lets go where the packet does not leave for the world; INTERFACE is "oifname" or, before the way out is known, "iifname". */
static void write_exceptions(const struct firewall_rules *rules, const char *interface, struct buffer *out)
{
    buffer_add_text(out, "        ip daddr @inside4 return\n"
                         "        ip6 daddr @inside6 return\n");
    if (rules->world)
        buffer_addf(out, "        %s %s \"%s\" return\n", interface,
                    strcmp(interface, "oifname") == 0 ? "!=" : "==", rules->world);
}

static void write_filters(const struct firewall_rules *rules, struct buffer *out)
{
    buffer_addf(out,
                "\n    # From this machine. Routes of postern's need nothing more: they are\n"
                "    # connected to by its user.\n"
                "    chain output {\n"
                "        type filter hook output priority filter; policy accept;\n"
                "        tcp dport %u tcp flags & (syn | ack) == syn jump from_here\n"
                "    }\n"
                "    chain from_here {\n"
                "        oifname \"lo\" return\n"
                "        meta skuid \"%s\" return\n",
                SMTP_PORT, rules->user);
    write_exceptions(rules, "oifname", out);
    buffer_addf(out,
                "        goto refuse\n"
                "    }\n\n"
                "    # On a gateway: from the networks behind it. What goes to this machine, such\n"
                "    # as to a listener, does not come by here. To let another mail server out,\n"
                "    # put a line for it in front: ip saddr 10.0.0.7 return\n"
                "    chain forward {\n"
                "        type filter hook forward priority filter; policy accept;\n"
                "        tcp dport %u jump passing\n"
                "    }\n"
                "    chain passing {\n",
                SMTP_PORT);
    write_exceptions(rules, "oifname", out);
    buffer_add_text(out, "        goto refuse\n"
                         "    }\n");
}

static void write_redirect(const struct firewall_rules *rules, struct buffer *out)
{
    buffer_addf(out,
                "\n    # Instead of being refused, what comes from the networks behind this gateway\n"
                "    # gets to the listener on port %u, and is remembered as an attempt.\n"
                "    chain prerouting {\n"
                "        type nat hook prerouting priority dstnat; policy accept;\n"
                "        tcp dport %u jump astray\n"
                "    }\n"
                "    chain astray {\n"
                "        fib daddr type local return\n",
                rules->redirect, SMTP_PORT);
    write_exceptions(rules, "iifname", out);
    buffer_addf(out,
                "        jump remember\n"
                "        meta l4proto tcp counter redirect to :%u\n"
                "    }\n",
                rules->redirect);
}

bool firewall_rules_write(const struct conf *conf, const struct firewall_rules *rules, struct buffer *out)
{
    write_head(rules, out);
    write_sets(conf, out);
    write_verdicts(out);
    write_filters(rules, out);
    if (rules->redirect)
        write_redirect(rules, out);
    buffer_add_text(out, "}\n");
    return !out->overflow;
}

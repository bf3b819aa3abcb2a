/* Printing needs neither the daemon nor root, and may be done on another machine: nft looks up the user when it loads the file. Reporting
 * reads what the kernel remembers, which only root may; the daemon, whose roles are not root, could not do it. */
#include "firewall.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "firewall_account.h"
#include "firewall_report.h"
#include "firewall_rules.h"
#include "nft.h"

#include <stdio.h>
#include <unistd.h>

#define DELIVERY_USER "postern" /* systemd/sysusers.conf makes it; the delivery role becomes it */

enum { DONE = 0, REFUSED = 1, USAGE = 2 };

/* Says what is wrong. Returns STATUS. */
__attribute__((format(printf, 2, 3))) static int complain(int status, const char *format, ...)
{
    char text[1024], shown[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_escape(shown, sizeof shown, span_of(text));
    fprintf(stderr, "postern firewall %s\n", shown);
    return status;
}

/* A listener that speaks plain SMTP first on PORT, as those do who connect to port 25. */
static bool has_listener(const struct conf *conf, uint16_t port)
{
    for (size_t i = 0; i < conf->nlisteners; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        for (size_t k = 0; k < listener->address.count; k++)
            if (listener->address.items[k].port == port && listener->tls != CONF_LISTENER_IMPLICIT)
                return true;
    }
    return false;
}

static void print_json(struct buffer *rules)
{
    json_t *value = json_pack("{s:s}", "rules", buffer_text(rules));
    json_dumpf(value, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(value);
}

int firewall_print(const struct conf *conf, const char *redirect, const char *world, bool json)
{
    struct firewall_rules rules = { .user = DELIVERY_USER, .world = world };
    uint64_t port = 0;
    struct buffer out;
    if (redirect && !text_number(span_of(redirect), 1, UINT16_MAX, &port))
        return complain(USAGE, "print: --redirect %s is no port; type one from 1 to 65535", redirect);
    if (world && !firewall_rules_is_interface(span_of(world)))
        return complain(USAGE, "print: --world %s is no interface's name; such as eth0, or ppp* for all that begin so", world);
    rules.redirect = (uint16_t)port;
    if (port && !has_listener(conf, rules.redirect))
        return complain(REFUSED,
                        "print: no listener of the configuration has port %s without tls = implicit; add one for those "
                        "whose connections are to be redirected",
                        redirect);
    buffer_init(&out, FIREWALL_RULES_MAX);
    bool written = firewall_rules_write(conf, &rules, &out);
    if (written && json)
        print_json(&out);
    else if (written)
        fputs(buffer_text(&out), stdout);
    buffer_fini(&out);
    return written
               ? DONE
               : complain(REFUSED, "print: the listeners have more networks than %u bytes of rules can name", FIREWALL_RULES_MAX);
}

int firewall_report(const char *file, const char *socket, void (*value)(void *context, const json_t *value), void *context)
{
    char reason[NFT_REASON_SIZE];
    struct buffer listing;
    const json_t *attempt;
    bool full = false;
    size_t i;
    if (geteuid() != 0)
        return complain(REFUSED, "report: only root can read the firewall; type sudo postern%s%s firewall report",
                        file ? " -f " : "", file ? file : "");
    buffer_init(&listing, NFT_ANSWER_MAX);
    bool listed = nft_list(NFT_PROGRAM, &listing, reason);
    json_t *attempts = listed ? firewall_report_read(buffer_span(&listing), clock_wall_ms(), &full) : NULL;
    buffer_fini(&listing);
    if (!listed)
        return complain(REFUSED, "report: %s", reason);
    if (!attempts)
        return complain(REFUSED,
                        "report: the table inet postern is not one of this version; load what postern firewall print prints");
    firewall_account_add(attempts, socket);
    json_array_foreach(attempts, i, attempt)
    {
        value(context, attempt);
    }
    json_decref(attempts);
    if (full)
        complain(DONE, "report: the firewall remembers no more addresses than these; there may be others");
    return DONE;
}

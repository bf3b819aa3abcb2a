/* What is wrong only if the world is as it mostly is, which no file tells: a mistake there would keep a relay from starting that is right.
 * `posternd -n`, the start, a reload and `postern check` say it, and go on. */
#include "warn.h"

#include "../base/text.h"
#include "../smtp/address.h"

#include <stdarg.h>
#include <stdio.h>

struct warner {
    const struct conf *conf;
    conf_complain complain;
    void *context;
};

__attribute__((format(printf, 5, 6))) static void warn(const struct warner *warner, const char *section, const char *title,
                                                       const char *key, const char *format, ...)
{
    char text[1024] = "warning: ";
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - used, format, arguments);
    va_end(arguments);
    conf_complain_of(warner->conf, section, title, key, text, warner->complain, warner->context);
}

/* The relay has no mailboxes: what it writes to an address of its own comes back to it. */
static void warn_of_postmaster(const struct warner *warner)
{
    const struct conf *conf = warner->conf;
    struct span domain = address_domain(span_of(conf->postmaster));
    const struct conf_route *route = conf_route_for(conf, domain);
    if (!span_equal_nocase(domain, span_of(conf->hostname)) || (route && !route->via.mx))
        return;
    warn(
        warner, "", "", "postmaster",
        "nobody reads %s, where letters about suspended accounts go, unless another server takes the mail of %s; set postmaster, "
        "such as postmaster = \"postmaster@example.net\"",
        conf->postmaster, conf->hostname);
}

static bool has_class(const struct conf *conf, const char *class)
{
    for (size_t i = 0; i < conf->naccounts; i++)
        if (span_equal_nocase(span_of(conf->accounts[i].class), span_of(class)))
            return true;
    return false;
}

/* Of NAMES, which KEY of SECTION "TITLE" lists. */
static void warn_of_classes_in(const struct warner *warner, const char *section, const char *title, const char *key,
                               const struct conf_strings *names)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *class = names->items[i] + 6;
        if (span_starts_nocase(span_of(names->items[i]), SPAN("class:")) && !has_class(warner->conf, class))
            warn(warner, section, title, key, "no account has the class %s; add account \"NAME\" { class = %s }", class, class);
    }
}

/* A class that is only excepted may be for accounts that are to come, as `bulk` is in the default limits. */
static void warn_of_classes(const struct warner *warner)
{
    const struct conf *conf = warner->conf;
    for (size_t i = 0; i < conf->nlimits; i++)
        warn_of_classes_in(warner, "limit", conf->limits[i].name, "apply-to", &conf->limits[i].apply_to);
    for (size_t i = 0; i < conf->nroutes; i++)
        warn_of_classes_in(warner, "route", conf->routes[i].name, "accounts", &conf->routes[i].accounts);
    for (size_t i = 0; i < conf->nsources; i++)
        warn_of_classes_in(warner, "source", conf->sources[i].name, "accounts", &conf->sources[i].accounts);
}

void conf_warn(const struct conf *conf, conf_complain complain, void *context)
{
    static void (*const rules[])(const struct warner *warner) = { warn_of_postmaster, warn_of_classes };
    const struct warner warner = { conf, complain, context };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        rules[i](&warner);
}

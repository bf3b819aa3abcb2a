/* What a remote server's reply means for delivery: whom it is about, and whether the site is to be used less for it.
 *
 * What it says of the sender is policy's (accounts.h); a reply that reproaches one account, one message or one recipient therefore means
 * nothing for the site here, and keeps such a 421 from counting as a failure of the site. */
#ifndef POSTERN_QUEUE_MEANING_H
#define POSTERN_QUEUE_MEANING_H

#include "../conf/conf.h"
#include "cause.h"

enum meaning_about {
    MEANING_UNKNOWN,
    MEANING_RECIPIENT,   /* this one: unknown, full, too busy */
    MEANING_CONTENT,     /* this message: size, form, virus */
    MEANING_ACCOUNT,     /* whoever sends such mail: spam, reputation */
    MEANING_POLICY,      /* what is asked of every message or server: signatures, names, greylisting */
    MEANING_SITE,        /* the server itself: full, about to stop */
    MEANING_RATE,        /* messages in a time */
    MEANING_CONNECTIONS, /* connections at once */
    MEANING_ABOUTS
};

enum meaning_act {
    MEANING_NOTHING,
    MEANING_SLOW,  /* fewer messages a second */
    MEANING_FEWER, /* fewer connections */
    MEANING_REST   /* nothing until the next step of the retry schedule */
};

struct meaning {
    const char *row; /* the name of the row that fitted: for status, trace and the log; "" where none did */
    enum meaning_about about;
    enum meaning_act act;
};

/* What CAUSE means. One that is not the remote's own words means nothing. The phrases of CONF's delivery section count before the rows
 * that are built in. */
struct meaning meaning_of(const struct conf *conf, const struct cause *cause);

/* "rate", "connections", "account" …; "" for MEANING_UNKNOWN. */
const char *meaning_about_name(enum meaning_about about);

/* Is it about one message, recipient or sender, so that it says nothing of the site? */
bool meaning_is_particular(struct meaning meaning);

#endif

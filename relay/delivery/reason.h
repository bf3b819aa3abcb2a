/* Why something was or was not done: the words that the queue keeps, logs and bounces with. */
#ifndef POSTERN_DELIVERY_REASON_H
#define POSTERN_DELIVERY_REASON_H

#include "../smtp/reply.h"

/* A reply's text with its code in front and a NUL. */
#define REASON_TEXT_SIZE (SMTP_REPLY_TEXT_SIZE + 8)

struct reason {
    bool remote;                       /* the remote's own words */
    char enhanced[SMTP_ENHANCED_SIZE]; /* enhanced status code (RFC 3463), never "" */
    char text[REASON_TEXT_SIZE];       /* printable, one line */
    bool dsn;                          /* the server has DSN and was told what the sender wants to hear */
};

/* Fills REASON with words of our own; what FORMAT makes is escaped. */
void reason_local(struct reason *reason, const char *enhanced, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Fills REASON with what the remote said. CLASS ('2', '4', '5') is what it is taken as: its own enhanced code is kept under that
 * class, so that a 554 greeting, which only defers, is reported as 4.x.x. */
void reason_remote(struct reason *reason, const struct reply *reply, char class);

#endif

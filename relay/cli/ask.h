/* Asks the running daemon: one request over the admin socket, answers as they come (the protocol stands in relay/control/visitor.h). */
#ifndef POSTERN_CLI_ASK_H
#define POSTERN_CLI_ASK_H

#include <jansson.h>
#include <stdbool.h>

#define ASK_REASON_SIZE 65536

enum ask_result {
    ASK_DONE,
    ASK_REFUSED, /* the reason tells why */
    ASK_ABSENT   /* nobody answers at the socket */
};

/* Sends COMMAND with FILTERS (an object, taken over) to the daemon at the socket PATH. Each value of the answer goes to VALUE (borrowed).
 * REASON gets what was said at the end. */
enum ask_result ask_daemon(const char *path, const char *command, json_t *filters,
                           void (*value)(void *context, const json_t *value), void *context, char reason[ASK_REASON_SIZE]);

#endif

/* One line from an administrator: which command, with which filters. Bytes only. */
#ifndef POSTERN_CONTROL_REQUEST_H
#define POSTERN_CONTROL_REQUEST_H

#include "../base/span.h"
#include "../channels/admin.h"

#define REQUEST_COMMAND_SIZE 32
#define REQUEST_REASON_SIZE  400

struct request {
    char command[REQUEST_COMMAND_SIZE];
    struct admin_ask ask; /* the filters; ticket and verb are not set */
};

/* Reads LINE (JSON, without its line end). False, and a sentence in REASON, where it is not a request: no object, no command, an
 * unknown filter, a filter that is no text or too long. */
bool request_read(struct span line, struct request *ret_request, char reason[REQUEST_REASON_SIZE]);

#endif

/* Asking a person, or standard input, for a new password. */
#ifndef POSTERN_CLI_PASSWORD_H
#define POSTERN_CLI_PASSWORD_H

#include "../base/buffer.h"

enum password_answer {
    PASSWORD_GIVEN,
    PASSWORD_DIFFERS, /* the two times differ */
    PASSWORD_NONE     /* the input ended, or was interrupted */
};

/* Gets a new password from descriptor FD into PASSWORD (an empty buffer, the caller wipes it): where FD is a terminal, asked for
 * twice without echo, WHOSE in the question; else one line. A line that PASSWORD's maximum cuts off leaves `overflow` set. */
enum password_answer password_ask(int fd, const char *whose, struct buffer *password);

#endif

/* The commands: who may give which one when, and who carries it out. */
#ifndef POSTERN_SUBMISSION_VERBS_H
#define POSTERN_SUBMISSION_VERBS_H

#include "../base/span.h"
#include <stdbool.h>

struct session;

/* Takes the next command line off the input and carries it out. False where none is complete. */
bool verbs_step(struct session *session);

/* Throws away the rest of an overlong line; REPLY (static) is due at its end. */
void verbs_skip_line(struct session *session, const char *reply);

/* Does a line of this session that begins with LINE come from a program that speaks another protocol (HTTP, a PROXY header)? */
bool verbs_is_foreign(struct span line);

#endif

/* The content of a message as it comes in behind DATA. */
#ifndef POSTERN_SUBMISSION_BODY_H
#define POSTERN_SUBMISSION_BODY_H

#include <stdbool.h>

struct body;
struct session;

/* SESSION's content begins: its transaction gets an id and a body. */
void body_begin(struct session *session);

/* Takes what is there of the content; at its end the message is judged and stored. False where nothing is there. */
bool body_step(struct session *session);

/* Forgets the content, and what of it was written. NULL is fine. */
void body_free(struct body **body);

#endif

/* What was said in the last failed attempts, in memory: DIALOGUES_MAX messages, those that failed longest ago leave first. */
#ifndef POSTERN_QUEUE_DIALOGUES_H
#define POSTERN_QUEUE_DIALOGUES_H

#include "../base/span.h"
#include "../base/uid.h"

#define DIALOGUES_MAX 1000 /* of up to 4 KB */

struct dialogues;

/* None yet. */
struct dialogues *dialogues_new(void);

/* Frees *DIALOGUES and nulls it. NULL is fine. */
void dialogues_free(struct dialogues **dialogues);

/* TEXT, lines that end in LF, is what was said about the message ID the last time. */
void dialogues_keep(struct dialogues *dialogues, struct uid id, struct span text);

/* That text, borrowed until the next call of dialogues_keep; empty where there is none. */
struct span dialogues_of(const struct dialogues *dialogues, struct uid id);

#endif

/* The letters about a suspended account: to the postmaster, who must act, and to its user's other address. */
#ifndef POSTERN_POLICY_LETTER_H
#define POSTERN_POLICY_LETTER_H

#include "../relay/base/buffer.h"

#include <jansson.h>

#define LETTER_BUFFER_MAX 16000 /* of a text; what does not fit is left out */

/* Adds the postmaster's letter about RECORD, as standing_show gives it, of the relay HOSTNAME. */
void letter_to_postmaster(const json_t *record, const char *hostname, struct buffer *text);

/* Adds the letter to the user: whom to ask is POSTMASTER. */
void letter_to_user(const json_t *record, const char *hostname, const char *postmaster, struct buffer *text);

#endif

/* The mark: what postern writes into its Received field so that a report about a message, days later, leads back to the account
 * that sent it, and tells nobody else anything.
 *
 * Policy gives each account a secret number, its tag. The mark is a keyed hash of the message's id under that tag. So it differs from
 * message to message: whoever sees two of them cannot tell whether they are of one account, and whoever was written to once can accuse
 * that account of this one message and of no other. Policy, which knows the tags, finds the account that a mark fits. */
#ifndef POSTERN_MESSAGE_MARK_H
#define POSTERN_MESSAGE_MARK_H

#include "../base/uid.h"

#define MARK_TEXT      16
#define MARK_TEXT_SIZE (MARK_TEXT + 1)

/* The mark of the message ID from the account with TAG. Neither is ever 0: that stands for none. */
uint64_t mark_of(uint64_t tag, struct uid id);

/* Writes MARK as 16 hexadecimal digits and a NUL. */
void mark_print(uint64_t mark, char text[MARK_TEXT_SIZE]);

/* Reads a mark as mark_print writes it, in either case; false on anything else. */
bool mark_parse(struct span text, uint64_t *ret_mark);

#endif

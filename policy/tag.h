/* An account's tag: the secret number by which its messages are marked (relay/message/mark.h), so that a report about one of them leads
 * back to it. Made of the account's name with a key that only policy knows, it needs no table and is the same after every restart. */
#ifndef POSTERN_POLICY_TAG_H
#define POSTERN_POLICY_TAG_H

#include "../relay/base/siphash.h"
#include "../relay/base/uid.h"

#define TAG_FILE "tag-key"

struct tag_key {
    unsigned char bytes[SIPHASH_KEY_SIZE];
};

/* Reads the key from FOLDER, where the first start made it (mode 0600). Where it is missing or damaged a new one is made: messages sent
 * before are then nobody's. Where FOLDER cannot be used, which is logged, the key lasts as long as the process. */
void tag_load(const char *folder, struct tag_key *ret_key);

/* The tag of ACCOUNT (in normal form); never 0. */
uint64_t tag_of(const struct tag_key *key, struct span account);

/* Is MARK what a message ID of ACCOUNT bears? Some 70 ns: to be asked for each account that is known. */
bool tag_fits(const struct tag_key *key, struct span account, struct uid id, uint64_t mark);

#endif

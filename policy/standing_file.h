/* The records of standing.h on the disk: account-HASH.json in the policy folder, where HASH is the SHA-256 of the name. */
#ifndef POSTERN_POLICY_STANDING_FILE_H
#define POSTERN_POLICY_STANDING_FILE_H

#include "../relay/base/span.h"

#include <jansson.h>

#define STANDING_FILE_MAX ((size_t)1 << 20) /* bytes of one; a larger one was not made here */

/* Writes RECORD of ACCOUNT into FOLDER (a descriptor) in place of the one before. A crash leaves the one or the other, and this one once
 * FOLDER is synced. False, with errno, where that fails: the one before is whole. */
bool standing_file_write(int folder, struct span account, const json_t *record);

/* Removes the file of ACCOUNT, where there is one. */
void standing_file_remove(int folder, struct span account);

/* Calls EACH with every record in FOLDER, which is borrowed, and the account's name in it, the one written longest ago first. One that cannot be read, or lies under the
 * name of another's, is logged and left where it is. */
void standing_file_each(int folder, void (*each)(void *context, struct span account, json_t *record), void *context);

#endif

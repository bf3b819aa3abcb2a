/* `postern user add|passwd|remove|list NAME`: edits the auth role's user file. */
#ifndef POSTERN_CLI_USER_H
#define POSTERN_CLI_USER_H

#include "../base/scram.h"
#include "../conf/conf.h"

/* Does VERB (add, passwd, remove, list) to account NAME (NULL or "" where none was given; list needs none, and with one shows only
 * that) in the file that CONF names. Asks for the password on the terminal, or takes a line of standard input. With JSON the answer
 * is one JSON value. Says on standard error what went wrong. Returns the exit status: 0 done, 1 refused or not found, 2 usage. */
int user_run(const struct conf *conf, const char *verb, const char *name, bool json);

/* Is it certain that there is no account NAME? Not where accounts are elsewhere than in a file, or that file cannot be read. RET_NEAREST is
 * a name much like it that is there, or "". */
bool user_is_missing(const struct conf *conf, const char *name, char ret_nearest[SCRAM_NAME_SIZE]);

#endif

/* `postern queue adopt DIR`: takes over the spool of a machine that is dead. */
#ifndef POSTERN_CLI_ADOPT_H
#define POSTERN_CLI_ADOPT_H

#include "../conf/conf.h"

/* Moves every pair of the spool folder PATH into the spool of CONF, whether posternd runs or not; one that was interrupted is finished.
 * Refuses a spool whose owner lives (its queue holds the folder's lock), this machine's own, one that was adopted before, and where
 * there is not enough room. *RET_CARRIED is how many segments came over, also where it could not be finished. Says on standard error what went wrong. Returns the
 * exit status. */
int adopt_run(const struct conf *conf, const char *path, unsigned *ret_carried);

#endif

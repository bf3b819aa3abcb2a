/* The folders that roles own: made by the parent where they are missing, since the roles may not. */
#ifndef POSTERN_PARENT_FOLDERS_H
#define POSTERN_PARENT_FOLDERS_H

#include "../conf/conf.h"

/* Makes the spool's and the policy state's folder, owned by the role that uses it (by the caller where KEEP_USER), and the control socket's,
 * which stays the caller's. False, with a log line for each that cannot be made. */
bool folders_make(const struct conf *conf, bool keep_user);

#endif

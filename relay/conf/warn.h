/* What a configuration may say and hardly means. */
#ifndef POSTERN_CONF_WARN_H
#define POSTERN_CONF_WARN_H

#include "read.h"

/* Tells COMPLAIN "FILE:LINE: warning: what will happen; what would be right" of each such thing in CONF, which can be run all the same. */
void conf_warn(const struct conf *conf, conf_complain complain, void *context);

#endif

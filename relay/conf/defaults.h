/* Limits that hold without a line of configuration. */
#ifndef POSTERN_CONF_DEFAULTS_H
#define POSTERN_CONF_DEFAULTS_H

#include "conf.h"

/* Adds to CONF each default limit of whose name there is none: a file changes one by its name, and removes it with mode = off. */
void defaults_add(struct conf *conf);

#endif

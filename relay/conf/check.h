/* What must hold between keys: each rule is one function in a table, with its complaint at the line that broke it. */
#ifndef POSTERN_CONF_CHECK_H
#define POSTERN_CONF_CHECK_H

#include "scan.h"

/* Goes through all rules, complains through SCAN, and fills in defaults that depend on other keys (postmaster). */
void check_all(struct conf *conf, struct scan *scan);

#endif

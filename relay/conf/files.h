/* The files with secrets that a configuration names: certificates and keys, the passwords of routes and of Redis. */
#ifndef POSTERN_CONF_FILES_H
#define POSTERN_CONF_FILES_H

#include "../base/bundle.h"
#include "read.h"

/* Where what is read goes, by the role that needs it; it may be one bundle for all. */
struct files {
    struct bundle *submission; /* "certificate:PATH", "key:PATH" */
    struct bundle *delivery;   /* "password:PATH" */
    struct bundle *policy;     /* the same */
};

/* Reads and checks what CONF names. A file that cannot be read, a key that does not fit its certificate, a password that is none, is told to
 * COMPLAIN; then false. One that the caller has no permission to read is told to DENIED and is no mistake; where that is NULL it is one. */
bool files_load(const struct conf *conf, const struct files *files, conf_complain complain, conf_complain denied, void *context);

/* The passwords of routes alone. */
bool files_load_passwords(const struct conf *conf, struct bundle *delivery, conf_complain complain, void *context);

#endif

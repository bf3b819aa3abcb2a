/* The user file in memory: accounts and their SCRAM verifiers (see base/scram.h for its form), read anew when it changes. */
#ifndef POSTERN_AUTH_USERFILE_H
#define POSTERN_AUTH_USERFILE_H

#include "../base/scram.h"

#include <stddef.h>

#define USERFILE_SIZE_MAX     (64 * 1024 * 1024)
#define USERFILE_ACCOUNTS_MAX 250000

struct userfile;

enum userfile_answer {
    USERFILE_FOUND,
    USERFILE_UNKNOWN,
    USERFILE_UNREADABLE /* the file is not there or cannot be read: nothing is known about anybody */
};

/* The user file at PATH. Nothing is read yet. With PATH NULL there is no file: every account is unknown. */
struct userfile *userfile_new(const char *path);

/* Wipes and frees *FILE and nulls it. NULL is fine. */
void userfile_free(struct userfile **file);

/* The verifier of ACCOUNT (in normal form), which the caller wipes. Looks at the file first: what was changed a moment ago counts. */
enum userfile_answer userfile_find(struct userfile *file, struct span account, struct scram_verifier *ret_verifier);

/* A verifier for an ACCOUNT that is unknown, so that its login takes the course of any other and fails at its end: always the
 * same for the same name, salt size and iterations those that most accounts of the file have. No password fits. */
void userfile_decoy(const struct userfile *file, struct span account, struct scram_verifier *ret_verifier);

/* Takes TEXT as the file's whole content in place of what was there; for the tests too. Lines that make no sense are logged by
 * number and skipped. Returns how many accounts there are. */
size_t userfile_take(struct userfile *file, struct span text);

#endif

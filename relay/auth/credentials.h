/* What the auth role knows about accounts: the user file and, before it, the passwords found right a moment ago. */
#ifndef POSTERN_AUTH_CREDENTIALS_H
#define POSTERN_AUTH_CREDENTIALS_H

#include "userfile.h"

struct credentials;

enum credentials_answer {
    CREDENTIALS_RIGHT,
    CREDENTIALS_WRONG,
    CREDENTIALS_UNKNOWN,    /* no such account */
    CREDENTIALS_UNAVAILABLE /* the user file cannot be read */
};

/* Credentials from the user file at PATH (NULL: there is none, and only decoys are given); a good password is remembered for
 * CACHE_MS milliseconds. */
struct credentials *credentials_new(const char *path, int64_t cache_ms);

/* Wipes and frees *CREDENTIALS and nulls it. NULL is fine. */
void credentials_free(struct credentials **credentials);

/* Is PASSWORD that of ACCOUNT (in normal form)? An unknown account takes as long as a wrong password. */
enum credentials_answer credentials_check(struct credentials *credentials, struct span account, struct span password);

/* Sets *ret_verifier, which the caller wipes, to ACCOUNT's (CREDENTIALS_RIGHT) or to a decoy (CREDENTIALS_UNKNOWN). Not set where
 * CREDENTIALS_UNAVAILABLE. */
enum credentials_answer credentials_verifier(struct credentials *credentials, struct span account,
                                             struct scram_verifier *ret_verifier);

/* Forgets remembered passwords whose time is over. */
void credentials_expire(struct credentials *credentials);

#endif

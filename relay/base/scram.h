/* SCRAM-SHA-256 verifiers (RFC 5802 3, RFC 7677): what the user file keeps in place of passwords, and the rules for names and
 * passwords that go with it. Shared by the auth role, which checks, and the command line, which makes them.
 *
 * A user file is UTF-8 text, one account a line, in the form of RFC 5803's authPassword behind the name:
 *
 *     name:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY      (salt and keys in base64)
 *
 * Empty lines and lines that begin with '#' are for people. */
#ifndef POSTERN_BASE_SCRAM_H
#define POSTERN_BASE_SCRAM_H

#include "span.h"

#include <stdint.h>

#define SCRAM_KEY_SIZE     32 /* of SHA-256 */
#define SCRAM_SALT_DEFAULT 16
#define SCRAM_SALT_MIN     8
#define SCRAM_SALT_MAX     64
/* RFC 7677 4 asks for 4096 at least; the upper bound keeps one login from holding a process for long (about half a second). */
#define SCRAM_ITERATIONS_DEFAULT 4096
#define SCRAM_ITERATIONS_MIN     4096
#define SCRAM_ITERATIONS_MAX     1000000
#define SCRAM_PASSWORD_MAX       1024 /* bytes */
#define SCRAM_NAME_SIZE          256  /* an account's name with its NUL */
#define SCRAM_TEXT_SIZE          256  /* a verifier as text with its NUL */
#define SCRAM_LINE_MAX           (SCRAM_NAME_SIZE + SCRAM_TEXT_SIZE)

struct scram_verifier {
    uint32_t iterations;
    uint32_t salt_size;
    unsigned char salt[SCRAM_SALT_MAX];
    unsigned char stored_key[SCRAM_KEY_SIZE];
    unsigned char server_key[SCRAM_KEY_SIZE];
};

/* A line of a user file. */
enum scram_line {
    SCRAM_LINE_NOTHING, /* empty, or a comment */
    SCRAM_LINE_ACCOUNT,
    SCRAM_LINE_BAD_NAME,
    SCRAM_LINE_BAD_VERIFIER /* also: no ':' */
};

/* Makes *ret_verifier for PASSWORD with a fresh salt of SCRAM_SALT_DEFAULT bytes. False where OpenSSL fails. */
bool scram_make(struct span password, uint32_t iterations, struct scram_verifier *ret_verifier);

/* Is PASSWORD the one VERIFIER was made of? Costs VERIFIER->iterations rounds of PBKDF2 whatever the answer, but for a
 * password that scram_password refuses, which costs nothing. Compares in constant time. */
bool scram_check(const struct scram_verifier *verifier, struct span password);

/* Reads "SCRAM-SHA-256$4096:SALT$STOREDKEY:SERVERKEY", nothing before and behind, all within the bounds above. */
bool scram_parse(struct span text, struct scram_verifier *ret_verifier);

/* Writes VERIFIER as scram_parse reads it. */
void scram_print(const struct scram_verifier *verifier, char text[SCRAM_TEXT_SIZE]);

/* Reads a line of a user file, without its line end. NAME (in normal form) and *ret_verifier are set for an account only. */
enum scram_line scram_line(struct span line, char name[SCRAM_NAME_SIZE], struct scram_verifier *ret_verifier);

/* Writes the normal form of an account's NAME: ASCII letters in lower case, else as it is (SASLprep, RFC 4013, is not applied).
 * False where NAME cannot be one: empty, 256 bytes or more, not UTF-8, with controls, spaces or ':', with a '#' at its front,
 * or "*", which stands for everybody in the configuration. */
bool scram_name(struct span name, char normal[SCRAM_NAME_SIZE]);

/* May PASSWORD be one? Not empty, at most SCRAM_PASSWORD_MAX bytes, UTF-8 without control characters. It is used as it is given:
 * of SASLprep only the ban of controls is applied. */
bool scram_password(struct span password);

#endif

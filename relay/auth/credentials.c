/* An unknown account and a wrong password must look the same, in the answer and in its time. So an unknown name takes the course
 * of a known one: a decoy verifier (userfile.c) whose rounds of PBKDF2 are spent, a look into the cache, the same calls in the
 * same order. The one difference left is a cache hit, which only a right password has.
 *
 * The rounds are what makes a stolen user file worth little, and what a login costs: 1 to 2 ms for the 4,096 that `postern user`
 * begins with. A mail program logs in for each message and some keep ten connections, so the last good password of an account is
 * remembered for auth.cache-time as a keyed digest (recent.c). A password that was changed is not remembered under its old
 * verifier: the digest is kept with the verifier that it was checked against.
 *
 * With sasldb or saslauthd libsasl2 checks by itself (attempt.c), and of this file only the decoys are used. */
#include "credentials.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "recent.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define RECENT_MAX 65536 /* accounts whose last good password is remembered: about 15 MiB */

struct credentials {
    struct userfile *file;
    struct recent *recent;
};

struct credentials *credentials_new(const char *path, int64_t cache_ms)
{
    struct credentials *credentials = text_zalloc(sizeof *credentials);
    credentials->file = userfile_new(path);
    credentials->recent = recent_new(cache_ms, RECENT_MAX);
    return credentials;
}

void credentials_free(struct credentials **credentials)
{
    if (!*credentials)
        return;
    userfile_free(&(*credentials)->file);
    recent_free(&(*credentials)->recent);
    free(*credentials);
    *credentials = NULL;
}

enum credentials_answer credentials_verifier(struct credentials *credentials, struct span account,
                                             struct scram_verifier *ret_verifier)
{
    switch (userfile_find(credentials->file, account, ret_verifier)) {
    case USERFILE_FOUND:
        return CREDENTIALS_RIGHT;
    case USERFILE_UNKNOWN:
        userfile_decoy(credentials->file, account, ret_verifier);
        return CREDENTIALS_UNKNOWN;
    case USERFILE_UNREADABLE:
        break;
    }
    return CREDENTIALS_UNAVAILABLE;
}

enum credentials_answer credentials_check(struct credentials *credentials, struct span account, struct span password)
{
    struct scram_verifier verifier = { 0 };
    enum credentials_answer answer = credentials_verifier(credentials, account, &verifier);
    if (answer == CREDENTIALS_UNAVAILABLE)
        return answer;
    /* The same calls whether the account is known or not: a decoy's rounds are spent too, and no password fits it. */
    int64_t now_ms = clock_monotonic_ms();
    bool known = recent_knows(credentials->recent, account, password, &verifier, now_ms);
    bool right = known || scram_check(&verifier, password);
    if (answer == CREDENTIALS_UNKNOWN)
        recent_forget(credentials->recent, account);
    else if (!right)
        answer = CREDENTIALS_WRONG;
    else if (!known)
        recent_keep(credentials->recent, account, password, &verifier, now_ms);
    OPENSSL_cleanse(&verifier, sizeof verifier);
    return answer;
}

void credentials_expire(struct credentials *credentials)
{
    recent_expire(credentials->recent, clock_monotonic_ms());
}

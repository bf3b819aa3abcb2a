/* The parent reads keys and passwords since it alone may: the files belong to root, and no other process ever opens them. A role
 * gets copies of what it needs in a bundle, over its channel, and nothing else: submission certificates and keys, delivery the
 * passwords of routes, policy that of Redis, the others nothing. So an intruder in the dns role finds no key, and one in submission finds no upstream
 * password.
 *
 * A secret stands in memory from here to the end of its generation and is wiped when it is freed (bundle_free). */
#include "keys.h"

#include "../conf/files.h"

#include <string.h>

struct bundle *keys_passwords(const struct conf *conf, conf_complain complain, void *context)
{
    struct bundle *passwords = bundle_new();
    if (!files_load_passwords(conf, passwords, complain, context))
        bundle_free(&passwords);
    return passwords;
}

bool keys_load(const struct conf *conf, struct span ticket_key, struct bundle *secrets[ROLE_KINDS], conf_complain complain,
               void *context)
{
    memset(secrets, 0, ROLE_KINDS * sizeof *secrets);
    secrets[ROLE_SUBMISSION] = bundle_new();
    secrets[ROLE_DELIVERY] = bundle_new();
    if (conf->policy.redis_store)
        secrets[ROLE_POLICY] = bundle_new();
    const struct files files = { secrets[ROLE_SUBMISSION], secrets[ROLE_DELIVERY], secrets[ROLE_POLICY] };
    bundle_add(files.submission, "ticket-key", ticket_key);
    bool loaded = files_load(conf, &files, complain, NULL, context);
    if (!loaded)
        keys_free(secrets);
    return loaded;
}

void keys_free(struct bundle *secrets[ROLE_KINDS])
{
    for (unsigned i = 0; i < ROLE_KINDS; i++)
        bundle_free(&secrets[i]);
}

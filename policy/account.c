/* The entries of the configuration in a table, as there may be thousands and each MAIL asks for one. "*" is kept apart: it is no
 * account's name, and matches accounts only. Who has not logged in has the name "", and gets no entry at all: "*" is written to
 * say what accounts may do, and a printer in an open network should not get that by accident.
 *
 * The auth role hands on a name in its normal form already (scram_name); it is brought to lower case here once more since the
 * configuration's own spelling is a person's. Two entries that differ in case only are a mistake there. */
#include "account.h"

#include "../relay/base/map.h"
#include "../relay/base/text.h"

#include <stdlib.h>

struct account_table {
    struct map *entries;              /* of struct conf_account, by normal name */
    const struct conf_account *other; /* "*" */
};

void account_normal(struct span name, char dest[ACCOUNT_NAME_SIZE])
{
    text_copy(dest, ACCOUNT_NAME_SIZE, name);
    text_lower(dest);
}

struct account_table *account_new(const struct conf *conf)
{
    struct account_table *table = text_zalloc(sizeof *table);
    table->entries = map_new(0);
    for (size_t i = 0; i < conf->naccounts; i++) {
        char name[ACCOUNT_NAME_SIZE];
        account_normal(span_of(conf->accounts[i].name), name);
        if (strcmp(name, "*") == 0)
            table->other = &conf->accounts[i];
        else
            map_put(table->entries, span_of(name), &conf->accounts[i], NULL);
    }
    return table;
}

void account_free(struct account_table **table)
{
    if (!*table)
        return;
    map_free(&(*table)->entries, NULL);
    free(*table);
    *table = NULL;
}

const struct conf_account *account_find(const struct account_table *table, struct span name)
{
    if (!name.n)
        return NULL;
    const struct conf_account *own = map_get(table->entries, name);
    return own ? own : table->other;
}

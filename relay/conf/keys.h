/* The table of all configuration keys. One row is one key: the parser, the defaults, conf_write, `posternd -n`, the table in
 * postern.conf(5) and the sample file come from it. */
#ifndef POSTERN_CONF_KEYS_H
#define POSTERN_CONF_KEYS_H

#include "conf.h"
#include "values.h"

#include <stddef.h>

/* A key. */
struct key {
    const char *name;
    enum value_type type;
    size_t offset;            /* of its member in the section's struct */
    const char *fallback;     /* the default as it would be written; NULL: must be given (or stays empty, where not required) */
    uint64_t min, max;        /* bounds of numbers, sizes (bytes) and times (milliseconds) */
    const char *const *words; /* of a VALUE_WORD: the choices, NULL at the end, in the order of the enum */
    bool required;
    const char *prose; /* one sentence for the manual and the sample */
};

/* A section: `name { … }` or `name "title" { … }`; the top level is the one named "". */
struct section {
    const char *name;
    bool titled;   /* has a title and may occur more than once: an array of `item_size` structs */
    size_t offset; /* in struct conf: of the struct, or of the array's pointer (its count follows at count_offset) */
    size_t count_offset;
    size_t item_size;
    size_t title_offset; /* of the char * that takes the title */
    const struct key *keys;
    size_t nkeys;
    const char *prose;
};

extern const struct section conf_sections[];
extern const size_t conf_nsections;

#endif

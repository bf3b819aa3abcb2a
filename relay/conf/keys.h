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
    size_t offset;        /* of its member in the section's struct */
    const char *fallback; /* the default as it would be written, a list's items separated by spaces; NULL: none */
    struct value_bounds bounds;
    bool required;
    const char *example; /* a value for the manual and the sample */
    const char *prose;   /* one sentence for the manual and the sample */
    size_t given_offset; /* of a bool that tells whether the key was given; 0: nobody asks */
};

/* A section: `name { … }` or `name "title" { … }`; the top level is the one named "". */
struct section {
    const char *name;
    bool titled;   /* has a title and may occur more than once: an array of `item_size` structs */
    size_t offset; /* in struct conf: of the struct, or of the array's pointer (its count follows at count_offset) */
    size_t count_offset;
    size_t item_size;
    size_t title_offset; /* of the char * that takes the title */
    const char *example; /* a title for the manual and the sample */
    const struct key *keys;
    size_t nkeys;
    const char *prose;
    bool any_case; /* titles that differ in case only are one */
};

extern const struct section keys_sections[];
extern const size_t keys_nsections;

/* The section NAME ("" is the top level), or NULL. */
const struct section *keys_section(struct span name);

/* The key NAME of SECTION, or NULL. */
const struct key *keys_find(const struct section *section, struct span name);

/* The known name nearest to NAME among SECTION's keys and, for the top level, the sections: for "did you mean"; NULL where none is near. */
const char *keys_nearest(const struct section *section, struct span name);

/* Appends a commented sample file with every key. */
void keys_sample(struct buffer *out);

/* Appends the mdoc lines of the manual's tables. postern.conf(5) has them word for word; tests/unit/conf/read.c compares. */
void keys_manual(struct buffer *out);

#endif

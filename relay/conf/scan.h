/* A first pass over the text of a configuration: which names stand where. It finds what libconfuse does not tell well (a name that does not
 * exist, a section that is never closed, a title twice) and remembers the line of everything for later complaints. */
#ifndef POSTERN_CONF_SCAN_H
#define POSTERN_CONF_SCAN_H

#include "keys.h"
#include "read.h"

#define SCAN_BYTE_ORDER_MARK "\xef\xbb\xbf" /* of UTF-8: some editors of Windows put it in front */

/* A name in the file. */
struct mark {
    const struct section *section;
    char *title;           /* "" where the section has none */
    const struct key *key; /* NULL: the section itself */
    const char *file;      /* one of scan.files */
    unsigned line;
    bool complained; /* a key is complained about once: what follows from a wrong value is no news */
};

struct scan {
    struct mark *marks;
    size_t nmarks;
    char **files;
    size_t nfiles;
    conf_complain complain;
    void *context;
    unsigned mistakes;
    bool broken; /* a mistake was one of structure: libconfuse stumbles over the same */
};

/* Goes through TEXT of the file NAME and all that it includes. Complains; SCAN holds the marks. */
void scan_text(struct scan *scan, const char *name, struct span text);

/* Does KEY stand in SECTION, which has no title, and neither of them twice or with a mistake? */
bool scan_is_sure(const struct scan *scan, const char *section, const char *key);

/* Frees what SCAN holds. */
void scan_fini(struct scan *scan);

/* Complains about "FILE:LINE: WHAT", counting it. */
void scan_complain(struct scan *scan, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same at the place of KEY (NULL: the section itself) in SECTION "TITLE"; where that is not in the file, at the section's, else at line 1. */
void scan_complain_at(struct scan *scan, const char *section, const char *title, const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif

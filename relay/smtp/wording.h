/* The words of a reply, as a person reads them, for tables that tell what it means: without case, over the borders of lines with the codes
 * that large servers repeat on each, and without addresses, so that nobody's name is taken for a word. A phrase counts only as whole
 * words. */
#ifndef POSTERN_SMTP_WORDING_H
#define POSTERN_SMTP_WORDING_H

#include "../base/span.h"

#define WORDING_TEXT_MAX 600 /* bytes of a reply that are looked at */

/* A reply that is judged. Must not be copied: `text` lies in `bytes`. */
struct wording {
    char bytes[WORDING_TEXT_MAX];
    struct span text; /* lower case, one line */
    struct span code; /* its enhanced status code, or at least the class: "4.0.0" */
};

/* Takes a reply. PERMANENT: it is final. ENHANCED: its enhanced status code; "" and "x.0.0" where it has none. TEXT: its text in one line as
 * the queue keeps it ("550 5.1.1 no such user"), lines joined by " / ". ENHANCED and TEXT are borrowed as long as WORDING is used. */
void wording_take(struct wording *wording, bool permanent, struct span enhanced, struct span text);

/* Has it CODE, and the words of PHRASE (lower case; empty: the code is enough)? CODE is compared part by part, and what is left out at
 * its end stands for anything; "": any code. */
bool wording_fits(const struct wording *wording, struct span code, struct span phrase);

/* Does one of the COUNT PHRASES fit? Each (lower case) may begin with an enhanced status code, and need not have more than that. */
bool wording_fits_any(const struct wording *wording, char *const *phrases, size_t count);

#endif

#include "wording.h"

#include "status.h"

#include <ctype.h>
#include <string.h>

#define LINE_BREAK " / " /* of replies with several lines */

/* Does ENHANCED fall under CODE? */
static bool falls_under(struct span enhanced, struct span code)
{
    while (code.n)
        if (!span_equal(span_cut(&code, '.'), span_cut(&enhanced, '.')))
            return false;
    return true;
}

/* May C be part of an address? */
static bool is_address_byte(char c)
{
    return c && !strchr(" <>()[]\"',;:", c);
}

/* The length of the address at the front of TEXT; 0 where there is none. */
static size_t address_length(struct span text)
{
    size_t n = 0;
    while (n < text.n && is_address_byte(text.p[n]))
        n++;
    return span_find(span_head(text, n), '@') < n ? n : 0;
}

/* Writes TEXT (at most WORDING_TEXT_MAX of it) as it is compared. */
static struct span plain(struct span text, char dest[WORDING_TEXT_MAX])
{
    size_t n = 0;
    bool begins = true; /* a word */
    for (text = span_head(text, WORDING_TEXT_MAX); text.n;) {
        if (span_starts_nocase(text, SPAN(LINE_BREAK))) {
            text = span_skip(text, sizeof LINE_BREAK - 2);
            struct span code = status_find(span_skip(text, 1));
            text = span_skip(text, code.n ? code.n + 1 : 0);
            continue;
        }
        size_t address = begins ? address_length(text) : 0;
        if (address) {
            text = span_skip(text, address);
            continue;
        }
        begins = !is_address_byte(text.p[0]);
        if (text.p[0] != ' ' || (n && dest[n - 1] != ' '))
            dest[n++] = (char)tolower((unsigned char)text.p[0]);
        text = span_skip(text, 1);
    }
    return span_make(dest, n);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Has TEXT the words of PHRASE, not as part of other words? */
static bool has_phrase(struct span text, struct span phrase)
{
    const char *end = text.p + text.n, *at = phrase.n ? memmem(text.p, text.n, phrase.p, phrase.n) : NULL;
    while (at) {
        const char *behind = at + phrase.n;
        bool starts = at == text.p || !is_letter(at[-1]) || !is_letter(phrase.p[0]);
        bool ends = behind == end || !is_letter(*behind) || !is_letter(behind[-1]);
        if (starts && ends)
            return true;
        at = memmem(at + 1, (size_t)(end - at - 1), phrase.p, phrase.n);
    }
    return false;
}

/* The code of the reply: ENHANCED, or that of the first line, since some servers leave it out on the last; at least its class. */
static struct span code_of(bool permanent, struct span enhanced, struct span text)
{
    struct span first = status_find(span_skip(text, sizeof "550 " - 1));
    bool none = !enhanced.n || (enhanced.n > 1 && span_equal(span_skip(enhanced, 1), SPAN(".0.0")));
    if (!none)
        return enhanced;
    if (first.n && first.p[0] == (permanent ? '5' : '4'))
        return first;
    return permanent ? SPAN("5.0.0") : SPAN("4.0.0");
}

void wording_take(struct wording *wording, bool permanent, struct span enhanced, struct span text)
{
    wording->text = plain(text, wording->bytes);
    wording->code = code_of(permanent, enhanced, text);
}

bool wording_fits(const struct wording *wording, struct span code, struct span phrase)
{
    return falls_under(wording->code, code) && (!phrase.n || has_phrase(wording->text, phrase));
}

bool wording_fits_any(const struct wording *wording, char *const *phrases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span phrase = span_of(phrases[i]), code = status_find(phrase);
        phrase = span_trim(span_skip(phrase, code.n));
        if ((code.n || phrase.n) && wording_fits(wording, code, phrase))
            return true;
    }
    return false;
}

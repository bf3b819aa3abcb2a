#include "mark.h"

#include "../base/siphash.h"

static const char digits[] = "0123456789abcdef";

uint64_t mark_of(uint64_t tag, struct uid id)
{
    unsigned char key[SIPHASH_KEY_SIZE] = { 'm', 'a', 'r', 'k' };
    struct siphash hash;
    for (unsigned i = 0; i < 8; i++)
        key[8 + i] = (unsigned char)(tag >> (8 * i));
    siphash_begin(&hash, key);
    siphash_add(&hash, span_make((const char *)id.bytes, sizeof id.bytes));
    uint64_t mark = siphash_end(&hash);
    return mark ? mark : 1;
}

void mark_print(uint64_t mark, char text[MARK_TEXT_SIZE])
{
    for (unsigned i = 0; i < MARK_TEXT; i++)
        text[i] = digits[mark >> (4 * (MARK_TEXT - 1 - i)) & 0xf];
    text[MARK_TEXT] = '\0';
}

bool mark_parse(struct span text, uint64_t *ret_mark)
{
    uint64_t mark = 0;
    if (text.n != MARK_TEXT)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] >= 'A' && text.p[i] <= 'F' ? (char)(text.p[i] + ('a' - 'A')) : text.p[i];
        const char *at = c ? strchr(digits, c) : NULL;
        if (!at)
            return false;
        mark = mark << 4 | (uint64_t)(at - digits);
    }
    *ret_mark = mark;
    return mark != 0;
}

/* An id is not a secret and gives no right to anything: it says when it was made and is shown to whoever sends mail. What it has
 * to be is unique and in order, since the queue finds the segment of a finished message by the time in its id.
 *
 * Two processes make ids in the same millisecond all the time; they differ by the four random bytes. That these are equal too,
 * for any two of the 128 processes of a large machine, has a chance of 1 in 500,000 for each start; then they must also meet in
 * a millisecond and in its count. 65,536 ids a millisecond are far more than the disk can sync, and borrowing from the next
 * millisecond costs nothing but truth about the time. */
#include "uid.h"

#include "clock.h"
#include "random.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* no i, l, o, u: read out on the phone without mistakes */

struct uid uid_next(void)
{
    static int64_t last_ms;
    static uint16_t count;
    static unsigned char tag[4];
    static bool tagged;
    if (!tagged) {
        random_bytes(tag, sizeof tag);
        tagged = true;
    }
    int64_t now = clock_wall_ms();
    if (now > last_ms) {
        last_ms = now;
        count = 0;
    } else if (++count == 0) {
        last_ms++; /* 65,536 in a millisecond, or a clock that went back: borrow from the future */
    }
    struct uid id;
    for (unsigned i = 0; i < 6; i++)
        id.bytes[i] = (unsigned char)(last_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, tag, sizeof tag);
    id.bytes[10] = (unsigned char)(count >> 8);
    id.bytes[11] = (unsigned char)count;
    return id;
}

/* Bit BIT of ID, counted from the most significant; beyond the last they are 0. */
static unsigned bit_at(const struct uid *id, unsigned bit)
{
    return bit < UID_BYTES * 8 ? (unsigned)id->bytes[bit / 8] >> (7 - bit % 8) & 1u : 0;
}

void uid_print(struct uid id, char text[UID_TEXT_SIZE])
{
    for (unsigned i = 0; i < UID_TEXT; i++) {
        unsigned value = 0;
        for (unsigned j = 0; j < 5; j++)
            value = value << 1 | bit_at(&id, i * 5 + j);
        text[i] = alphabet[value];
    }
    text[UID_TEXT] = '\0';
}

bool uid_parse(struct span text, struct uid *ret_id)
{
    struct uid id = { { 0 } };
    if (text.n != UID_TEXT)
        return false;
    for (unsigned i = 0; i < UID_TEXT; i++) {
        const char *at = text.p[i] ? strchr(alphabet, text.p[i]) : NULL;
        if (!at)
            return false;
        unsigned value = (unsigned)(at - alphabet);
        for (unsigned j = 0; j < 5; j++) {
            unsigned bit = i * 5 + j, set = value >> (4 - j) & 1u;
            if (bit < UID_BYTES * 8)
                id.bytes[bit / 8] |= (unsigned char)(set << (7 - bit % 8));
            else if (set)
                return false;
        }
    }
    *ret_id = id;
    return true;
}

int uid_compare(struct uid a, struct uid b)
{
    return memcmp(a.bytes, b.bytes, UID_BYTES);
}

int64_t uid_time_ms(struct uid id)
{
    int64_t ms = 0;
    for (unsigned i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    return ms;
}

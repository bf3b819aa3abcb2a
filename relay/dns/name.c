/* Three forms of a name: text as the channel carries it, wire form as a question has it, and wire form with compression pointers
 * as answers have it. Only the first is ever shown or passed on, and it holds nothing but letters, digits, "-", "_" and dots: a
 * server that answers with quotes, blanks, NULs or control bytes in a name has given no host name.
 *
 * A compression pointer must point to before the place where the present run of labels began. Each jump therefore goes to a
 * lower place, and no chain can come back. Their number is bounded as well: thousands of records whose owners begin at the far end of a
 * chain as long as the message would take a second to read. */
#include "name.h"

#include "../base/text.h"

#include <string.h>

#define POINTER_BITS 0xc0u
#define POINTERS_MAX 127 /* of one name, as many as it may have labels */

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

static bool is_host_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

bool name_to_wire(struct span name, struct name_wire *ret_wire)
{
    struct name_wire wire = { .size = 0 };
    while (name.n) {
        struct span label = span_cut(&name, '.');
        if (!label.n || label.n > SMTP_LABEL_MAX || wire.size + label.n + 2 > NAME_WIRE_MAX)
            return false;
        wire.bytes[wire.size++] = (uint8_t)label.n;
        for (size_t i = 0; i < label.n; i++) {
            char byte = lower(label.p[i]);
            if (!is_host_byte(byte))
                return false;
            wire.bytes[wire.size++] = (uint8_t)byte;
        }
    }
    wire.bytes[wire.size++] = 0;
    *ret_wire = wire;
    return true;
}

bool name_from_wire(const struct name_wire *wire, char dest[SMTP_DOMAIN_SIZE])
{
    size_t n = 0;
    dest[0] = '\0';
    for (size_t at = 0; wire->bytes[at];) {
        size_t label = wire->bytes[at++];
        if (n)
            dest[n++] = '.';
        for (; label; label--, at++) {
            char byte = (char)wire->bytes[at];
            if (!is_host_byte(byte)) {
                dest[0] = '\0';
                return false;
            }
            dest[n++] = byte;
        }
    }
    dest[n] = '\0';
    return true;
}

bool name_normal(struct span text, char dest[SMTP_DOMAIN_SIZE])
{
    struct name_wire wire;
    if (text.n && text.p[text.n - 1] == '.')
        text.n--;
    return text.n && text.p[text.n - 1] != '.' && name_to_wire(text, &wire) && name_from_wire(&wire, dest);
}

bool name_equal(const struct name_wire *a, const struct name_wire *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Adds one label of N bytes at P; false where the name becomes too long. */
static bool add_label(struct name_wire *wire, const char *p, size_t n)
{
    if (wire->size + n + 2 > NAME_WIRE_MAX)
        return false;
    wire->bytes[wire->size++] = (uint8_t)n;
    for (size_t i = 0; i < n; i++)
        wire->bytes[wire->size++] = (uint8_t)lower(p[i]);
    return true;
}

bool name_read(struct span message, size_t *at, struct name_wire *ret_wire)
{
    struct name_wire wire = { .size = 0 };
    size_t here = *at, begin = here, behind = 0; /* behind: where *AT goes once a pointer was followed */
    unsigned pointers = 0;
    for (;;) {
        if (here >= message.n)
            return false;
        unsigned byte = (unsigned char)message.p[here++];
        if (byte == 0)
            break;
        if ((byte & POINTER_BITS) == POINTER_BITS) {
            if (here >= message.n)
                return false;
            size_t target = (byte & ~POINTER_BITS) << 8 | (unsigned char)message.p[here++];
            if (target >= begin || ++pointers > POINTERS_MAX)
                return false;
            behind = behind ? behind : here;
            here = begin = target;
            continue;
        }
        if (byte > SMTP_LABEL_MAX || message.n - here < byte || !add_label(&wire, message.p + here, byte))
            return false;
        here += byte;
    }
    wire.bytes[wire.size++] = 0;
    *ret_wire = wire;
    *at = behind ? behind : here;
    return true;
}

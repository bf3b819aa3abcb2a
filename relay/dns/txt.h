/* TXT records of a name, gathered as the channel has them. Bytes only. */
#ifndef POSTERN_DNS_TXT_H
#define POSTERN_DNS_TXT_H

#include "../base/buffer.h"
#include "../channels/dns.h"
#include "cache.h"

/* Appends the record whose DATA is one character-string after the other (answer.h) to OUT: its length and the strings joined. One for which
 * there is no room is left out. */
void txt_add(struct buffer *out, struct span data);

/* Makes the channel's message of what is known. Returns how many bytes of it are to be sent. */
size_t txt_unpack(const struct found *found, uint64_t ticket, struct dns_txt *ret_txt);

#endif

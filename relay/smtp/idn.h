/* Internationalized domain names (RFC 5890, 5891): the ASCII form of a domain that is written in letters of the world. The only file
 * that knows libidn2. Bytes only. */
#ifndef POSTERN_SMTP_IDN_H
#define POSTERN_SMTP_IDN_H

#include "../base/span.h"
#include "limits.h"

/* DOMAIN as the DNS knows it: with A-labels ("xn--bcher-kva.example") for U-labels ("bücher.example"), whatever their capitals and however
 * their letters are composed. That is DOMAIN itself where it is ASCII, which costs a look at its bytes, and else lies in DEST, in lower case.
 * Empty where there is no such name: not UTF-8, a character that no name may hold, a label or name too long. */
struct span idn_ascii(struct span domain, char dest[SMTP_DOMAIN_SIZE]);

#endif

/* Base64 (RFC 4648 4), strict: as SASL, SCRAM verifiers and MIME need it. */
#ifndef POSTERN_BASE_BASE64_H
#define POSTERN_BASE_BASE64_H

#include "buffer.h"

/* Appends the base64 form of SPAN to OUT. False where OUT's maximum is reached. */
bool base64_encode(struct span span, struct buffer *out);

/* Appends the bytes that SPAN encodes to OUT. Only the standard alphabet, padding complete, no line ends, unused bits zero;
 * false, and nothing added, on anything else or where OUT's maximum is reached. */
bool base64_decode(struct span span, struct buffer *out);

#endif

/* The header of a message: go through its fields, find what submission must check or mend (RFC 5322, RFC 6409 8). Linear time
 * in all of it, whatever a hostile sender wrote. */
#ifndef POSTERN_MESSAGE_HEADER_H
#define POSTERN_MESSAGE_HEADER_H

#include "../base/buffer.h"
#include "../smtp/limits.h"

#define HEADER_SIZE_MAX (1024 * 1024) /* bytes of header: beyond, 552 5.3.4 */
#define HEADER_FROM_MAX 32            /* addresses of From that are checked; more is a refusal */

/* Where the header ends: the number of bytes up to and including the empty line, found from FROM on (0 at first; give the size
 * that was searched before, so that the search stays linear). 0 while the end has not been seen. A content that begins with
 * CRLF has an empty header of 2 bytes. */
size_t header_end(struct span content, size_t from);

/* One field: NAME as written, VALUE behind the colon with its folds, WHOLE with its final CRLF. */
struct header_field {
    struct span name;
    struct span value;
    struct span whole;
};

/* Takes the next field from the front of *REST (wire form: a line that begins with a dot starts no field).
 * False at the empty line, at the end, and at a line that is no field: *REST then begins there. "Name :" with white space
 * before the colon counts as a field of that name (as some receivers read it, espoofer a9). */
bool header_next(struct span *rest, struct header_field *ret_field);

/* What a pass over the header found. */
struct header_facts {
    bool malformed; /* a line that is no field, before the empty line */
    bool has_date;
    bool has_message_id;
    bool has_sender;                               /* a Sender field */
    bool space_before_colon;                       /* "From :", "Sender :", or white space before the first field */
    bool has_stripped;                             /* a field that header_strip removes: else the header may pass as it is */
    unsigned received;                             /* how many Received fields */
    unsigned from_fields;                          /* how many From fields, "From :" included */
    unsigned from_addresses;                       /* addresses in all of them; HEADER_FROM_MAX + 1 stands for more */
    char from[HEADER_FROM_MAX][SMTP_ADDRESS_SIZE]; /* in normal form */
    bool from_malformed;                           /* an address in From could not be read */
    char sender[SMTP_ADDRESS_SIZE];                /* of the Sender field; "" where unreadable */
    char message_id[256];                          /* of the first such field, unfolded, escaped, cut */
    char subject[256];                             /* the same: for evidence and lists */
};

/* Looks at HEADER (as header_end delimits it). */
void header_examine(struct span header, struct header_facts *ret_facts);

/* Appends HEADER without the fields that submission removes (Return-Path, Bcc, Resent-Bcc) to OUT. False where OUT is full. */
bool header_strip(struct span header, struct buffer *out);

/* Reads the addresses of an address-list (the value of From, folded or not; RFC 5322 3.4 with comments, quoted names, groups).
 * Calls back for each addr-spec in normal form until it returns false. False where the list is malformed; linear time, nesting
 * of comments at most 32 deep. */
bool header_addresses(struct span value, bool (*each)(void *context, const char *address), void *context);

/* The value of FIELD unfolded and trimmed into DEST of SIZE bytes, escaped (text_escape). True when all fitted. */
bool header_unfold(struct span value, char *dest, size_t size);

#endif

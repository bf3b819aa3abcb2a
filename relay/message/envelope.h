/* The envelope of a message: who sends it to whom, and where it came from. Its stored form stands in the spool's record.
 *
 * Stored form (all integers little-endian): a version byte, then fields of {u8 tag, u16 length, bytes}; one field each for
 * arrived, account, client, helo, sender, flags, envid (a text that is empty has none); one per recipient, in order, holding the
 * address and a NUL, notify as a byte, orcpt. Unknown tags are skipped, so that a later version may add some. The record's CRC
 * covers it. */
#ifndef POSTERN_MESSAGE_ENVELOPE_H
#define POSTERN_MESSAGE_ENVELOPE_H

#include "../base/buffer.h"
#include "../base/netaddr.h"
#include "../base/uid.h"
#include "../smtp/command.h"

#define ENVELOPE_RECIPIENTS_MAX 10000
#define ENVELOPE_ACCOUNT_SIZE   256
#define ENVELOPE_STORED_MAX     (8 * 1024 * 1024)

/* What an envelope says of itself. */
enum {
    ENVELOPE_8BIT = 1,     /* BODY=8BITMIME, or 8-bit content was seen */
    ENVELOPE_SMTPUTF8 = 2, /* MAIL FROM had SMTPUTF8 */
    ENVELOPE_REPORT = 4,   /* a notification that postern wrote itself */
    ENVELOPE_HELD = 8      /* policy holds it from the start */
};

struct envelope_recipient {
    char *address; /* normal form */
    char *orcpt;   /* or NULL */
    uint8_t notify;
};

struct envelope {
    struct uid id;
    int64_t arrived_ms;                  /* wall clock */
    char account[ENVELOPE_ACCOUNT_SIZE]; /* "" where nobody logged in */
    char client[NETADDR_TEXT_SIZE];      /* the client's address */
    char helo[SMTP_DOMAIN_SIZE];
    char sender[SMTP_ADDRESS_SIZE]; /* "" for the null sender */
    char envid[SMTP_ENVID_MAX + 1];
    enum command_ret ret;
    unsigned flags;
    struct envelope_recipient *recipients;
    size_t nrecipients;
    size_t recipients_capacity;
};

/* Makes ENVELOPE empty. */
void envelope_init(struct envelope *envelope);

/* Frees what ENVELOPE holds; it is empty and usable afterwards. */
void envelope_fini(struct envelope *envelope);

/* Adds a recipient. ORCPT may be "" or NULL. False at ENVELOPE_RECIPIENTS_MAX. */
bool envelope_add(struct envelope *envelope, const char *address, unsigned notify, const char *orcpt);

/* Appends the stored form to OUT. The id is not part of it: the record has it. False, and OUT as it was, where OUT is full or
 * where envelope_load would refuse it (a control byte in a text): then the message must not be accepted. */
bool envelope_store(const struct envelope *envelope, struct buffer *out);

/* Reads the stored form. False, and ENVELOPE empty, on anything malformed: that record is damaged. */
bool envelope_load(struct span stored, struct envelope *envelope);

#endif

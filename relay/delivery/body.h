/* A message as it lies in its segment: checked before anything is said of it, then sent as it lies (RFC 5321 4.5.2). */
#ifndef POSTERN_DELIVERY_BODY_H
#define POSTERN_DELIVERY_BODY_H

#include "../base/stream.h"
#include "../message/envelope.h"
#include "../spool/record.h"

#define BODY_WHOLE_MAX  (256u * 1024) /* a record up to this is read once and kept until it is sent */
#define BODY_BLOCK_SIZE (64u * 1024)  /* larger ones are read and sent in blocks of this size */

struct body {
    int fd; /* the segment of a large one, a double; else -1 */
    bool whole;
    bool prefix_sent;
    bool finished;     /* the final dot was written */
    bool ends_line;    /* what was written last ended in CRLF */
    uint64_t position; /* in the content, of a large message */
    struct record record;
    struct span prefix;  /* of a whole one, in `bytes` */
    struct span content; /* likewise */
    struct buffer bytes;
};

enum body_progress {
    BODY_MORE,     /* a block was written; call again when it has gone */
    BODY_FINISHED, /* all was written, with the final dot */
    BODY_BROKEN    /* the disk did not give what it gave before: the dot must never be sent */
};

/* An empty body in place. */
void body_init(struct body *body);

/* Frees what it holds, closes its descriptor, and makes it ready for the next message. */
void body_fini(struct body *body);

/* What body_load says where the disk fails, or FD is -1: nothing is known to be wrong with the message. */
extern const char body_unreadable[];

/* Reads the record at OFFSET of the segment FD (borrowed), checks that it is the message ID and every CRC of it, and
 * loads its envelope into *ENVELOPE (which was initialised). NULL, or what is wrong with it, in a few words. */
const char *body_load(struct body *body, int fd, uint64_t offset, struct uid id, struct envelope *envelope);

/* What was sent is to be sent once more, from its beginning. */
void body_rewind(struct body *body);

/* Bytes that will be sent, without the final dot. */
uint64_t body_size(const struct body *body);

/* Is there a byte above 127 in it? Reads all of it: for the rare server without 8BITMIME. True also where the disk fails. */
bool body_is_8bit(const struct body *body);

/* Writes the next part to STREAM: prefix, content, and "." CRLF in the end. */
enum body_progress body_send(struct body *body, struct stream *stream);

#endif

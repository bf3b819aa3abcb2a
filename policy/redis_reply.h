/* What a Redis server answers (RESP2), read with hiredis's reader and bounds of our own: the server's word is not taken for how much
 * memory an answer needs. Touches bytes only. */
#ifndef POSTERN_POLICY_REDIS_REPLY_H
#define POSTERN_POLICY_REDIS_REPLY_H

#include "../relay/base/span.h"

#include <hiredis/hiredis.h>
#include <stdint.h>

#define REDIS_REPLY_BYTES_MAX    ((size_t)4 << 20) /* of one answer */
#define REDIS_REPLY_ELEMENTS_MAX 65536             /* of all its arrays together */

struct redis_replies;

/* A reader at the beginning of a connection. */
struct redis_replies *redis_replies_new(void);

/* Frees *REPLIES and nulls it. NULL is fine. */
void redis_replies_free(struct redis_replies **replies);

enum redis_progress {
    REDIS_MORE, /* no whole answer yet */
    REDIS_DONE, /* *ret_reply is the next one; freeReplyObject it */
    REDIS_BAD   /* this is no Redis, or an answer is beyond the bounds: the connection is of no use any more */
};

/* Adds BYTES. False: as REDIS_BAD. */
bool redis_replies_feed(struct redis_replies *replies, struct span bytes);

/* The next answer that is whole. */
enum redis_progress redis_replies_next(struct redis_replies *replies, redisReply **ret_reply);

/* The text of REPLY (a string or a status), borrowed; an empty one with a NULL pointer where it is something else. REPLY may be NULL. */
struct span redis_reply_text(const redisReply *reply);

/* Is REPLY an error? Then its text is in WHY, printable, cut at SIZE. */
bool redis_reply_error(const redisReply *reply, char *why, size_t size);

#endif

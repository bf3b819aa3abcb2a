/* hiredis's reader grows as long as the server sends, and allocates an array by the number that the server announces, where lack of
 * memory ends the process. So the bytes of an answer and the elements of all its arrays are counted, and an answer beyond the bounds
 * breaks the connection. */
#include "redis_reply.h"

#include "../relay/base/text.h"

#include <stdlib.h>

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct redis_replies {
    redisReader *reader;
    redisReplyObjectFunctions functions; /* hiredis's own, but for arrays */
    void *(*array)(const redisReadTask *task, element_count elements);
    size_t bytes;    /* since the last whole answer */
    size_t elements; /* of the answer that is being read */
};

/* NULL makes hiredis give up. */
static void *bounded_array(const redisReadTask *task, element_count elements)
{
    struct redis_replies *replies = task->privdata;
    size_t count = (size_t)elements;
    if (count > REDIS_REPLY_ELEMENTS_MAX - replies->elements)
        return NULL;
    replies->elements += count;
    return replies->array(task, elements);
}

struct redis_replies *redis_replies_new(void)
{
    struct redis_replies *replies = text_zalloc(sizeof *replies);
    replies->reader = redisReaderCreate();
    if (!replies->reader)
        abort();
    replies->functions = *replies->reader->fn;
    replies->array = replies->functions.createArray;
    replies->functions.createArray = bounded_array;
    replies->reader->fn = &replies->functions;
    replies->reader->privdata = replies;
    return replies;
}

void redis_replies_free(struct redis_replies **replies)
{
    if (!*replies)
        return;
    redisReaderFree((*replies)->reader);
    free(*replies);
    *replies = NULL;
}

bool redis_replies_feed(struct redis_replies *replies, struct span bytes)
{
    if (bytes.n > REDIS_REPLY_BYTES_MAX - replies->bytes)
        return false;
    replies->bytes += bytes.n;
    return redisReaderFeed(replies->reader, bytes.p, bytes.n) == REDIS_OK;
}

enum redis_progress redis_replies_next(struct redis_replies *replies, redisReply **ret_reply)
{
    void *reply = NULL;
    if (redisReaderGetReply(replies->reader, &reply) != REDIS_OK)
        return REDIS_BAD;
    if (!reply)
        return REDIS_MORE;
    replies->elements = 0;
    replies->bytes = replies->reader->len - replies->reader->pos;
    *ret_reply = reply;
    return REDIS_DONE;
}

struct span redis_reply_text(const redisReply *reply)
{
    bool is_text = reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
    return is_text ? span_make(reply->str, (size_t)reply->len) : span_make(NULL, 0);
}

bool redis_reply_error(const redisReply *reply, char *why, size_t size)
{
    if (!reply || reply->type != REDIS_REPLY_ERROR)
        return false;
    text_escape(why, size, span_make(reply->str, (size_t)reply->len));
    return true;
}

/* Questions to the configured name servers: c-ares behind three calls. The only file that knows c-ares. */
#ifndef POSTERN_DNS_RESOLVE_H
#define POSTERN_DNS_RESOLVE_H

#include "../base/loop.h"
#include "../channels/dns.h"
#include "../conf/conf.h"
#include "answer.h"

#define RESOLVE_FLIGHT_MAX 400 /* questions at the servers at one time; the others wait in line */
#define RESOLVE_BURST_MAX                                                                                                        \
    150 /* of them, sent a moment ago: the socket of a name server holds some 200, and loses what is beyond */
#define RESOLVE_WAIT_MS 30000 /* a question that did not get its turn in this time is answered DNS_TIMEOUT */

#define RESOLVE_LINES                                                                                                            \
    9 /* lines of questions, which take turns; each may have as many in flight as it leaves free for the others */

struct resolve;

/* What came of a question. DNS_OK: ANSWER has the bytes of a message (for answer_read; it may still say that there is nothing),
 * valid until the callback returns, in which AD (RFC 4035 3.2.3) is set only where the servers are believed. Otherwise a temporary status and
 * no bytes. */
typedef void (*resolve_done)(void *context, enum dns_status status, struct span answer);

/* Makes the channels to the servers of SETTINGS, or of /etc/resolv.conf where it names none. Reads files: only before the sandbox
 * closes. NULL, with a log line, where that fails; servers that do not answer are no failure. */
struct resolve *resolve_new(struct loop *loop, const struct conf_dns *settings);

/* Drops all questions without a word, frees *RESOLVE and nulls it. NULL is fine. */
void resolve_free(struct resolve **resolve);

/* Goes over to the servers of SETTINGS, or of the /etc/resolv.conf read at the start. What is in flight is asked again there.
 * timeout and tries are fixed when the process starts; a log line says so where they differ. True where the servers are believed now that an
 * answer is signed and were not before, or the other way round: what they answered before does not count then. */
bool resolve_settings(struct resolve *resolve, const struct conf_dns *settings);

/* Asks for the records of TYPE of NAME (in normal form), behind the others in LINE, which is below RESOLVE_LINES. DONE is called once,
 * maybe from within this call. */
void resolve_query(struct resolve *resolve, unsigned line, const char *name, enum answer_type type, resolve_done done,
                   void *context);

/* Questions that wait or are in flight. */
size_t resolve_pending(const struct resolve *resolve);

#endif

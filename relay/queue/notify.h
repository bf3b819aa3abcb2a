/* Reports to senders: bounces, warnings of delay, and that a message was handed on; stored like any message, one for all recipients that failed at the same time. */
#ifndef POSTERN_QUEUE_NOTIFY_H
#define POSTERN_QUEUE_NOTIFY_H

#include "cause.h"
#include "entry.h"
#include "report.h"

/* Reports that are being written at the same time; further ones wait. */
#define NOTIFY_RUNNING_MAX 32

struct notice;

/* A notice of KIND about ENTRY after ATTEMPT attempts, of recipients to be added. */
struct notice *notice_new(struct entry *entry, unsigned attempt, enum report_kind kind);

/* Adds RECIPIENT and why (CAUSE, kept; shared). */
void notice_add(struct notice *notice, uint32_t recipient, struct cause *cause);

/* Sends NOTICE, which is owned from here on. For a bounce, each recipient is settled (settle_bounced, entry_settle) when its report is
 * durable, or at once where none is due: null sender, NOTIFY without FAILURE. An empty notice is dropped. ENTRY may be gone
 * afterwards. */
void notify_send(struct queue *queue, struct notice *notice);

/* No report in the making yet. */
struct notify *notify_new(void);

/* Drops the reports that are not durable yet: their recipients are without an outcome, and the next process reports on them anew. Frees
 * *NOTIFY and nulls it. NULL is fine. */
void notify_free(struct notify **notify);

/* How many reports are being written. */
unsigned notify_running(const struct queue *queue);

#endif

/* Channels between roles: typed messages of fixed size over SOCK_SEQPACKET, with a descriptor where the type says so.
 *
 * A channel is described by a table of kinds, made from one list in relay/channels (see ipc_kind). Whatever arrives that the
 * table does not allow (unknown type, wrong side, wrong size, a descriptor too many or missing) ends the channel: the other
 * side is broken or hostile, and its parent starts it again. A peer that has gone is told once through `closed`; everything
 * in flight is then unanswered.
 *
 * Sending never blocks. What the socket does not take is kept, in order, up to IPC_BACKLOG_MAX messages; beyond that
 * ipc_send returns false and the sender answers with what it does when that peer is away. */
#ifndef POSTERN_BASE_IPC_H
#define POSTERN_BASE_IPC_H

#include "loop.h"

#include <stddef.h>
#include <stdint.h>

#define IPC_MESSAGE_MAX 65536
#define IPC_BACKLOG_MAX 65536

/* Which side of a channel sends a message: FRONT asks, BACK serves. */
enum ipc_side { IPC_FRONT, IPC_BACK };

struct ipc_kind {
    const char *name;
    enum ipc_side from;
    size_t size_min; /* bytes of body at least: less than `size` where the struct ends in an array that is sent in part */
    size_t size;     /* sizeof the body's struct */
    bool with_fd;    /* carries a descriptor, always */
};

struct ipc_channel {
    const char *name;
    const struct ipc_kind *kinds; /* indexed by message type */
    unsigned nkinds;
    bool secret; /* passwords pass: each message is wiped from this process's buffers once it was handled or sent */
};

/* For the lists in relay/channels. A list is a macro LIST(X) of rows X(NAME, from, struct, least size, with_fd); the least size is
 * IPC_WHOLE(struct), or IPC_PART(struct, member) where the struct ends in an array `member` that is sent in part. IPC_ENUM makes
 * the message types of it, IPC_KIND a row of the table:
 *
 *     enum dns_message { IPC_ENUM(DNS_MESSAGES) DNS_COUNT };
 *     static const struct ipc_kind kinds[] = { DNS_MESSAGES(IPC_KIND) };
 */
#define IPC_WHOLE(type)                                sizeof(type)
#define IPC_PART(type, tail)                           offsetof(type, tail)
#define IPC_ENUM_ROW(name, from, type, least, with_fd) name,
#define IPC_ENUM(list)                                 list(IPC_ENUM_ROW)
#define IPC_KIND(name, from, type, least, with_fd)     { #name, from, least, sizeof(type), with_fd },

struct ipc;

/* TYPE is an index into the channel's table, BODY its struct (SIZE bytes were sent; the rest of a struct that was sent in
 * part reads as zero), FD the descriptor that came along (the callee's to close) or -1, which it also is where
 * this process has no room for another descriptor: what the type was to bring is then lacking, and the callee does without. */
typedef void (*ipc_handler)(void *context, unsigned type, const void *body, size_t size, int fd);

/* One end of a channel over the socket FD, which it owns from here on. RECEIVED gets each message; CLOSED (may be NULL) is
 * called once when the other side has gone or broke the rules, after which the caller frees it. Either may call ipc_free. */
struct ipc *ipc_new(struct loop *loop, int fd, const struct ipc_channel *channel, enum ipc_side side, ipc_handler received,
                    void (*closed)(void *context), void *context);

/* Closes the socket, frees *IPC and nulls it. NULL is fine. */
void ipc_free(struct ipc **ipc);

/* Sends a message of TYPE: SIZE bytes of BODY, and the descriptor FD where the type carries one (-1 otherwise; it is
 * duplicated by the kernel, the caller keeps its own). False where the peer has gone or the backlog is full. An undeclared
 * type, side or size is a bug and stops the process. A NULL ipc is a peer that has gone. */
bool ipc_send(struct ipc *ipc, unsigned type, const void *body, size_t size, int fd);

/* The same for a message without a descriptor, that need not be on its way before the loop rests (loop_soon): all that is sent so until
 * then goes together, in the order of the calls and before what ipc_send sends later. False as ipc_send; a peer that goes meanwhile is
 * told of by `closed`. On a channel of secrets it is ipc_send. */
bool ipc_send_soon(struct ipc *ipc, unsigned type, const void *body, size_t size);

/* How many messages wait to be sent: since the other side does not read, or for the loop. */
size_t ipc_backlog(const struct ipc *ipc);

/* Two connected sockets for a channel, non-blocking, close-on-exec. False where the kernel gives none (errno). */
bool ipc_pair(int fds[2]);

#endif

/* A packet is a header {type, size} and the body. SOCK_SEQPACKET keeps packets whole and in order and tells when the other side
 * has closed. The receive buffer is one per process: a handler gets the body where it was received, followed by zeros up to the
 * struct's size. A handler may free its own channel: `ipc->freed` points to a flag on the reading frame's stack.
 *
 * The zeros are promised across channels: what a broken peer sent stays in the buffer, and must not show behind the short message of
 * another one. Hence `dirty` counts from the moment of reading, and not only for packets that were found good. */
#include "ipc.h"

#include "list.h"
#include "log.h"
#include "text.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IPC_ROUND_MAX     256     /* packets read before others get their turn */
#define IPC_SOCKET_BUFFER 1048576 /* asked of the kernel for each end */

struct packet_header {
    uint32_t type;
    uint32_t size;
};

/* A packet that the socket did not take yet. */
struct waiting {
    struct list node;
    int fd;
    size_t size;
    char bytes[];
};

struct ipc {
    struct loop *loop;
    struct watch watch;
    int fd;
    const struct ipc_channel *channel;
    enum ipc_side side;
    ipc_handler received;
    void (*closed)(void *context);
    void *context;
    struct list backlog;
    size_t nbacklog;
    bool gone;
    bool *freed;
};

static void ready(void *context, int fd, unsigned what);

struct ipc *ipc_new(struct loop *loop, int fd, const struct ipc_channel *channel, enum ipc_side side, ipc_handler received,
                    void (*closed)(void *context), void *context)
{
    struct ipc *ipc = text_zalloc(sizeof *ipc);
    *ipc = (struct ipc){ .loop = loop, .fd = fd, .channel = channel, .side = side, .received = received, .closed = closed };
    ipc->context = context;
    list_init(&ipc->backlog);
    watch_set(&ipc->watch, loop, fd, WATCH_READ, ready, ipc);
    return ipc;
}

static void drop_first(struct ipc *ipc)
{
    struct waiting *waiting = LIST_ENTRY(ipc->backlog.next, struct waiting, node);
    list_remove(&waiting->node);
    if (waiting->fd >= 0)
        close(waiting->fd);
    if (ipc->channel->secret)
        OPENSSL_cleanse(waiting->bytes, waiting->size);
    free(waiting);
    ipc->nbacklog--;
}

void ipc_free(struct ipc **ipc)
{
    if (!*ipc)
        return;
    if ((*ipc)->freed)
        *(*ipc)->freed = true;
    watch_fini(&(*ipc)->watch);
    close((*ipc)->fd);
    while ((*ipc)->nbacklog)
        drop_first(*ipc);
    free(*ipc);
    *ipc = NULL;
}

/* Tells once that the peer has gone; may free IPC. */
static void end(struct ipc *ipc)
{
    if (ipc->gone)
        return;
    ipc->gone = true;
    watch_want(&ipc->watch, 0);
    if (ipc->closed)
        ipc->closed(ipc->context);
}

enum sent { SENT, SENT_LATER, SENT_NEVER };

/* Will a send that failed for WHY do later? */
static bool is_passing(int why)
{
    return why == EAGAIN || why == EWOULDBLOCK || why == ENOBUFS || why == ENOMEM || why == ETOOMANYREFS;
}

static enum sent send_packet(int socket, struct iovec *parts, size_t nparts, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = { 0 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = nparts };
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return SENT;
    return is_passing(errno) ? SENT_LATER : SENT_NEVER;
}

static bool keep(struct ipc *ipc, struct packet_header header, const void *body, int fd)
{
    if (ipc->nbacklog >= IPC_BACKLOG_MAX)
        return false;
    struct waiting *waiting = text_zalloc(sizeof *waiting + sizeof header + header.size);
    waiting->size = sizeof header + header.size;
    waiting->fd = fd >= 0 ? dup(fd) : -1;
    if (fd >= 0 && waiting->fd < 0) {
        free(waiting);
        return false;
    }
    memcpy(waiting->bytes, &header, sizeof header);
    if (header.size)
        memcpy(waiting->bytes + sizeof header, body, header.size);
    list_append(&ipc->backlog, &waiting->node);
    ipc->nbacklog++;
    watch_want(&ipc->watch, WATCH_READ | WATCH_WRITE);
    return true;
}

bool ipc_send(struct ipc *ipc, unsigned type, const void *body, size_t size, int fd)
{
    if (!ipc || ipc->gone)
        return false;
    assert(type < ipc->channel->nkinds);
    const struct ipc_kind *kind = &ipc->channel->kinds[type];
    assert(kind->from == ipc->side && size >= kind->size_min && size <= kind->size && kind->with_fd == (fd >= 0));
    struct packet_header header = { type, (uint32_t)size };
    if (ipc->nbacklog)
        return keep(ipc, header, body, fd);
    struct iovec parts[2] = { { &header, sizeof header }, { (void *)(uintptr_t)body, size } };
    switch (send_packet(ipc->fd, parts, 2, fd)) {
    case SENT:
        return true;
    case SENT_LATER:
        return keep(ipc, header, body, fd);
    case SENT_NEVER:
        break;
    }
    return false; /* the reading side notices the end in its own time, so that no callback comes from within a send */
}

size_t ipc_backlog(const struct ipc *ipc)
{
    return ipc ? ipc->nbacklog : 0;
}

static void send_backlog(struct ipc *ipc)
{
    while (ipc->nbacklog) {
        struct waiting *waiting = LIST_ENTRY(ipc->backlog.next, struct waiting, node);
        struct iovec part = { waiting->bytes, waiting->size };
        if (send_packet(ipc->fd, &part, 1, waiting->fd) == SENT_LATER)
            return;
        drop_first(ipc);
    }
    watch_want(&ipc->watch, WATCH_READ);
}

/* The descriptor that came with MESSAGE, or -1; *ret_count is how many came. All but the first are closed. */
static int take_descriptor(struct msghdr *message, unsigned *ret_count)
{
    int first = -1;
    *ret_count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if ((*ret_count)++ == 0)
                first = fd;
            else
                close(fd);
        }
    }
    return first;
}

/* Does a packet of N bytes in all with NFDS descriptors keep to the channel's table? MSG_CTRUNC and no descriptor at all: this process
 * has none left to take it with, which is no fault of the peer. */
static const char *check(const struct ipc *ipc, const struct packet_header *header, size_t n, unsigned nfds, int flags)
{
    if (n < sizeof *header || flags & MSG_TRUNC)
        return "a packet of the wrong size";
    if (header->type >= ipc->channel->nkinds)
        return "a type that is not declared";
    const struct ipc_kind *kind = &ipc->channel->kinds[header->type];
    if (kind->from == ipc->side)
        return "a message of the wrong side";
    if (header->size != n - sizeof *header || header->size < kind->size_min || header->size > kind->size)
        return "a body of the wrong size";
    if (nfds != (kind->with_fd ? 1u : 0u) && !(kind->with_fd && !nfds && flags & MSG_CTRUNC))
        return "a wrong number of descriptors";
    return NULL;
}

/* Hands a packet that keeps to the table on. False where IPC has ended or was freed. */
static bool hand_on(struct ipc *ipc, unsigned type, const void *body, size_t size, int fd)
{
    bool freed = false;
    ipc->freed = &freed;
    ipc->received(ipc->context, type, body, size, fd);
    if (freed)
        return false;
    ipc->freed = NULL;
    return !ipc->gone;
}

/* Reads and handles one packet. False when there is none, or IPC has ended or was freed. */
static bool receive(struct ipc *ipc)
{
    static union {
        struct packet_header header;
        max_align_t align;
        char bytes[sizeof(struct packet_header) + 8 + IPC_MESSAGE_MAX];
    } packet;
    static size_t dirty; /* bytes of the body's place that may not be zero */
    bool secret = ipc->channel->secret;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    char *body = packet.bytes + 16; /* aligned for any struct */
    struct packet_header header = { 0, 0 };
    struct iovec parts[2] = { { &header, sizeof header }, { body, IPC_MESSAGE_MAX - 16 } };
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    ssize_t n;
    /* ECONNRESET, once: the peer ended and left something unread. What it had sent before is there all the same. */
    do
        n = recvmsg(ipc->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        end(ipc);
        return false;
    }
    size_t size = (size_t)n > sizeof header ? (size_t)n - sizeof header : 0;
    dirty = dirty > size ? dirty : size;
    unsigned nfds;
    int fd = take_descriptor(&message, &nfds);
    const char *wrong = check(ipc, &header, (size_t)n, nfds, message.msg_flags);
    if (wrong) {
        if (fd >= 0)
            close(fd);
        log_say(LOG_ERROR, "error", "channel %s: the peer sent %s; the channel is closed", ipc->channel->name, wrong);
        end(ipc);
        return false;
    }
    memset(body + size, 0, dirty - size);
    dirty = size;
    bool goes_on = hand_on(ipc, header.type, body, size, fd);
    if (secret) {
        OPENSSL_cleanse(body, size);
        dirty = 0;
    }
    return goes_on;
}

static void ready(void *context, int fd, unsigned what)
{
    struct ipc *ipc = context;
    (void)fd;
    if (what & WATCH_WRITE)
        send_backlog(ipc);
    if (!(what & WATCH_READ))
        return;
    for (unsigned i = 0; i < IPC_ROUND_MAX; i++)
        if (!receive(ipc))
            return;
}

bool ipc_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return false;
    int size = IPC_SOCKET_BUFFER;
    for (unsigned i = 0; i < 2; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return true;
}

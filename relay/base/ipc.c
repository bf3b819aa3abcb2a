/* A packet is one message or several, each a header {type, size} and its body, padded where another one follows. SOCK_SEQPACKET keeps
 * packets whole and in order and tells when the other side has closed. A packet is received and checked as a whole, then each
 * message is copied to where its handler gets it, followed by zeros up to the struct's size; both places are one per process. A
 * handler may free its own channel: `ipc->freed` points to a flag on the reading frame's stack.
 *
 * What is to be sent soon is gathered until the loop would rest, or has been busy for a moment (loop_soon): a process that has questions of
 * many sessions wakes its peer once then, with one system call on each side.
 *
 * The zeros are promised across channels: what one message left in its place must not show behind a shorter one of another peer.
 * Hence `dirty`. */
#include "ipc.h"

#include "buffer.h"
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
#define IPC_GATHER_MAX    16384   /* bytes of messages that are sent together */
#define IPC_ALIGNMENT     8       /* of each message in a packet */

struct packet_header {
    uint32_t type;
    uint32_t size;
};

/* A packet that the socket did not take yet. */
struct waiting {
    struct list node;
    int fd;
    size_t messages;
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
    size_t nbacklog; /* messages in it */
    struct buffer gathered;
    size_t ngathered;
    struct chore chore; /* to send it */
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
    buffer_init(&ipc->gathered, IPC_GATHER_MAX);
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
    ipc->nbacklog -= waiting->messages;
    free(waiting);
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

/* Keeps a packet of so many MESSAGES for when the socket takes it. */
static bool keep(struct ipc *ipc, const struct iovec *parts, size_t nparts, size_t messages, int fd)
{
    size_t size = 0;
    for (size_t i = 0; i < nparts; i++)
        size += parts[i].iov_len;
    if (ipc->nbacklog + messages > IPC_BACKLOG_MAX)
        return false;
    struct waiting *waiting = text_zalloc(sizeof *waiting + size);
    waiting->messages = messages;
    waiting->fd = fd >= 0 ? dup(fd) : -1;
    if (fd >= 0 && waiting->fd < 0) {
        free(waiting);
        return false;
    }
    for (size_t i = 0; i < nparts; i++) {
        if (parts[i].iov_len)
            memcpy(waiting->bytes + waiting->size, parts[i].iov_base, parts[i].iov_len);
        waiting->size += parts[i].iov_len;
    }
    list_append(&ipc->backlog, &waiting->node);
    ipc->nbacklog += messages;
    watch_want(&ipc->watch, WATCH_READ | WATCH_WRITE);
    return true;
}

/* Sends a packet, or keeps it. Where the peer has gone the reading side notices in its own time, so that no callback comes from within
 * a send. */
static bool send_or_keep(struct ipc *ipc, struct iovec *parts, size_t nparts, size_t messages, int fd)
{
    enum sent sent = ipc->nbacklog ? SENT_LATER : send_packet(ipc->fd, parts, nparts, fd);
    return sent == SENT || (sent == SENT_LATER && keep(ipc, parts, nparts, messages, fd));
}

static void send_gathered(struct ipc *ipc)
{
    chore_drop(&ipc->chore);
    struct span bytes = buffer_span(&ipc->gathered);
    struct iovec part = { (void *)(uintptr_t)bytes.p, bytes.n };
    if (!ipc->ngathered)
        return;
    if (!ipc->gone)
        send_or_keep(ipc, &part, 1, ipc->ngathered, -1);
    buffer_clear(&ipc->gathered);
    ipc->ngathered = 0;
}

static void gather_ends(void *context)
{
    send_gathered(context);
}

static void assert_declared(const struct ipc *ipc, unsigned type, size_t size, bool with_fd)
{
    assert(type < ipc->channel->nkinds);
    const struct ipc_kind *kind = &ipc->channel->kinds[type];
    assert(kind->from == ipc->side && size >= kind->size_min && size <= kind->size && kind->with_fd == with_fd);
    (void)kind;
    (void)size;
    (void)with_fd;
}

bool ipc_send(struct ipc *ipc, unsigned type, const void *body, size_t size, int fd)
{
    if (!ipc || ipc->gone)
        return false;
    assert_declared(ipc, type, size, fd >= 0);
    send_gathered(ipc);
    struct packet_header header = { type, (uint32_t)size };
    struct iovec parts[2] = { { &header, sizeof header }, { (void *)(uintptr_t)body, size } };
    return send_or_keep(ipc, parts, 2, 1, fd);
}

static size_t padded(size_t size)
{
    return (size + IPC_ALIGNMENT - 1) / IPC_ALIGNMENT * IPC_ALIGNMENT;
}

bool ipc_send_soon(struct ipc *ipc, unsigned type, const void *body, size_t size)
{
    static const char padding[IPC_ALIGNMENT];
    struct packet_header header = { type, (uint32_t)size };
    size_t room = IPC_ALIGNMENT + sizeof header + size;
    if (!ipc || ipc->gone || ipc->channel->secret || ipc->nbacklog || room > IPC_GATHER_MAX)
        return ipc_send(ipc, type, body, size, -1);
    assert_declared(ipc, type, size, false);
    size_t already = buffer_size(&ipc->gathered);
    if (already + room > IPC_GATHER_MAX)
        send_gathered(ipc);
    else
        buffer_add(&ipc->gathered, span_make(padding, padded(already) - already));
    if (!ipc->ngathered++)
        loop_soon(ipc->loop, &ipc->chore, gather_ends, ipc);
    buffer_add(&ipc->gathered, span_make((const char *)&header, sizeof header));
    buffer_add(&ipc->gathered, span_make(body, size));
    return true;
}

void ipc_free(struct ipc **ipc)
{
    if (!*ipc)
        return;
    if ((*ipc)->freed)
        *(*ipc)->freed = true;
    send_gathered(*ipc);
    watch_fini(&(*ipc)->watch);
    close((*ipc)->fd);
    while ((*ipc)->nbacklog)
        drop_first(*ipc);
    buffer_fini(&(*ipc)->gathered);
    free(*ipc);
    *ipc = NULL;
}

size_t ipc_backlog(const struct ipc *ipc)
{
    return ipc ? ipc->nbacklog + ipc->ngathered : 0;
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

/* What came in one packet. */
struct packet {
    struct span bytes; /* of messages */
    unsigned nfds;
    int fd;    /* -1: none */
    int flags; /* of recvmsg */
};

/* Takes the next message's header and body off *BYTES, and the padding where another one follows. */
static bool next_message(struct span *bytes, struct packet_header *header, struct span *body)
{
    if (bytes->n < sizeof *header)
        return false;
    memcpy(header, bytes->p, sizeof *header);
    *body = span_head(span_skip(*bytes, sizeof *header), header->size);
    size_t whole = sizeof *header + body->n;
    if (body->n != header->size || (whole < bytes->n && padded(whole) >= bytes->n))
        return false;
    *bytes = span_skip(*bytes, whole < bytes->n ? padded(whole) : whole);
    return true;
}

/* Does PACKET keep to the channel's table? MSG_CTRUNC and no descriptor at all: this process has none left to take it with, which is no
 * fault of the peer. */
static const char *check(const struct ipc *ipc, const struct packet *packet)
{
    struct span rest = packet->bytes, body;
    struct packet_header header;
    unsigned with_fd = 0, messages = 0;
    do {
        if (packet->flags & MSG_TRUNC || rest.n < sizeof header)
            return "a packet of the wrong size";
        if (!next_message(&rest, &header, &body))
            return "a body of the wrong size";
        if (header.type >= ipc->channel->nkinds)
            return "a type that is not declared";
        const struct ipc_kind *kind = &ipc->channel->kinds[header.type];
        if (kind->from == ipc->side)
            return "a message of the wrong side";
        if (body.n < kind->size_min || body.n > kind->size)
            return "a body of the wrong size";
        with_fd += kind->with_fd;
        messages++;
    } while (rest.n);
    if (with_fd && messages > 1)
        return "a descriptor among several messages";
    if (packet->nfds != with_fd && !(with_fd && !packet->nfds && packet->flags & MSG_CTRUNC))
        return "a wrong number of descriptors";
    return NULL;
}

/* Hands a message that keeps to the table on. False where IPC has ended or was freed. */
static bool hand_on(struct ipc *ipc, unsigned type, struct span body, int fd)
{
    static union {
        max_align_t align;
        char bytes[IPC_MESSAGE_MAX];
    } place;
    static size_t dirty; /* bytes of it that may not be zero */
    bool freed = false, secret = ipc->channel->secret;
    if (body.n)
        memcpy(place.bytes, body.p, body.n);
    if (dirty > body.n)
        memset(place.bytes + body.n, 0, dirty - body.n);
    dirty = body.n;
    ipc->freed = &freed;
    ipc->received(ipc->context, type, place.bytes, body.n, fd);
    if (secret) {
        OPENSSL_cleanse(place.bytes, body.n);
        dirty = 0;
    }
    if (freed)
        return false;
    ipc->freed = NULL;
    return !ipc->gone;
}

/* Handles what came. False where IPC has ended or was freed. */
static bool handle(struct ipc *ipc, struct packet packet)
{
    struct packet_header header;
    struct span body;
    bool goes_on = true;
    const char *wrong = check(ipc, &packet);
    if (wrong) {
        if (packet.fd >= 0)
            close(packet.fd);
        log_say(LOG_ERROR, "error", "channel %s: the peer sent %s; the channel is closed", ipc->channel->name, wrong);
        end(ipc);
        return false;
    }
    while (goes_on && packet.bytes.n && next_message(&packet.bytes, &header, &body))
        goes_on = hand_on(ipc, header.type, body, packet.fd);
    return goes_on;
}

/* Reads and handles one packet. False when there is none, or IPC has ended or was freed. */
static bool receive(struct ipc *ipc)
{
    static char bytes[sizeof(struct packet_header) + IPC_MESSAGE_MAX];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec part = { bytes, sizeof bytes };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    bool secret = ipc->channel->secret;
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
    struct packet packet = { .bytes = span_make(bytes, (size_t)n), .flags = message.msg_flags };
    packet.fd = take_descriptor(&message, &packet.nfds);
    bool goes_on = handle(ipc, packet);
    if (secret)
        OPENSSL_cleanse(bytes, (size_t)n);
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

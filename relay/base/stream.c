/* One watch and one timer a stream. Output is gathered while a callback runs and sent when it returns, in one write; a stream_write
 * from elsewhere activates the watch by hand, so that it costs no system call to send it from the loop. Reads go through one
 * scratch buffer of the process and only what arrived is kept, so that an idle stream holds no memory for input.
 *
 * A callback may free its own stream: every call out goes through call_out(), whose frame holds the flag that stream_free sets.
 *
 * One SSL_read goes on as long as there are records, and returns only with data: key updates, tickets or requests for another handshake
 * that come faster than they are read would keep the whole process in it. So TLS may read the socket once in a turn (wire.h), and behind
 * too many records without data the stream ends. */
#include "stream.h"

#include "buffer.h"
#include "list.h"
#include "text.h"
#include "wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_READ_SIZE    65536              /* of one read */
#define STREAM_WIRE_MAX     65536              /* no more is encrypted ahead of the socket */
#define STREAM_DISCARD_MAX  (16 * 1024 * 1024) /* a lingering stream throws away no more */
#define STREAM_DRAIN_ROUNDS 64                 /* `drained` in a row before others get their turn */
#define STREAM_RECORDS_MAX  64 /* of TLS in a row without data; a handshake has some ten, two to four tickets follow it */

/* Streams that nobody holds any more but that still send their last words. */
static struct list lingering = { &lingering, &lingering };

struct stream {
    struct loop *loop;
    struct list node; /* in `lingering` */
    struct watch watch;
    struct timer deadline;
    int fd;
    SSL *ssl;
    size_t input_max;
    struct buffer input;
    struct buffer output; /* from the owner, in clear */
    struct wire wire;     /* and what TLS has made of it */
    const struct stream_events *events;
    void *context;
    bool *freed;
    bool connecting;
    bool tls_waits; /* handshake begins once the output in clear has gone */
    bool handshaking;
    bool tls_done;
    unsigned records; /* of TLS since the last data */
    bool flooded;     /* they were too many */
    bool paused;
    bool deaf;        /* paused, and input came: the watch for it is taken away */
    bool again;       /* `readable` is due although nothing new was read */
    bool write_again; /* output waits for the loop's next round */
    bool blocked;     /* the socket takes no more for now */
    bool in_callback;
    bool finishing;
    bool tls_shut; /* finishing: TLS has said so */
    bool shut;     /* finishing: our end has been sent */
    bool broken;
    size_t discarded;
    char problem[96];
};

static char scratch[STREAM_READ_SIZE];

static void ready(void *context, int fd, unsigned what);
static bool pump_output(struct stream *stream);

/* Sets what the watch waits for, by the state. */
static void rewatch(struct stream *stream)
{
    unsigned wanted = 0;
    if (stream->connecting)
        wanted = WATCH_WRITE;
    else if (stream->finishing)
        wanted = stream->blocked ? WATCH_WRITE : WATCH_READ;
    else {
        if (!stream->deaf && buffer_size(&stream->input) < stream->input_max)
            wanted |= WATCH_READ;
        if (stream->blocked)
            wanted |= WATCH_WRITE;
    }
    watch_want(&stream->watch, wanted);
}

/* Makes the loop call ready() in its next round. */
static void kick(struct stream *stream)
{
    if (!stream->connecting)
        watch_kick(&stream->watch);
}

/* Calls CALL, then sends what it wrote. False where the stream was freed meanwhile. */
static bool call_out(struct stream *stream, void (*call)(void *context))
{
    bool freed = false, *outer = stream->freed;
    if (!call)
        return true;
    stream->freed = &freed;
    stream->in_callback = true;
    call(stream->context);
    if (freed) {
        if (outer)
            *outer = true;
        return false;
    }
    stream->in_callback = false;
    stream->freed = outer;
    return true;
}

static void destroy(struct stream *stream)
{
    if (stream->freed)
        *stream->freed = true;
    list_remove(&stream->node);
    watch_fini(&stream->watch);
    timer_fini(&stream->deadline);
    SSL_free(stream->ssl);
    close(stream->fd);
    buffer_wipe(&stream->input);
    buffer_wipe(&stream->output);
    buffer_fini(&stream->wire.output);
    free(stream);
}

/* The end: tells the owner once. False where the stream was freed. */
static bool end(struct stream *stream, enum stream_end why)
{
    bool freed = false, *outer = stream->freed;
    if (stream->finishing) {
        destroy(stream);
        return false;
    }
    if (stream->broken)
        return true;
    stream->broken = true;
    why = stream->flooded ? STREAM_FLOODED : why;
    watch_want(&stream->watch, 0);
    timer_stop(&stream->deadline);
    stream->freed = &freed;
    stream->events->ended(stream->context, why);
    if (freed) {
        if (outer)
            *outer = true;
        return false;
    }
    stream->freed = outer;
    return true;
}

static void note_errno(struct stream *stream, const char *what)
{
    text_format(stream->problem, sizeof stream->problem, "%s: %s", what, strerror(errno));
}

/* What TLS says of its failure: the certificate's trouble first, else the library's reason. */
static void note_tls(struct stream *stream)
{
    long verify = SSL_get_verify_result(stream->ssl);
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    if (verify != X509_V_OK)
        text_format(stream->problem, sizeof stream->problem, "certificate: %s", X509_verify_cert_error_string(verify));
    else
        text_format(stream->problem, sizeof stream->problem, "TLS: %s", reason ? reason : "the connection was closed");
}

enum io { IO_DONE, IO_AGAIN, IO_END, IO_ERROR };

/* Sorts the result N of an SSL_ call. It never wants to write: the wire takes all. */
static enum io tls_result(struct stream *stream, int n)
{
    int error = SSL_get_error(stream->ssl, n);
    if (stream->flooded) {
        text_copy(stream->problem, sizeof stream->problem, SPAN("too many TLS records that carry no data"));
        return IO_ERROR;
    }
    if (error == SSL_ERROR_WANT_READ)
        return IO_AGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return IO_END;
    if (error == SSL_ERROR_SYSCALL && errno != 0)
        note_errno(stream, "connection");
    else
        note_tls(stream);
    return IO_ERROR;
}

/* Reads up to SIZE bytes into scratch; *ret_n is what came. */
static enum io read_some(struct stream *stream, size_t size, size_t *ret_n)
{
    if (!stream->ssl || !stream->tls_done) {
        ssize_t n = read(stream->fd, scratch, size);
        if (n > 0) {
            *ret_n = (size_t)n;
            return IO_DONE;
        }
        if (n == 0)
            return IO_END;
        if (errno == EAGAIN || errno == EINTR)
            return IO_AGAIN;
        note_errno(stream, "connection");
        return IO_ERROR;
    }
    ERR_clear_error();
    errno = 0;
    int n = SSL_read(stream->ssl, scratch, (int)size);
    if (n > 0) {
        stream->records = 0;
        *ret_n = (size_t)n;
        return IO_DONE;
    }
    return tls_result(stream, n);
}

/* What waits to be sent, encrypted or not. */
static bool unsent(const struct stream *stream)
{
    return buffer_size(&stream->output) || buffer_size(&stream->wire.output);
}

/* Puts into the wire what there is to encrypt, up to its limit. False where TLS cannot go on. */
static bool encrypt(struct stream *stream)
{
    while (buffer_size(&stream->output) && buffer_size(&stream->wire.output) < STREAM_WIRE_MAX) {
        struct span bytes = buffer_span(&stream->output);
        ERR_clear_error();
        errno = 0;
        int n = SSL_write(stream->ssl, bytes.p, bytes.n > STREAM_WIRE_MAX ? STREAM_WIRE_MAX : (int)bytes.n);
        if (n <= 0)
            return tls_result(stream, n) == IO_AGAIN;
        buffer_consume(&stream->output, (size_t)n);
    }
    if (stream->finishing && !stream->tls_shut && !buffer_size(&stream->output)) {
        stream->tls_shut = true;
        ERR_clear_error();
        SSL_shutdown(stream->ssl);
    }
    return true;
}

/* Sends what the socket takes of BUFFER. The last words of a stream wait in the kernel for the end that follows at once, and leave with it
 * in one packet. */
static enum io send_some(struct stream *stream, struct buffer *buffer)
{
    struct span bytes = buffer_span(buffer);
    ssize_t n = send(stream->fd, bytes.p, bytes.n, MSG_NOSIGNAL | (stream->finishing ? MSG_MORE : 0));
    if (n >= 0) {
        buffer_consume(buffer, (size_t)n);
        return IO_DONE;
    }
    if (errno == EAGAIN || errno == EINTR)
        return IO_AGAIN;
    note_errno(stream, "connection");
    return IO_ERROR;
}

/* Sends until nothing is left (IO_DONE) or the socket takes no more. */
static enum io send_all(struct stream *stream)
{
    enum io result = IO_DONE;
    while (result == IO_DONE) {
        if (stream->tls_done && !encrypt(stream))
            return IO_ERROR;
        struct buffer *next = stream->ssl && !stream->tls_waits ? &stream->wire.output : &stream->output;
        if (!buffer_size(next))
            break;
        result = send_some(stream, next);
    }
    stream->blocked = result == IO_AGAIN;
    return result;
}

/* Goes on with the handshake. False where the stream was freed. */
static bool handshake(struct stream *stream)
{
    stream->wire.reads = true;
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(stream->ssl);
    if (n == 1) {
        stream->handshaking = false;
        stream->tls_done = true;
        stream->again = SSL_has_pending(stream->ssl);
        return call_out(stream, stream->events->secured);
    }
    enum io result = tls_result(stream, n);
    char problem[sizeof stream->problem];
    text_copy(problem, sizeof problem, span_of(stream->problem));
    enum io sent = send_all(stream); /* the next flight, or the alert that says why not */
    if (result == IO_AGAIN && sent != IO_ERROR)
        return true;
    if (result != IO_AGAIN)
        text_copy(stream->problem, sizeof stream->problem, span_of(problem));
    return end(stream, STREAM_TLS_FAILED);
}

static bool begin_handshake(struct stream *stream)
{
    stream->tls_waits = false;
    stream->handshaking = true;
    return SSL_is_server(stream->ssl) || handshake(stream); /* the client speaks first */
}

/* Finishing: all has been sent; tells the other side, and waits for its end where its input would cause a reset. */
static bool shut(struct stream *stream)
{
    int unread = 0;
    if (stream->shut)
        return true;
    stream->shut = true;
    if (ioctl(stream->fd, FIONREAD, &unread) != 0 || unread == 0) {
        destroy(stream);
        return false;
    }
    shutdown(stream->fd, SHUT_WR);
    return true;
}

/* Sends what the socket takes. False where the stream was freed. */
static bool pump_output(struct stream *stream)
{
    if (stream->connecting || stream->handshaking)
        return true;
    enum io result = send_all(stream);
    if (result == IO_AGAIN)
        return true;
    if (result != IO_DONE) {
        buffer_clear(&stream->output);
        buffer_clear(&stream->wire.output);
        return end(stream, STREAM_RESET);
    }
    if (stream->tls_waits && !stream->finishing)
        return begin_handshake(stream);
    return stream->finishing ? shut(stream) : true;
}

/* Sends, and lets the owner write more as long as the socket takes it. False where the stream was freed. */
static bool pump_drained(struct stream *stream)
{
    for (unsigned i = 0; i < STREAM_DRAIN_ROUNDS; i++) {
        bool had = unsent(stream) || stream->write_again;
        stream->write_again = false;
        if (!had)
            return true;
        if (!pump_output(stream))
            return false;
        if (stream->broken || stream->finishing || stream->handshaking || !stream->events->drained || unsent(stream))
            return true;
        if (!call_out(stream, stream->events->drained))
            return false;
    }
    kick(stream);
    return true;
}

/* A finishing stream throws input away until the peer's end. False where the stream was freed. */
static bool discard(struct stream *stream)
{
    for (;;) {
        ssize_t n = read(stream->fd, scratch, sizeof scratch);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        stream->discarded += n > 0 ? (size_t)n : 0;
        if (n <= 0 || stream->discarded > STREAM_DISCARD_MAX) {
            destroy(stream);
            return false;
        }
    }
}

/* May input be handed on now? */
static bool listens(const struct stream *stream)
{
    return !stream->paused && !stream->broken && !stream->finishing && !stream->tls_waits && !stream->handshaking;
}

/* Reads what is there and hands it on, until TLS holds nothing back any more. Of what the socket still has the watch tells again. False
 * where the stream was freed. */
static bool pump_input(struct stream *stream)
{
    enum io result = IO_DONE;
    bool more = true;
    stream->wire.reads = true;
    while (more && result == IO_DONE && listens(stream)) {
        size_t room = stream->input_max - buffer_size(&stream->input), n = 0;
        if (room > 0 && (result = read_some(stream, room < sizeof scratch ? room : sizeof scratch, &n)) == IO_DONE) {
            buffer_add(&stream->input, span_make(scratch, n));
            stream->again = true;
        }
        if (stream->again && buffer_size(&stream->input)) {
            stream->again = false;
            if (!call_out(stream, stream->events->readable))
                return false;
        }
        more = stream->ssl && SSL_has_pending(stream->ssl) && buffer_size(&stream->input) < stream->input_max;
    }
    if (result == IO_END) {
        text_copy(stream->problem, sizeof stream->problem, SPAN("the connection was closed"));
        return pump_drained(stream) && (stream->paused || end(stream, STREAM_CLOSED));
    }
    return result == IO_ERROR && !stream->paused ? end(stream, STREAM_RESET) : true;
}

static bool finish_connect(struct stream *stream)
{
    int error = 0;
    socklen_t size = sizeof error;
    stream->connecting = false;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        errno = error;
        note_errno(stream, "connect");
        return end(stream, STREAM_RESET);
    }
    return call_out(stream, stream->events->connected);
}

static void ready(void *context, int fd, unsigned what)
{
    struct stream *stream = context;
    (void)fd;
    if (stream->broken || (stream->connecting && !(what & WATCH_WRITE)))
        return;
    if (stream->paused && what & WATCH_READ)
        stream->deaf = true;
    if (stream->connecting && !finish_connect(stream))
        return;
    if (stream->broken)
        return;
    bool secured = stream->handshaking;
    if (stream->handshaking && !handshake(stream))
        return;
    if (!stream->handshaking && !stream->broken) {
        /* Behind a handshake the first answer may leave together with TLS's last record. */
        if (!secured && !pump_drained(stream))
            return;
        bool readable = what & WATCH_READ || stream->again;
        if (stream->finishing ? stream->shut && !discard(stream) : readable && !stream->handshaking && !pump_input(stream))
            return;
        if (!stream->broken && !pump_drained(stream))
            return;
    }
    if (!stream->broken)
        rewatch(stream);
}

static struct stream *make(struct watch *watch, size_t input_max, const struct stream_events *events, void *context)
{
    struct stream *stream = text_zalloc(sizeof *stream);
    list_init(&stream->node);
    stream->loop = watch->loop;
    stream->fd = stream->wire.fd = watch->fd;
    stream->input_max = input_max;
    stream->events = events;
    stream->context = context;
    buffer_init(&stream->input, input_max);
    buffer_init(&stream->output, SIZE_MAX / 4);
    buffer_init(&stream->wire.output, SIZE_MAX / 4);
    watch_move(&stream->watch, watch, ready, stream);
    watch_want(&stream->watch, WATCH_READ);
    return stream;
}

struct stream *stream_adopt(struct watch *watch, size_t input_max, const struct stream_events *events, void *context)
{
    struct stream *stream = make(watch, input_max, events, context);
    stream->again = true;
    kick(stream);
    return stream;
}

struct stream *stream_new(struct loop *loop, int fd, size_t input_max, const struct stream_events *events, void *context)
{
    struct watch watch = { .fd = -1 };
    watch_set(&watch, loop, fd, WATCH_READ, NULL, NULL);
    return make(&watch, input_max, events, context);
}

void stream_free(struct stream **stream)
{
    if (*stream)
        destroy(*stream);
    *stream = NULL;
}

void stream_connecting(struct stream *stream)
{
    stream->connecting = true;
    rewatch(stream);
}

struct span stream_input(const struct stream *stream)
{
    return buffer_span(&stream->input);
}

void stream_consume(struct stream *stream, size_t n)
{
    bool full = buffer_size(&stream->input) >= stream->input_max;
    buffer_consume(&stream->input, n);
    if (!full || stream->in_callback)
        return;
    if (stream->ssl && SSL_has_pending(stream->ssl)) {
        stream->again = true;
        kick(stream);
    }
    rewatch(stream);
}

void stream_pause(struct stream *stream)
{
    stream->paused = true; /* the watch goes on: mostly no input comes before stream_resume, and so nothing needs to change */
}

void stream_resume(struct stream *stream)
{
    if (!stream->paused)
        return;
    stream->paused = stream->deaf = false;
    /* What the socket has is told by the watch; to look for it now would be a system call that mostly finds nothing. */
    if (buffer_size(&stream->input) || (stream->ssl && SSL_has_pending(stream->ssl))) {
        stream->again = true;
        kick(stream);
    }
    if (!stream->in_callback)
        rewatch(stream);
}

void stream_write(struct stream *stream, struct span bytes)
{
    if (stream->broken || !bytes.n)
        return;
    if (!buffer_size(&stream->output) && !stream->in_callback)
        kick(stream);
    buffer_add(&stream->output, bytes);
    stream->write_again = true;
}

void stream_flush(struct stream *stream)
{
    /* A failure is told from the loop, not from within this call: the socket reports it again there. */
    if (!stream->broken && !stream->connecting && !stream->handshaking)
        send_all(stream);
}

size_t stream_pending(const struct stream *stream)
{
    return buffer_size(&stream->output) + buffer_size(&stream->wire.output);
}

static void linger_over(void *context)
{
    destroy(context);
}

void stream_finish(struct stream **stream, int64_t linger_ms)
{
    static const struct stream_events nothing = { 0 };
    struct stream *it = *stream;
    *stream = NULL;
    if (it->broken || it->connecting || it->handshaking) {
        destroy(it);
        return;
    }
    if (it->freed)
        *it->freed = true; /* for whoever called back: the owner has let go of it */
    it->freed = NULL;
    it->in_callback = false;
    it->finishing = true;
    it->events = &nothing;
    list_append(&lingering, &it->node);
    if (!pump_output(it))
        return;
    it->paused = it->deaf = false;
    timer_set(&it->deadline, it->loop, linger_ms, linger_over, it);
    rewatch(it);
}

void stream_drop_lingering(void)
{
    LIST_EACH(node, &lingering)
        destroy(LIST_ENTRY(node, struct stream, node));
}

/* OpenSSL tells of the header of each record, among much else. */
static void count_record(int sent, int version, int type, const void *bytes, size_t size, SSL *ssl, void *context)
{
    struct stream *stream = context;
    (void)version;
    (void)bytes;
    (void)size;
    (void)ssl;
    if (!sent && type == SSL3_RT_HEADER && ++stream->records > STREAM_RECORDS_MAX)
        stream->flooded = true;
}

size_t stream_start_tls(struct stream *stream, SSL *ssl)
{
    size_t dropped = buffer_size(&stream->input);
    buffer_consume(&stream->input, dropped);
    stream->again = false;
    stream->ssl = ssl;
    BIO *wire = wire_new(&stream->wire);
    SSL_set_bio(ssl, wire, wire);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(ssl, 1);
    SSL_set_msg_callback(ssl, count_record);
    SSL_set_msg_callback_arg(ssl, stream);
    stream->tls_waits = true;
    stream->write_again = true; /* pump_output begins the handshake when nothing waits any more */
    stream->paused = stream->deaf = false;
    kick(stream);
    return dropped;
}

SSL *stream_tls(const struct stream *stream)
{
    return stream->tls_done ? stream->ssl : NULL;
}

static void deadline_over(void *context)
{
    struct stream *stream = context;
    text_copy(stream->problem, sizeof stream->problem, SPAN("timed out"));
    end(stream, STREAM_TIMEOUT);
}

void stream_deadline(struct stream *stream, int64_t delay_ms)
{
    if (delay_ms <= 0)
        timer_stop(&stream->deadline);
    else if (!stream->deadline.event)
        timer_set(&stream->deadline, stream->loop, delay_ms, deadline_over, stream);
    else
        timer_again(&stream->deadline, delay_ms);
}

int stream_fd(const struct stream *stream)
{
    return stream->fd;
}

const char *stream_problem(const struct stream *stream)
{
    return stream->problem;
}

/* A byte stream over a socket, plain or TLS, with bounded buffers: what a session reads lines from and writes replies to.
 *
 * Input gathers up to `input_max`; then the stream stops reading until some is consumed: back pressure reaches the peer.
 * Output is kept until the socket takes it. Callbacks come from the loop; each of them may call stream_free on its own
 * stream. Memory is given back while a stream is idle, so that ten thousand waiting clients cost little. */
#ifndef POSTERN_BASE_STREAM_H
#define POSTERN_BASE_STREAM_H

#include "loop.h"
#include "span.h"

#include <openssl/ssl.h>

struct stream;

/* Why a stream ended. */
enum stream_end {
    STREAM_CLOSED,
    STREAM_RESET,
    STREAM_TLS_FAILED, /* in the handshake */
    STREAM_FLOODED,    /* the peer sent TLS records without end that carry no data */
    STREAM_TIMEOUT
};

struct stream_events {
    void (*readable)(void *context);                   /* more input is there (stream_input) */
    void (*drained)(void *context);                    /* all output has gone to the socket; may be NULL */
    void (*secured)(void *context);                    /* the TLS handshake is done; may be NULL where TLS is never started */
    void (*connected)(void *context);                  /* after stream_connecting; may be NULL where that is not called */
    void (*ended)(void *context, enum stream_end why); /* nothing more will come; input that came before was delivered */
};

/* A stream over the connected, non-blocking socket FD, which it owns from here on. At most INPUT_MAX bytes of input are held
 * (it grows to there only as needed). EVENTS must stay valid. */
struct stream *stream_new(struct loop *loop, int fd, size_t input_max, const struct stream_events *events, void *context);

/* The same over the socket that WATCH waits at, which is not set any more: its place in the loop is kept. What it has told of is read soon. */
struct stream *stream_adopt(struct watch *watch, size_t input_max, const struct stream_events *events, void *context);

/* Closes the socket at once (output that waits is lost), frees *STREAM with its TLS state, and nulls it. NULL is fine. */
void stream_free(struct stream **stream);

/* FD is a socket on which connect() returned EINPROGRESS: `connected` or `ended` will follow. Call right after stream_new. */
void stream_connecting(struct stream *stream);

/* The input that was not consumed; valid until control returns to the loop, or stream_consume. */
struct span stream_input(const struct stream *stream);

/* Takes N bytes from the front of the input. */
void stream_consume(struct stream *stream, size_t n);

/* Stops reading (and `readable`) until stream_resume: while an answer from another process is awaited. Input that is
 * there already stays. That the peer has gone is noticed after stream_resume. */
void stream_pause(struct stream *stream);

/* Reads on. Where input is waiting, `readable` comes from the loop soon, not from within this call. */
void stream_resume(struct stream *stream);

/* Adds bytes to the output; they leave when control returns to the loop, or with stream_flush. Never fails: the caller
 * bounds what it writes (stream_pending). */
void stream_write(struct stream *stream, struct span bytes);

/* Sends what the socket takes now. */
void stream_flush(struct stream *stream);

/* Bytes of output that wait. */
size_t stream_pending(const struct stream *stream);

/* Writes out what waits, tells TLS, then ends: no callback comes any more, the stream frees itself and *STREAM becomes NULL at
 * once. Input that the peer still sends is thrown away, so that a reset does not take the last reply from it; what has not gone
 * after LINGER_MS is dropped. */
void stream_finish(struct stream **stream, int64_t linger_ms);

/* Ends all streams that stream_finish let go of, at once: before the loop is freed. */
void stream_drop_lingering(void);

/* Starts TLS with SSL, owned by the stream from here on, as server or client by SSL's own state. Input that was not consumed
 * is thrown away first: what was sent before the handshake is never taken as sent inside (CVE-2011-0411). Output that waits
 * must have been flushed: what is pending is sent in clear first, then the handshake begins. Returns the number of bytes
 * thrown away. `secured` or `ended` follows. */
size_t stream_start_tls(struct stream *stream, SSL *ssl);

/* The TLS state, or NULL while plain. Borrowed. */
SSL *stream_tls(const struct stream *stream);

/* `ended` with STREAM_TIMEOUT comes unless stream_deadline is called again within DELAY_MS; 0 takes the deadline away. */
void stream_deadline(struct stream *stream, int64_t delay_ms);

/* The socket. Borrowed; for getpeername and the like. */
int stream_fd(const struct stream *stream);

/* A few words on what went wrong, for logs and bounces: "connection reset", "certificate verify failed". Never NULL. */
const char *stream_problem(const struct stream *stream);

#endif

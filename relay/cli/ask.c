/* One request, one answer, then the end: whatever goes wrong in between, the person sees a sentence and can ask again.
 *
 * The socket's file says who may connect (the daemon makes it 0660), so a refusal to connect is about permission, a file that is
 * not there or that nobody serves about a daemon that does not run; the errno in the sentence tells them apart. The daemon is
 * trusted: who can put a socket at /run/postern is root. It is not trusted to be healthy: an answer that breaks off, because a
 * role died in the middle, is told as such and never as complete, since the last line is always {"done": …}.
 *
 * There is no timeout here. The daemon bounds the time of each answer (visitor.c) and ends it with a reason, which says more. */
#include "ask.h"

#include "../base/buffer.h"
#include "../base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_LINE_MAX  (64u << 20) /* one value: the header of a message at most */
#define ASK_READ_SIZE 65536

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !text_copy(address.sun_path, sizeof address.sun_path, span_of(path)) ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, struct span bytes)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        bytes = span_skip(bytes, n > 0 ? (size_t)n : 0);
    }
    return true;
}

static bool send_request(int fd, const char *command, json_t *filters)
{
    json_t *request = json_pack("{s:s, s:o}", "command", command, "filters", filters);
    char *text = json_dumps(request, JSON_COMPACT);
    bool sent = text && send_all(fd, span_of(text)) && send_all(fd, SPAN("\n"));
    free(text);
    json_decref(request);
    return sent;
}

/* What reading the answer needs and finds. */
struct answer {
    void (*value)(void *context, const json_t *value);
    void *context;
    char *reason;
    bool complete; /* the last line came */
    bool done;
};

static void take_line(struct answer *answer, struct span line)
{
    json_t *root = json_loadb(line.p, line.n, 0, NULL);
    const json_t *value = json_object_get(root, "value"), *done = json_object_get(root, "done");
    if (value && answer->value)
        answer->value(answer->context, value);
    if (json_is_boolean(done)) {
        const char *reason = json_string_value(json_object_get(root, "reason"));
        answer->complete = true;
        answer->done = json_is_true(done);
        text_copy(answer->reason, ASK_REASON_SIZE, span_of(reason));
    }
    json_decref(root);
}

static void read_answer(int fd, struct answer *answer)
{
    struct buffer input;
    ssize_t n = 0;
    buffer_init(&input, ASK_LINE_MAX);
    for (char *to; !answer->complete && (to = buffer_reserve(&input, ASK_READ_SIZE));) {
        n = read(fd, to, ASK_READ_SIZE);
        if (n <= 0 && !(n < 0 && errno == EINTR))
            break;
        buffer_commit(&input, n > 0 ? (size_t)n : 0);
        for (struct span all = buffer_span(&input); span_find(all, '\n') < all.n && !answer->complete;
             all = buffer_span(&input)) {
            size_t size = span_find(all, '\n');
            take_line(answer, span_head(all, size));
            buffer_consume(&input, size + 1);
        }
    }
    buffer_fini(&input);
}

/* Whoever may not connect cannot know whether somebody listens, but somebody made the socket. */
static void tell_absence(const char *path, int problem, char reason[ASK_REASON_SIZE])
{
    if (problem == EACCES)
        text_format(reason, ASK_REASON_SIZE, "you may not ask posternd at %s (%s); use sudo, or be a member of the group postern",
                    path, strerror(problem));
    else
        text_format(
            reason, ASK_REASON_SIZE,
            "posternd does not answer at %s (%s); is it running? systemctl status postern and journalctl -u postern -n 50 tell",
            path, strerror(problem));
}

enum ask_result ask_daemon(const char *path, const char *command, json_t *filters,
                           void (*value)(void *context, const json_t *value), void *context, char reason[ASK_REASON_SIZE])
{
    struct answer answer = { value, context, reason, false, false };
    int fd = connect_to(path);
    if (fd < 0) {
        tell_absence(path, errno, reason);
        json_decref(filters);
        return ASK_ABSENT;
    }
    if (send_request(fd, command, filters))
        read_answer(fd, &answer);
    close(fd);
    if (!answer.complete)
        text_format(reason, ASK_REASON_SIZE, "posternd broke off its answer; it may be starting again: try once more");
    return answer.complete && answer.done ? ASK_DONE : ASK_REFUSED;
}

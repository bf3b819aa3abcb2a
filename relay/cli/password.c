/* Echo is switched off before the question and back on behind the answer, whatever ends it. A signal that comes meanwhile is noted,
 * the terminal is put in order, and then the signal is raised again with its own meaning: so Ctrl-C ends the program with a
 * terminal that echoes, and Ctrl-Z stops it with one; after `fg` the question is asked again. The signals are blocked but while
 * ppoll waits, or one that comes right before the wait would be noted by nobody. SIGTTIN and SIGTTOU keep their meaning: in the
 * background the program stops before it has changed anything.
 *
 * Bytes are read one by one, so that nothing behind the line is taken from a pipe that others read from. */
#include "password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP };
#define NWATCHED (sizeof watched / sizeof *watched)

static volatile sig_atomic_t caught; /* the signal that came while a person was typing, 0 for none */

static void catch (int signal)
{
    caught = signal;
}

/* Waits until FD has input, with the signals of OPEN_MASK let through. False where one of those watched came. */
static bool wait_for(int fd, const sigset_t *open_mask)
{
    struct pollfd input = { .fd = fd, .events = POLLIN };
    while (!caught)
        if (ppoll(&input, 1, NULL, open_mask) > 0)
            return true;
        else if (errno != EINTR)
            return false;
    return false;
}

/* Reads up to the end of a line into LINE; OPEN_MASK is for wait_for, NULL where no signal is watched. False at the end of the
 * input, or where a signal came. */
static bool read_line(int fd, const sigset_t *open_mask, struct buffer *line)
{
    char byte = 0;
    for (;;) {
        if (open_mask && !wait_for(fd, open_mask))
            return false;
        ssize_t n = read(fd, &byte, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (n == 0 && !buffer_size(line) && !line->overflow))
            return false;
        if (n == 0 || byte == '\n')
            break;
        buffer_add_byte(line, byte);
    }
    struct span all = buffer_span(line);
    if (all.n && all.p[all.n - 1] == '\r')
        buffer_truncate(line, all.n - 1);
    return true;
}

/* Reads a line from the terminal FD with the echo off. */
static bool read_quietly(int fd, const sigset_t *open_mask, const char *question, const char *whose, struct buffer *answer)
{
    struct termios usual, quiet;
    if (tcgetattr(fd, &usual) < 0)
        return false;
    quiet = usual;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    if (tcsetattr(fd, TCSAFLUSH, &quiet) < 0)
        return false;
    fprintf(stderr, "%s %s: ", question, whose);
    fflush(stderr);
    bool given = read_line(fd, open_mask, answer);
    tcsetattr(fd, TCSAFLUSH, &usual);
    fputc('\n', stderr);
    return given;
}

/* Asks once, without echo. False where nothing came; `caught` then says whether a signal is the reason. */
static bool ask_quietly(int fd, const char *question, const char *whose, struct buffer *answer)
{
    struct sigaction action = { .sa_handler = catch }, before[NWATCHED];
    sigset_t blocked, usual;
    caught = 0;
    sigemptyset(&blocked);
    for (size_t i = 0; i < NWATCHED; i++)
        sigaddset(&blocked, watched[i]);
    sigprocmask(SIG_BLOCK, &blocked, &usual);
    for (size_t i = 0; i < NWATCHED; i++)
        sigaction(watched[i], &action, &before[i]);
    bool given = read_quietly(fd, &usual, question, whose, answer);
    for (size_t i = 0; i < NWATCHED; i++)
        sigaction(watched[i], &before[i], NULL);
    sigprocmask(SIG_SETMASK, &usual, NULL);
    return given;
}

/* Asks until there is an answer or a reason to end. */
static bool ask(int fd, const char *question, const char *whose, struct buffer *answer)
{
    for (;;) {
        buffer_clear(answer);
        if (ask_quietly(fd, question, whose, answer))
            return true;
        int signal = caught;
        if (!signal)
            return false;
        raise(signal); /* ends the program, or stops it until it is continued */
        if (signal != SIGTSTP)
            return false;
    }
}

/* As many comparisons whatever the bytes: not that a person at the keyboard could measure it. */
static bool same(struct span a, struct span b)
{
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

enum password_answer password_ask(int fd, const char *whose, struct buffer *password)
{
    struct buffer again;
    if (!isatty(fd))
        return read_line(fd, NULL, password) ? PASSWORD_GIVEN : PASSWORD_NONE;
    buffer_init(&again, password->max);
    enum password_answer answer = PASSWORD_NONE;
    if (ask(fd, "New password of", whose, password) && ask(fd, "The same once more, for", whose, &again))
        answer = same(buffer_span(password), buffer_span(&again)) ? PASSWORD_GIVEN : PASSWORD_DIFFERS;
    buffer_wipe(&again);
    return answer;
}

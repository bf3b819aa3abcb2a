/* Echo is switched off before the question and back on behind the answer, whatever ends it. A signal that comes meanwhile is noted,
 * the terminal is put in order, and then the signal is raised again with its own meaning: so Ctrl-C ends the program with a
 * terminal that echoes, and Ctrl-Z stops it with one; after `fg` the question is asked again.
 *
 * Bytes are read one by one, so that nothing behind the line is taken from a pipe that others read from. */
#include "password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU };
#define NWATCHED (sizeof watched / sizeof *watched)

static volatile sig_atomic_t caught; /* the signal that came while a person was typing, 0 for none */

static void catch (int signal)
{
    caught = signal;
}

/* Reads up to the end of a line into LINE. False at the end of the input, or where a signal came. */
static bool read_line(int fd, struct buffer *line)
{
    char byte = 0;
    for (;;) {
        ssize_t n = read(fd, &byte, 1);
        if (n < 0 && errno == EINTR && !caught)
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

/* Asks once, without echo. False where nothing came; `caught` then says whether a signal is the reason. */
static bool ask_quietly(int fd, const char *question, const char *whose, struct buffer *answer)
{
    struct sigaction action = { .sa_handler = catch }, before[NWATCHED];
    struct termios usual, quiet;
    caught = 0;
    for (size_t i = 0; i < NWATCHED; i++)
        sigaction(watched[i], &action, &before[i]);
    bool changed = tcgetattr(fd, &usual) == 0;
    quiet = usual;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    changed = changed && tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
    fprintf(stderr, "%s %s: ", question, whose);
    fflush(stderr);
    bool given = changed && read_line(fd, answer);
    if (changed)
        while (tcsetattr(fd, TCSAFLUSH, &usual) < 0 && errno == EINTR && caught != SIGTTOU)
            continue;
    fputc('\n', stderr);
    for (size_t i = 0; i < NWATCHED; i++)
        sigaction(watched[i], &before[i], NULL);
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
        if (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU)
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
        return read_line(fd, password) ? PASSWORD_GIVEN : PASSWORD_NONE;
    buffer_init(&again, password->max);
    enum password_answer answer = PASSWORD_NONE;
    if (ask(fd, "New password of", whose, password) && ask(fd, "The same once more, for", whose, &again))
        answer = same(buffer_span(password), buffer_span(&again)) ? PASSWORD_GIVEN : PASSWORD_DIFFERS;
    buffer_wipe(&again);
    return answer;
}

/* Signals are let through only while a key is awaited, so that none can fall between a look at `caught` and the waiting. */
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define BEGIN "\033[?1049h\033[?25l" /* a page of its own, no cursor */
#define END   "\033[?25h\033[?1049l"

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define NENDING (sizeof ending / sizeof *ending)

static volatile sig_atomic_t caught, resized;
static struct termios usual;
static sigset_t open_mask;

static volatile sig_atomic_t busy;

static void note(int signal)
{
    if (busy && signal != SIGWINCH) { /* all of this is safe in a handler (POSIX 2.4.3) */
        ssize_t n = write(STDOUT_FILENO, END, sizeof END - 1);
        (void)n;
        tcsetattr(STDIN_FILENO, TCSANOW, &usual);
        _exit(128 + signal);
    }
    if (signal == SIGWINCH)
        resized = 1;
    else
        caught = signal;
}

bool terminal_begin(void)
{
    struct sigaction action = { .sa_handler = note };
    sigset_t blocked;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &usual) < 0)
        return false;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGWINCH);
    for (size_t i = 0; i < NENDING; i++)
        sigaddset(&blocked, ending[i]);
    sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    for (size_t i = 0; i < NENDING; i++)
        sigaction(ending[i], &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    struct termios raw = usual;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* a shell cannot do anything with this page */
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    fputs(BEGIN, stdout);
    fflush(stdout);
    return true;
}

void terminal_end(void)
{
    fputs(END, stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual);
    sigprocmask(SIG_SETMASK, &open_mask, NULL);
}

void terminal_busy(bool ends)
{
    sigset_t ending_only;
    sigemptyset(&ending_only);
    for (size_t i = 0; i < NENDING; i++)
        sigaddset(&ending_only, ending[i]);
    busy = ends;
    sigprocmask(ends ? SIG_UNBLOCK : SIG_BLOCK, &ending_only, NULL);
}

void terminal_size(size_t *ret_rows, size_t *ret_columns)
{
    struct winsize size = { .ws_row = 0 };
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *ret_rows = size.ws_row ? size.ws_row : 24;
    *ret_columns = size.ws_col ? size.ws_col : 80;
}

/* Is there input within MS? */
static bool wait_for(int ms)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    struct timespec time = { ms / 1000, (long)(ms % 1000) * 1000000 };
    return ppoll(&input, 1, &time, &open_mask) > 0;
}

/* An arrow comes as ESC [ A or ESC O A. */
static int arrow(void)
{
    char rest[2] = "";
    for (size_t i = 0; i < sizeof rest; i++)
        if (!wait_for(20) || read(STDIN_FILENO, &rest[i], 1) != 1)
            return TERMINAL_NOTHING;
    if (rest[0] != '[' && rest[0] != 'O')
        return TERMINAL_NOTHING;
    return rest[1] == 'A' ? TERMINAL_UP : rest[1] == 'B' ? TERMINAL_DOWN : TERMINAL_NOTHING;
}

int terminal_key(int ms)
{
    unsigned char key;
    bool ready = wait_for(ms);
    if (caught)
        return TERMINAL_ENDED;
    if (resized || !ready) {
        resized = 0;
        return TERMINAL_NOTHING;
    }
    ssize_t n = read(STDIN_FILENO, &key, 1);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        return TERMINAL_ENDED;
    return n < 0 ? TERMINAL_NOTHING : key == 033 ? arrow() : key;
}

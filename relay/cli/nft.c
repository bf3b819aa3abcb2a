/* The program gets fixed arguments, an environment of its own and no standard input. What it says on standard error goes to a memory
 * file and not to a second pipe, so that there is one thing to read and nothing to wait for in turns; the first line of it is shown. */
#include "nft.h"

#include "../base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NFT_READ_SIZE 65536

static bool fail(char reason[NFT_REASON_SIZE], const char *program, int error)
{
    text_format(reason, NFT_REASON_SIZE, "%s cannot be run (%s)%s", program, strerror(error),
                error == ENOENT ? "; install the package nftables" : "");
    return false;
}

/* Starts PROGRAM with its output going to the descriptors OUT and ERR. Returns 0 or an error number. */
static int start(const char *program, int out, int err, pid_t *ret_pid)
{
    char name[] = "nft", json[] = "-j", list[] = "list", table[] = "table", family[] = "inet", own[] = "postern";
    char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *const arguments[] = { name, json, list, table, family, own, NULL }, *const environment[] = { path, locale, NULL };
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&actions, err, 2);
    if (!error)
        error = posix_spawn(ret_pid, program, &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Takes all that comes from FD, up to OUT's maximum. */
static void read_all(int fd, struct buffer *out)
{
    for (char *to; (to = buffer_reserve(out, NFT_READ_SIZE));) {
        ssize_t n = read(fd, to, NFT_READ_SIZE);
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        buffer_commit(out, n > 0 ? (size_t)n : 0);
    }
}

/* What the program's end, STATUS, and its words in the file ERR mean. */
static bool judge(int status, int err, const char *program, char reason[NFT_REASON_SIZE])
{
    char said[256], shown[384];
    ssize_t n = pread(err, said, sizeof said, 0);
    struct span text = span_make(said, n > 0 ? (size_t)n : 0), line = span_cut(&text, '\n');
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    text_escape(shown, sizeof shown, line);
    if (strstr(shown, strerror(ENOENT)))
        text_format(reason, NFT_REASON_SIZE,
                    "the rules are not loaded here; as root: postern firewall print > FILE, then nft -f FILE");
    else
        text_format(reason, NFT_REASON_SIZE, "%s fails: %s", program, *shown ? shown : "it does not say why");
    return false;
}

/* Runs PROGRAM with its words going to the file ERR, to its end. */
static bool run(const char *program, int err, struct buffer *out, char reason[NFT_REASON_SIZE])
{
    int ends[2], status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(reason, program, errno);
    int error = start(program, ends[1], err, &pid);
    close(ends[1]);
    if (!error)
        read_all(ends[0], out);
    close(ends[0]);
    if (error)
        return fail(reason, program, error);
    if (out->overflow)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!out->overflow)
        return judge(status, err, program, reason);
    text_format(reason, NFT_REASON_SIZE, "the answer of %s is larger than %zu bytes", program, out->max);
    return false;
}

bool nft_list(const char *program, struct buffer *out, char reason[NFT_REASON_SIZE])
{
    int err = memfd_create("nft", MFD_CLOEXEC);
    if (err < 0)
        return fail(reason, program, errno);
    bool done = run(program, err, out, reason);
    close(err);
    return done;
}

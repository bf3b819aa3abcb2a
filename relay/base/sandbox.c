/* The allow-list of system calls is a table: a group that every role needs (memory, time, reading and writing descriptors that are
 * open already, the event loop, threads that run already) and one group a duty. Addresses of connect() and arguments are not looked
 * at: what may be reached is settled by Landlock (paths) and by having no descriptors. */
#include "sandbox.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(POSTERN_SANITIZED)
#define SANDBOX_SANITIZER 1 /* the leak checker stops and reads its own process at the exit */
#else
#define SANDBOX_SANITIZER 0
#endif

#define S(name)   SCMP_SYS(name)
#define CALLS_MAX 96

static const struct {
    unsigned duty; /* 0: every role */
    int calls[CALLS_MAX];
} groups[] = {
    { 0,
      { S(read),
        S(write),
        S(readv),
        S(writev),
        S(pread64),
        S(pwrite64),
        S(preadv),
        S(pwritev),
        S(preadv2),
        S(pwritev2),
        S(close),
        S(close_range),
        S(lseek),
        S(fstat),
        S(newfstatat),
        S(fcntl),
        S(ioctl),
        S(dup),
        S(dup2),
        S(dup3),
        S(pipe2),
        S(fdatasync),
        S(fsync),
        S(flock),
        S(sendmsg),
        S(recvmsg),
        S(sendto),
        S(recvfrom),
        S(sendmmsg),
        S(recvmmsg),
        S(shutdown),
        S(getsockname),
        S(getpeername),
        S(getsockopt),
        S(setsockopt),
        S(socketpair),
        S(epoll_create1),
        S(epoll_ctl),
        S(epoll_wait),
        S(epoll_pwait),
        S(epoll_pwait2),
        S(poll),
        S(ppoll),
        S(select),
        S(pselect6),
        S(eventfd2),
        S(timerfd_create),
        S(timerfd_settime),
        S(timerfd_gettime),
        S(mmap),
        S(munmap),
        S(mremap),
        S(mprotect),
        S(madvise),
        S(brk),
        S(memfd_create),
        S(futex),
        S(set_robust_list),
        S(rseq),
        S(membarrier),
        S(sched_yield),
        S(sched_getaffinity),
        S(rt_sigaction),
        S(rt_sigprocmask),
        S(rt_sigreturn),
        S(sigaltstack),
        S(clock_gettime),
        S(clock_getres),
        S(clock_nanosleep),
        S(nanosleep),
        S(gettimeofday),
        S(time),
        S(getrandom),
        S(getpid),
        S(gettid),
        S(getppid),
        S(getuid),
        S(geteuid),
        S(getgid),
        S(getegid),
        S(getrusage),
        S(getrlimit),
        S(prlimit64),
        S(sysinfo),
        S(uname),
        S(tgkill),
        S(restart_syscall),
        S(exit),
        S(exit_group),
        S(prctl) } },
    { SANDBOX_ACCEPT, { S(accept4), S(accept) } },
    { SANDBOX_CONNECT, { S(socket), S(bind), S(connect) } },
    { SANDBOX_READ_FILES,
      { S(openat), S(open), S(stat), S(lstat), S(statx), S(statfs), S(fstatfs), S(access), S(faccessat), S(faccessat2),
        S(readlink), S(readlinkat), S(getdents64), S(getcwd), S(fadvise64) } },
    { SANDBOX_WRITE_FILES,
      { S(ftruncate), S(fallocate), S(rename), S(renameat), S(renameat2), S(unlink), S(unlinkat), S(mkdir), S(mkdirat), S(chmod),
        S(fchmod), S(fchown), S(umask), S(sync_file_range) } },
    { SANDBOX_THREADS, { S(clone), S(clone3) } },
    { SANDBOX_LOCAL_SOCKET, { S(socket), S(bind), S(connect), S(listen), S(accept4), S(accept), S(unlink) } },
};

/* What only an intruder wants: the process ends. */
static const int deadly[] = { S(execve),
                              S(execveat),
                              S(process_vm_readv),
                              S(process_vm_writev),
                              S(mount),
                              S(umount2),
                              S(pivot_root),
                              S(bpf),
                              S(kexec_load),
                              S(init_module),
                              S(finit_module),
                              S(reboot),
                              S(setns),
                              S(unshare),
                              S(perf_event_open),
                              S(keyctl),
                              S(add_key),
                              S(swapon),
                              S(chroot) };

static const int sanitizer_calls[] = { S(ptrace),   S(clone),      S(clone3),   S(wait4),      S(openat),           S(open),
                                       S(getdents), S(getdents64), S(readlink), S(readlinkat), S(personality),      S(arch_prctl),
                                       S(capget),   S(stat),       S(statx),    S(kill),       S(sched_setaffinity) };

static bool fail(const char *what)
{
    log_say(LOG_ERROR, "error", "the sandbox cannot be closed: %s: %s; this process ends", what, strerror(errno));
    return false;
}

/* Groups first, since afterwards it is too late; real, effective and saved ids, or root could be had back. A user's further groups are
 * kept on purpose (the auth role reads a sasldb by one). At the end the promise is put to the test. */
static bool drop_user(const char *name)
{
    if (!name)
        return true;
    errno = 0;
    const struct passwd *entry = getpwnam(name);
    if (!entry) {
        log_say(LOG_ERROR, "error",
                "the user %s does not exist: make it (systemd-sysusers, or adduser --system %s), or run posternd -u", name, name);
        return false;
    }
    uid_t uid = entry->pw_uid;
    gid_t gid = entry->pw_gid;
    if (initgroups(name, gid) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return fail("dropping to another user");
    if (uid != 0 && setuid(0) == 0) {
        errno = EPERM;
        return fail("the drop could be undone");
    }
    return true;
}

static int landlock_create(const struct landlock_ruleset_attr *attributes, size_t size, uint32_t flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, attributes, size, flags);
}

/* Rights of Landlock's first version, so that one build serves every kernel that has it. What later ones can restrict beyond (truncation,
 * ports, abstract sockets) is left to the filter of system calls and to the user. */
#define LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_WRITE                                                                                                           \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                            \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK)
#define LANDLOCK_ALL                                                                                                             \
    (LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static bool allow_path(int ruleset, const struct sandbox_path *path)
{
    struct stat status;
    struct landlock_path_beneath_attr rule = { .parent_fd = open(path->path, O_PATH | O_CLOEXEC) };
    if (rule.parent_fd < 0) {
        log_say(LOG_WARNING, "notice", "%s: %s; this process will not be able to use it", path->path, strerror(errno));
        return true;
    }
    rule.allowed_access = LANDLOCK_READ | (path->write ? LANDLOCK_WRITE : 0u);
    if (fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    bool done = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return done;
}

static bool confine_paths(const struct sandbox *sandbox)
{
    struct landlock_ruleset_attr attributes = { .handled_access_fs = LANDLOCK_ALL };
    int ruleset = landlock_create(&attributes, sizeof attributes, 0);
    if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
        log_say(LOG_WARNING, "notice",
                "this kernel has no Landlock: the process is confined by its user and its system calls alone");
        return true;
    }
    if (ruleset < 0)
        return fail("landlock");
    bool done = true;
    for (size_t i = 0; i < sandbox->npaths && done; i++)
        done = allow_path(ruleset, &sandbox->paths[i]);
    done = done && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int problem = errno;
    close(ruleset);
    errno = problem;
    return done || fail("landlock");
}

static int add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t ncalls)
{
    for (size_t i = 0; i < ncalls; i++) {
        /* 0 ends a group: it is read(2), which stands first in its own group and nowhere else */
        if (calls[i] == 0 && i > 0)
            return 0;
        int error = seccomp_rule_add(filter, action, calls[i], 0);
        if (error < 0 && error != -EDOM && error != -EEXIST)
            return error;
    }
    return 0;
}

static bool confine_calls(const struct sandbox *sandbox)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int error = filter ? 0 : -ENOMEM;
    for (size_t i = 0; i < sizeof groups / sizeof *groups && !error; i++)
        if (!groups[i].duty || groups[i].duty & sandbox->duties)
            error = add(filter, SCMP_ACT_ALLOW, groups[i].calls, CALLS_MAX);
    if (SANDBOX_SANITIZER && !error)
        error = add(filter, SCMP_ACT_ALLOW, sanitizer_calls, sizeof sanitizer_calls / sizeof *sanitizer_calls);
    if (!error)
        error = add(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof *deadly);
    if (!error && !SANDBOX_SANITIZER)
        error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, S(ptrace), 0);
    if (!error) /* for threads that run already, too: submission's writer was started before */
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    errno = -error;
    return !error || fail("seccomp");
}

bool sandbox_enter(const struct sandbox *sandbox)
{
    if (!drop_user(sandbox->user))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail("no_new_privs");
    if (SANDBOX_SANITIZER)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return (SANDBOX_SANITIZER || confine_paths(sandbox)) && confine_calls(sandbox);
}

/* Made as root where posternd was started so, before the role gives that up: afterwards nothing in the file system is its own. The file
 * of a process that died stays behind; that nobody serves it shows when connecting to it is refused. */
#include "socket.h"

#include "../base/log.h"
#include "../base/netaddr.h"
#include "../base/text.h"

#include <errno.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_BACKLOG 64
#define SOCKET_FLAGS   (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)

static int fail(int fd, const char *path, const char *why)
{
    log_say(LOG_ERROR, "error", "the socket %s cannot be made: %s", path, why);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Does somebody serve the socket at ADDRESS? */
static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    bool served = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return served;
}

/* Makes room at ADDRESS. NULL, or why there is none. */
static const char *clear_path(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISSOCK(status.st_mode))
        return "a file that is no socket is in its place";
    if (is_served(address))
        return "another posternd serves it; stop that one, or give this one another control.socket";
    return unlink(address->sun_path) == 0 || errno == ENOENT ? NULL : strerror(errno);
}

/* Gives the file to USER's group, whose members may then administer. As root only; else it has the caller's group. */
static bool give_group(const char *path, const char *user)
{
    const struct passwd *owner = user && geteuid() == 0 ? getpwnam(user) : NULL;
    return !owner || lchown(path, owner->pw_uid, owner->pw_gid) == 0;
}

int socket_admin(const char *path, const char *user)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (!text_copy(address.sun_path, sizeof address.sun_path, span_of(path)))
        return fail(-1, path, "its path is longer than 107 bytes");
    const char *wrong = clear_path(&address);
    if (wrong)
        return fail(-1, path, wrong);
    int fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
    mode_t before = umask(0117);
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    if (!bound || !give_group(path, user) || listen(fd, SOCKET_BACKLOG) != 0)
        return fail(fd, path, strerror(errno));
    return fd;
}

int socket_http(const char *address)
{
    struct netaddr parsed;
    struct sockaddr_storage storage;
    if (!netaddr_parse_port(span_of(address), &parsed))
        return fail(-1, address, "it is no address with a port");
    socklen_t size = netaddr_to_sockaddr(&parsed, &storage);
    int fd = socket(storage.ss_family, SOCKET_FLAGS, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&storage, size) != 0 || listen(fd, SOCKET_BACKLOG) != 0)
        return fail(fd, address, strerror(errno));
    return fd;
}

/* For a start without systemd, and for tests; otherwise tmpfiles.d has made them (systemd/tmpfiles.conf), and there is nothing
 * to do.
 *
 * The folders of spool and policy belong to postern-queue alone, that of mta-sts to postern, mode 0700. One that is there keeps its mode,
 * which is the administrator's choice, but gets its owner, or the role could not open it. The control socket's folder keeps the caller as
 * owner: the socket is made before control gives up root, and a role that owned the folder could put another one there.
 *
 * Paths are root's own words from the configuration, in folders that root owns: symbolic links are followed on purpose, as for a
 * spool that lies on another disk. */
#include "folders.h"

#include "../base/log.h"
#include "../base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS_PATH_MAX 4096

/* The folder PATH with MODE, whatever the umask, which is narrow in the parent; one that is there stays as it is. */
static bool make_one(const char *path, mode_t mode)
{
    struct stat status;
    if (mkdir(path, mode) == 0)
        return chmod(path, mode) == 0;
    if (errno != EEXIST || stat(path, &status) != 0)
        return false;
    errno = ENOTDIR;
    return S_ISDIR(status.st_mode);
}

/* Makes each missing folder on the way to PATH, and PATH. */
static bool make_path(const char *path, mode_t mode)
{
    char part[FOLDERS_PATH_MAX];
    errno = ENAMETOOLONG;
    if (!text_copy(part, sizeof part, span_of(path)))
        return false;
    for (size_t n = strlen(part); n > 1 && part[n - 1] == '/'; n--)
        part[n - 1] = '\0';
    for (char *at = part + 1; *part && *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (!make_one(part, 0755))
            return false;
        *at = '/';
    }
    return make_one(part, mode);
}

/* Says that the folder PATH, which KEY names, cannot be what DONE says, for the reason in errno. Returns false. */
static bool refuse(const char *key, const char *path, const char *done)
{
    bool foreign = geteuid() != 0 && (errno == EACCES || errno == EPERM || errno == EROFS);
    log_say(LOG_ERROR, "error", "%s %s cannot be %s: %s%s", key, path, done, strerror(errno),
            foreign          ? "; set it to a folder of yours"
            : errno == EROFS ? "; under systemd it has to be in ReadWritePaths= of the unit, see posternd(8)"
                             : "");
    return false;
}

/* The folder PATH, which KEY names, for USER alone; one that is there keeps its mode but changes its owner. */
static bool make(const char *key, const char *path, const char *user, mode_t mode, bool keep_user)
{
    if (!make_path(path, mode))
        return refuse(key, path, "made");
    if (keep_user && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0 && errno != EROFS)
        return refuse(key, path,
                      "written to"); /* a disk that has become read-only is the queue's to tell, and may be better soon */
    if (keep_user || !user)
        return true;
    struct stat status;
    const struct passwd *owner = getpwnam(user);
    if (owner && stat(path, &status) == 0 && status.st_uid == owner->pw_uid)
        return true; /* as tmpfiles.d made it */
    if (owner && chown(path, owner->pw_uid, owner->pw_gid) != 0) {
        log_say(LOG_ERROR, "error", "%s %s cannot be given to %s: %s", key, path, user, strerror(errno));
        return false;
    }
    return true;
}

bool folders_make(const struct conf *conf, bool keep_user)
{
    char socket_folder[FOLDERS_PATH_MAX];
    text_copy(socket_folder, sizeof socket_folder, span_of(conf->control.socket));
    char *slash = strrchr(socket_folder, '/');
    if (slash && slash != socket_folder)
        *slash = '\0';
    bool made = make("spool.directory", conf->spool.directory, "postern-queue", 0700, keep_user);
    made = make("policy.directory", conf->policy.directory, "postern-queue", 0700, keep_user) && made;
    /* Without this one the relay does all but remember policies over a restart: no reason not to start, say behind an upgrade. */
    make("mta-sts.directory", conf->mta_sts.directory, "postern", 0700, keep_user);
    return (!slash || make("the folder of control.socket", socket_folder, NULL, 0755, keep_user)) && made;
}

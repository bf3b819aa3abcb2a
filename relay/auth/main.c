/* The auth role: a few processes that know passwords and nothing else. Before the sandbox closes libsasl2 loads its plugins and
 * OpenSSL its algorithms; after that only the user file's folder (the file is replaced by rename, so the file alone would not do)
 * and the source of libsasl2's nonces are left to open.
 *
 * A reload starts new processes, so settings never change under a service. */
#include "../base/log.h"
#include "../base/text.h"
#include "../role/mains.h"
#include "../role/role.h"
#include "attempt.h"
#include "service.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#define SASLDB_FILE "/etc/sasldb2"
#define NPATHS      3

struct auth {
    struct service *service;
    char folder[PATH_MAX];      /* of the user file */
    char real_folder[PATH_MAX]; /* the same, where the user file is a symbolic link to another folder */
    struct sandbox_path paths[NPATHS];
};

/* The folder that PATH lies in. */
static void folder_of(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        text_copy(folder, PATH_MAX, SPAN("."));
    else
        text_copy(folder, PATH_MAX, span_make(path, slash == path ? 1 : (size_t)(slash - path)));
}

/* Makes OpenSSL and libsasl2 load whatever they load at first use: one login of nobody. */
static void warm_up(struct role *role)
{
    struct credentials *credentials = credentials_new(NULL, 0);
    struct attempt_ground ground = { CONF_BACKEND_FILE, role->conf, credentials };
    static const struct {
        struct span mechanism;
        struct span initial;
    } logins[] = {
        { { "PLAIN", 5 }, { "\0nobody\0nothing", 15 } },
        { { "SCRAM-SHA-256", 13 }, { "n,,n=nobody,r=nothing", 21 } },
    };
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        struct span out;
        struct attempt *attempt = attempt_new(&ground, logins[i].mechanism, SPAN(""));
        if (attempt)
            attempt_begin(attempt, true, logins[i].initial, &out);
        attempt_free(&attempt);
    }
    credentials_free(&credentials);
}

static bool start(struct role *role)
{
    const struct conf_auth *conf = &role->conf->auth;
    if (!attempt_setup(conf->backend))
        return false;
    warm_up(role);
    struct auth *auth = text_zalloc(sizeof *auth);
    char real[PATH_MAX];
    folder_of(conf->file, auth->folder);
    folder_of(realpath(conf->file, real) ? real : conf->file, auth->real_folder);
    auth->service = service_new(role->loop, role->conf);
    role->state = auth;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    struct auth *auth = role->state;
    enum conf_auth_backend backend = role->conf->auth.backend;
    bool file = backend == CONF_BACKEND_FILE, daemon = backend == CONF_BACKEND_SASLAUTHD;
    auth->paths[0].path = "/dev/urandom"; /* libsasl2's nonces */
    auth->paths[1].path = file ? auth->folder : SASLDB_FILE;
    auth->paths[2].path = auth->real_folder;
    sandbox->duties = SANDBOX_READ_FILES | (daemon ? SANDBOX_LOCAL_SOCKET : 0u);
    sandbox->paths = auth->paths;
    sandbox->npaths = file ? 3 : daemon ? 1 : 2;
}

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    struct auth *auth = role->state;
    if (kind == ROLE_SUBMISSION)
        service_peer(auth->service, slot, fd);
    else
        close(fd);
}

static void stop(struct role *role)
{
    struct auth *auth = role->state;
    service_free(&auth->service);
    attempt_teardown();
    free(auth);
    role->state = NULL;
}

int auth_main(int fd)
{
    static const struct role_steps steps = { .start = start, .sandbox = sandbox, .peer = peer, .stop = stop };
    struct role role = { .kind = ROLE_AUTH };
    return role_run(&role, fd, &steps);
}

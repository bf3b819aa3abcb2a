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
#define NPATHS      2

struct auth {
    struct service *service;
    char folder[PATH_MAX]; /* of the user file */
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
    struct attempt_ground ground = { CONF_BACKEND_FILE, role->conf->hostname, credentials };
    static const struct {
        struct span mechanism;
        struct span initial;
    } logins[] = {
        {{ "PLAIN", 5 },           { "\0nobody\0nothing", 15 }    },
        { { "SCRAM-SHA-256", 13 }, { "n,,n=nobody,r=nothing", 21 }},
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
    if (conf->backend == CONF_BACKEND_DOVECOT) {
        log_say(LOG_ERROR, "error", "auth backend dovecot is not there yet; use file, sasldb or saslauthd");
        return false;
    }
    if (!attempt_setup(conf->backend))
        return false;
    warm_up(role);
    struct auth *auth = text_zalloc(sizeof *auth);
    folder_of(conf->file, auth->folder);
    auth->service = service_new(role->loop, role->conf);
    role->state = auth;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    struct auth *auth = role->state;
    enum conf_auth_backend backend = role->conf->auth.backend;
    auth->paths[0].path = "/dev/urandom";
    auth->paths[1].path = backend == CONF_BACKEND_FILE ? auth->folder : SASLDB_FILE;
    sandbox->duties = SANDBOX_READ_FILES | (backend == CONF_BACKEND_SASLAUTHD ? SANDBOX_LOCAL_SOCKET : 0u);
    sandbox->paths = auth->paths;
    sandbox->npaths = backend == CONF_BACKEND_SASLAUTHD ? 1 : NPATHS;
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

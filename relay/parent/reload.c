/* A reload is a new generation, not a change of state: submission, auth and delivery take their settings once, at their start,
 * so there is no moment at which half of a process goes by the old ones. The five single processes (queue, dns, policy, sts, control)
 * have state that must not be lost; they take the new settings in place.
 *
 * Nothing happens before everything is known to be good: the file, its keys, what cannot change under a running daemon (paths
 * that sandboxes were closed around, the control socket), and the new ports, which are opened first and closed again where one
 * of them fails. After that no step can fail but for starting a process, which is tried again as always.
 *
 * The end of the old generation waits until the new one is READY, so somebody accepts at every moment. Its auth processes end
 * last, since sessions that go on may still log in. The old ports are closed when nobody of the old generation is left, as it
 * may have connections in their backlog. Reloads may overlap: everything that is not of the newest generation is old. */
#include "reload.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../conf/warn.h"
#include "keys.h"
#include "process.h"

#include <string.h>

#define PASSWORDS_EVERY_MS 1000            /* refused logins have them read again so often at most */
#define RELOAD_PATIENCE_MS (5 * 60 * 1000) /* an old submission or delivery process may finish its sessions for so long */

void reload_free(struct parent_settings_files *files)
{
    conf_free(&files->conf);
    keys_free(files->secrets);
}

bool reload_read(struct parent *parent, struct parent_settings_files *files, conf_complain complain, void *context)
{
    struct span ticket_key = span_make(parent->ticket_key, sizeof parent->ticket_key);
    *files = (struct parent_settings_files){ .conf = conf_read(parent->options.file, complain, context) };
    if (files->conf && keys_load(files->conf, ticket_key, files->secrets, complain, context))
        return true;
    reload_free(files);
    return false;
}

/* Settings that a running daemon cannot change. */
static bool check_fixed(const struct conf *old, const struct conf *new, conf_complain complain, void *context)
{
    const struct {
        const char *section, *key, *old, *new;
    } fixed[] = {
        { "spool", "directory", old->spool.directory, new->spool.directory },
        { "policy", "directory", old->policy.directory, new->policy.directory },
        { "mta-sts", "directory", old->mta_sts.directory, new->mta_sts.directory },
        { "control", "socket", old->control.socket, new->control.socket },
        { "control", "http", old->control.http, new->control.http },
    };
    bool same = true;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        char line[512];
        if (strcmp(fixed[i].old, fixed[i].new) == 0)
            continue;
        text_format(line, sizeof line, "%s.%s cannot change while posternd runs; stop it and start it again", fixed[i].section,
                    fixed[i].key);
        conf_complain_of(new, fixed[i].section, "", fixed[i].key, line, complain, context);
        same = false;
    }
    return same;
}

static void log_warning(void *context, const char *line)
{
    (void)context;
    log_say(LOG_WARNING, "notice", "%s", line);
}

void reload_warn(const struct conf *conf)
{
    conf_warn(conf, log_warning, NULL);
}

/* Complaints into a bounded text. */
struct collected {
    char *text;
    size_t size;
};

static void collect(void *context, const char *line)
{
    struct collected *collected = context;
    size_t used = strlen(collected->text);
    if (used + strlen(line) + 2 < collected->size)
        text_format(collected->text + used, collected->size - used, "%s\n", line);
    log_say(LOG_ERROR, "error", "%s", line);
}

bool reload_run(struct parent *parent, char *text, size_t size)
{
    struct collected collected = { text, size };
    struct parent_settings_files files;
    text[0] = '\0';
    if (parent->stopping || !reload_read(parent, &files, collect, &collected))
        return false;
    if (!check_fixed(parent->now.conf, files.conf, collect, &collected) ||
        !ports_open(&parent->ports, files.conf, collect, &collected)) {
        reload_free(&files);
        return false;
    }
    reload_free(&parent->now);
    parent->now = files;
    parent->generation++;
    log_setup(files.conf->log.format, parent->options.debug ? LOG_DEBUG : files.conf->log.level, "parent");
    LIST_EACH(node, &parent->processes) {
        struct process *process = LIST_ENTRY(node, struct process, node);
        if (process->kind != ROLE_SUBMISSION && process->kind != ROLE_AUTH && process->kind != ROLE_DELIVERY)
            process_resettle(process);
    }
    process_start_all(parent, ROLE_AUTH, (unsigned)files.conf->auth.processes, parent->generation);
    process_start_all(parent, ROLE_DELIVERY, conf_processes(files.conf), parent->generation);
    process_start_all(parent, ROLE_SUBMISSION, conf_processes(files.conf), parent->generation);
    reload_warn(files.conf);
    log_say(LOG_INFO, "notice", "configuration reloaded from %s", parent->options.file);
    return true;
}

static void tell(void *context, const char *line)
{
    (void)context;
    log_say(LOG_ERROR, "error", "%s; the password or token that was read before is used", line);
}

void reload_passwords(struct parent *parent)
{
    int64_t now_ms = clock_monotonic_ms();
    if (now_ms - parent->passwords_ms < PASSWORDS_EVERY_MS)
        return;
    parent->passwords_ms = now_ms;
    struct bundle *passwords = keys_passwords(parent->now.conf, tell, NULL);
    if (!passwords)
        return;
    bundle_free(&parent->now.secrets[ROLE_DELIVERY]);
    parent->now.secrets[ROLE_DELIVERY] = passwords;
}

/* Is PROCESS of a generation before the present one? */
static bool is_old(const struct parent *parent, const struct process *process)
{
    bool generational = process->kind == ROLE_SUBMISSION || process->kind == ROLE_AUTH || process->kind == ROLE_DELIVERY;
    return generational && process->generation != parent->generation;
}

void reload_progress(struct parent *parent)
{
    if (process_any_unready(parent))
        return;
    bool old = false;
    LIST_EACH(node, &parent->processes) {
        struct process *process = LIST_ENTRY(node, struct process, node);
        if (!is_old(parent, process))
            continue;
        old = true;
        /* The sessions of an old submission process may still log in: its auth processes end after it. */
        if (process->kind != ROLE_AUTH || !process_any(parent, ROLE_SUBMISSION, process->generation))
            process_drain(process, RELOAD_PATIENCE_MS);
    }
    if (!old) {
        ports_trim(&parent->ports, parent->now.conf);
        ports_store(&parent->ports);
    }
}

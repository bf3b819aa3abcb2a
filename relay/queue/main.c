/* The queue role: what is to be sent, where and when. It owns the spool folder; it never touches the network.
 *
 * A message's way through the rooms: channels (told by submission) → arrive (its envelope is read) → place and domain (which site?) →
 * site and fair (whose turn is it?) → carrier (a connection that a deliverer holds) → settle (outcomes) → done, or schedule and place again, or
 * notify (a report to the sender). store, pair, supply, recover, compaction and worker keep the spool; admin and intervene serve the
 * administrator. All of it runs in one loop; one thread waits for the disk, and one writes reports. */
#include "../role/mains.h"

#include "../base/clock.h"
#include "../base/text.h"
#include "accounts.h"
#include "admin.h"
#include "carrier.h"
#include "channels.h"
#include "compaction.h"
#include "deliverer.h"
#include "dialogues.h"
#include "domain.h"
#include "entry.h"
#include "envelopes.h"
#include "letters.h"
#include "main.h"
#include "notify.h"
#include "place.h"
#include "recover.h"
#include "schedule.h"
#include "site.h"
#include "stall.h"
#include "store.h"

#include <stdlib.h>

#define TICK_MS 1000

static void make_rooms(struct queue *queue)
{
    list_init(&queue->visits);
    queue->entries = entries_new();
    queue->envelopes = envelopes_new();
    queue->due = schedule_new(queue->loop, place_due, queue);
    queue->backoff = schedule_new(queue->loop, site_due, queue);
    queue->turns = schedule_new(queue->loop, site_turn, queue);
    queue->place = place_new();
    queue->domains = domains_new();
    queue->sites = sites_new();
    queue->carriers = carriers_new();
    queue->deliverers = deliverers_new();
    queue->notify = notify_new();
    queue->channels = channels_new();
    queue->admin = admin_new();
    queue->accounts = accounts_new(queue);
    queue->letters = letters_new();
    queue->dialogues = dialogues_new();
}

static void free_rooms(struct queue *queue)
{
    timer_fini(&queue->tick);
    stall_fini(queue);
    store_end_writer(queue->store);
    admin_free(&queue->admin);
    channels_free(&queue->channels);
    accounts_free(&queue->accounts);
    letters_free(&queue->letters);
    dialogues_free(&queue->dialogues);
    deliverers_free(&queue->deliverers);
    carriers_free(&queue->carriers);
    notify_free(&queue->notify);
    store_free(&queue->store);
    entries_free(&queue->entries);
    envelopes_free(&queue->envelopes);
    schedule_free(&queue->due);
    schedule_free(&queue->backoff);
    schedule_free(&queue->turns);
    place_free(&queue->place);
    sites_free(&queue->sites);
    domains_free(&queue->domains);
}

static bool start(struct role *role)
{
    struct queue *queue = text_zalloc(sizeof *queue);
    queue->role = role;
    queue->loop = role->loop;
    queue->store = store_new(queue);
    if (!queue->store) {
        free(queue);
        return false;
    }
    make_rooms(queue);
    role->state = queue;
    return true;
}

static void sandbox(struct role *role, struct sandbox *sandbox)
{
    static struct sandbox_path paths[1];
    paths[0] = (struct sandbox_path){ .path = role->conf->spool.directory, .write = true };
    sandbox->duties = SANDBOX_READ_FILES | SANDBOX_WRITE_FILES;
    sandbox->paths = paths;
    sandbox->npaths = 1;
}

/* All in hand is done: what was told is on the disk. */
static void finish_when_idle(struct queue *queue)
{
    if (!queue->role->draining || carriers_busy(queue) || notify_running(queue) || letters_running(queue))
        return;
    store_sync(queue->store);
    role_finished(queue->role);
}

static void tick(void *context)
{
    struct queue *queue = context;
    store_tick(queue->store);
    compaction_tick(queue);
    domains_tick(queue, clock_monotonic_ms());
    sites_tick(queue);
    accounts_tick(queue);
    stall_tick(queue);
    finish_when_idle(queue);
    timer_again(&queue->tick, queue->role->draining ? TICK_MS / 20 : TICK_MS);
}

static void open_role(struct role *role)
{
    struct queue *queue = role->state;
    if (recover_start(queue))
        timer_set(&queue->tick, queue->loop, 0, tick, queue);
    else
        role_finished(role);
}

static void peer(struct role *role, enum role_kind kind, unsigned slot, int fd)
{
    channels_peer(role->state, kind, slot, fd);
}

/* Routes may have changed, so every unit that waits is placed anew, and connections under the old settings are not used again. */
static void settings(struct role *role)
{
    struct queue *queue = role->state;
    sites_unplace(queue);
    domains_forget(queue);
    carriers_close_idle(queue);
}

static void drain(struct role *role)
{
    struct queue *queue = role->state;
    carriers_close_idle(queue);
    timer_again(&queue->tick, 0);
}

static void stop(struct role *role)
{
    struct queue *queue = role->state;
    free_rooms(queue);
    free(queue);
    role->state = NULL;
}

const struct role_steps queue_steps = {
    .start = start,
    .sandbox = sandbox,
    .open = open_role,
    .peer = peer,
    .settings = settings,
    .drain = drain,
    .stop = stop,
    .gathers_log = true,
};

int queue_main(int fd)
{
    struct role role = { .kind = ROLE_QUEUE };
    return role_run(&role, fd, &queue_steps);
}

/* power [--seeds FIRST COUNT] [--steps N] [--forget CALL]: every power cut of many runs of the spool.
 *
 * Each seed is a run. After each of its changes to the disk the power fails, and what was not durable is there, dropped, torn, without
 * its bytes, one change at a time or each by chance. On each such disk a start must find all that was promised and nothing else. On
 * some of them the start goes on, and its own changes are cut in the same way. Ends with one line of counts; exit 1 where anything was
 * lost, altered, strange, sent to again or unreadable, after a line that says where. */
#include "../../relay/base/text.h"
#include "memdisk.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONES_MAX     10  /* pending changes that are looked at one by one at a cut */
#define SECTORS_MAX  8   /* places at which one is torn */
#define CHANCES      4   /* cuts at which each sector fares by chance */
#define SECOND_EVERY 151 /* one of so many disks is started and cut again */

static struct {
    size_t states, second, bad, promised, compactions;
    size_t begun; /* states before this seed: what a seed does depends on no other */
    struct verdict sum;
} counts;

struct scene {
    uint64_t seed;
    const struct memdisk *disk;
    const struct books *books;
    bool second; /* this is a start already */
};

static void cut_everywhere(const struct scene *scene);

static void complain(const struct scene *scene, const struct cut *cut, const struct verdict *verdict)
{
    if (counts.bad++ < 10)
        printf("seed %llu%s, cut after %zu, rest %d, one %zd of %zu fares %d at %zu, chance %llu: %zu lost, %zu altered, %zu "
               "strange, "
               "%zu sent to again, %zu unreadable\n",
               (unsigned long long)scene->seed, scene->second ? " (second cut)" : "", cut->after, cut->rest, (ssize_t)cut->one,
               memdisk_pending(scene->disk, cut->after), cut->fate, cut->where, (unsigned long long)cut->seed, verdict->lost,
               verdict->altered, verdict->strange, verdict->resurrected, verdict->unreadable);
}

static void add(const struct verdict *verdict)
{
    counts.sum.lost += verdict->lost;
    counts.sum.altered += verdict->altered;
    counts.sum.strange += verdict->strange;
    counts.sum.resurrected += verdict->resurrected;
    counts.sum.unreadable += verdict->unreadable;
    counts.sum.doubts += verdict->doubts;
}

/* A start on the disk of CUT, whose books are FOUND; then its own cuts. */
static void start_and_cut(const struct scene *scene, struct memdisk *disk, struct books *found)
{
    struct scene start = { scene->seed, disk, found, true };
    struct cut none = { .after = SIZE_MAX };
    memdisk_remember(disk);
    run_start(found, 100000 + (uint32_t)(counts.states - counts.begun) % 1000);
    counts.compactions += found->compactions;
    struct verdict verdict = books_compare(found, memdisk_changes(disk), NULL);
    none.after = memdisk_changes(disk);
    if (verdict_is_bad(&verdict))
        complain(&start, &none, &verdict);
    add(&verdict);
    cut_everywhere(&start);
}

static void try(const struct scene *scene, struct cut cut)
{
    static struct books found, second; /* large */
    bool again = !scene->second && (counts.states - counts.begun) % SECOND_EVERY == 0;
    struct memdisk *disk = memdisk_after(scene->disk, &cut);
    memdisk_use(disk);
    struct verdict verdict = books_compare(scene->books, cut.after, again ? &found : NULL);
    counts.states++;
    counts.second += scene->second;
    add(&verdict);
    if (verdict_is_bad(&verdict))
        complain(scene, &cut, &verdict);
    else if (again) {
        second = found;
        start_and_cut(scene, disk, &second);
    }
    memdisk_free(&disk);
}

static void cut_one(const struct scene *scene, size_t after, size_t one)
{
    size_t sectors = memdisk_sectors(scene->disk, after, one), step = sectors / SECTORS_MAX + 1;
    try(scene, (struct cut){ after, FATE_KEPT, one, FATE_DROPPED, 0, 0 });
    try(scene, (struct cut){ after, FATE_DROPPED, one, FATE_KEPT, 0, 0 });
    try(scene, (struct cut){ after, FATE_KEPT, one, FATE_ZEROS, 0, 0 });
    for (size_t where = 1; where < sectors; where += step) {
        try(scene, (struct cut){ after, FATE_KEPT, one, FATE_HEAD, where, 0 });
        try(scene, (struct cut){ after, FATE_KEPT, one, FATE_TAIL, where, 0 });
        try(scene, (struct cut){ after, FATE_DROPPED, one, FATE_HEAD, where, 0 });
        try(scene, (struct cut){ after, FATE_DROPPED, one, FATE_TAIL, where, 0 });
    }
}

static void cut_everywhere(const struct scene *scene)
{
    size_t changes = memdisk_changes(scene->disk);
    for (size_t after = 0; after <= changes; after++) {
        size_t pending = memdisk_pending(scene->disk, after), step = pending / ONES_MAX + 1;
        try(scene, (struct cut){ after, FATE_KEPT, SIZE_MAX, FATE_KEPT, 0, 0 });
        if (!pending)
            continue;
        try(scene, (struct cut){ after, FATE_DROPPED, SIZE_MAX, FATE_KEPT, 0, 0 });
        try(scene, (struct cut){ after, FATE_ZEROS, SIZE_MAX, FATE_KEPT, 0, 0 });
        for (unsigned i = 0; i < CHANCES; i++)
            try(scene, (struct cut){ after, FATE_RANDOM, SIZE_MAX, FATE_KEPT, 0, scene->seed * 1000 + after * 10 + i });
        for (size_t one = 0; one < pending; one += step)
            cut_one(scene, after, one);
    }
}

static void run_seed(uint64_t seed, unsigned steps)
{
    static struct books books;
    struct memdisk *disk = memdisk_new();
    struct scene scene = { seed, disk, &books, false };
    counts.begun = counts.states;
    memdisk_use(disk);
    memdisk_remember(disk);
    run_spool(seed, steps, &books);
    for (size_t i = 0; i < books.nmessages; i++)
        counts.promised += books.messages[i].stored.kept != NEVER;
    counts.compactions += books.compactions;
    cut_everywhere(&scene);
    memdisk_free(&disk);
}

static uint64_t number_of(const char *text)
{
    uint64_t value = 0;
    if (!text || !text_number(span_of(text), 0, UINT32_MAX, &value)) {
        fprintf(stderr, "power [--seeds FIRST COUNT] [--steps N] [--forget CALL]\n");
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const char *const forgettable[MEMDISK_CALLS] = { "fdatasync", "fsync", "fsync-folder", "ftruncate" };
    uint64_t first = 1, count = 20, steps = 30;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 2 < argc) {
            first = number_of(argv[i + 1]);
            count = number_of(argv[i + 2]);
            i += 2;
        } else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc) {
            steps = number_of(argv[++i]);
        } else if (strcmp(argv[i], "--forget") == 0 && i + 1 < argc) {
            i++;
            for (int call = 0; call < MEMDISK_CALLS; call++)
                if (strcmp(argv[i], forgettable[call]) == 0)
                    memdisk_forget((enum memdisk_call)call);
        } else {
            number_of(NULL);
        }
    }
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed, (unsigned)steps);
    printf("%zu disk states (%zu of a second cut), %zu messages promised, %zu compactions: %zu lost, %zu altered, %zu strange, "
           "%zu sent to again, "
           "%zu unreadable; %zu doubts told\n",
           counts.states, counts.second, counts.promised, counts.compactions, counts.sum.lost, counts.sum.altered,
           counts.sum.strange, counts.sum.resurrected, counts.sum.unreadable, counts.sum.doubts);
    return counts.bad ? 1 : 0;
}

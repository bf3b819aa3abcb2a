#include "dialogues.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/text.h"

#include <stdlib.h>

struct dialogue {
    struct list node;
    struct uid id;
    size_t size;
    char text[];
};

struct dialogues {
    struct map *by_id;
    struct list kept; /* the last at the front */
};

struct dialogues *dialogues_new(void)
{
    struct dialogues *dialogues = text_zalloc(sizeof *dialogues);
    dialogues->by_id = map_new(0);
    list_init(&dialogues->kept);
    return dialogues;
}

void dialogues_free(struct dialogues **dialogues)
{
    if (!*dialogues)
        return;
    map_free(&(*dialogues)->by_id, free);
    free(*dialogues);
    *dialogues = NULL;
}

static struct span key_of(const struct uid *id)
{
    return span_make((const char *)id->bytes, sizeof id->bytes);
}

static void drop(struct dialogues *dialogues, struct dialogue *dialogue)
{
    list_remove(&dialogue->node);
    map_remove(dialogues->by_id, key_of(&dialogue->id));
    free(dialogue);
}

void dialogues_keep(struct dialogues *dialogues, struct uid id, struct span text)
{
    struct dialogue *before = map_get(dialogues->by_id, key_of(&id));
    if (before)
        drop(dialogues, before);
    if (map_count(dialogues->by_id) >= DIALOGUES_MAX)
        drop(dialogues, LIST_ENTRY(dialogues->kept.previous, struct dialogue, node));
    struct dialogue *dialogue = text_zalloc(sizeof *dialogue + text.n);
    dialogue->id = id;
    dialogue->size = text.n;
    if (text.n)
        memcpy(dialogue->text, text.p, text.n);
    list_prepend(&dialogues->kept, &dialogue->node);
    map_put(dialogues->by_id, key_of(&dialogue->id), dialogue, NULL);
}

struct span dialogues_of(const struct dialogues *dialogues, struct uid id)
{
    const struct dialogue *dialogue = map_get(dialogues->by_id, key_of(&id));
    return dialogue ? span_make(dialogue->text, dialogue->size) : SPAN("");
}

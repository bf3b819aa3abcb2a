/* The sample file and the manual's tables, from the rows of keys.c. */
#include "keys.h"

#include <inttypes.h>

/* The bounds of KEY in words, or nothing. */
static void add_bounds(const struct key *key, struct buffer *out)
{
    char min[32], max[32];
    if (key->type == VALUE_NUMBER && key->bounds.max) {
        buffer_addf(out, "%" PRIu64 " to %" PRIu64, key->bounds.min, key->bounds.max);
    } else if (key->type == VALUE_SIZE) {
        values_size_print(key->bounds.min, min);
        values_size_print(key->bounds.max, max);
        buffer_addf(out, "%s to %s", min, max);
    } else if (key->type == VALUE_TIME || key->type == VALUE_TIMES) {
        values_time_print((int64_t)key->bounds.min, min);
        values_time_print((int64_t)key->bounds.max, max);
        buffer_addf(out, "%s to %s", min, max);
    }
    for (size_t i = 0; key->bounds.words && key->bounds.words[i]; i++)
        buffer_addf(out, "%s%s", i ? ", " : "", key->bounds.words[i]);
}

/* TEXT for the manual: a double quote would end a macro's argument. */
static void add_roff(const char *text, struct buffer *out)
{
    for (; *text; text++)
        if (*text == '"')
            buffer_add_text(out, "\\(dq");
        else
            buffer_add_byte(out, *text);
}

void keys_sample(struct buffer *out)
{
    buffer_add_text(out, "# postern.conf: every key with its default or an example. See postern.conf(5).\n");
    for (size_t i = 0; i < keys_nsections; i++) {
        const struct section *section = &keys_sections[i];
        const char *indent = *section->name ? "    " : "";
        buffer_addf(out, "\n# %s\n", section->prose);
        if (*section->name)
            buffer_addf(out, section->titled ? "# %s \"%s\" {\n" : "# %s {\n", section->name, section->example);
        for (size_t j = 0; j < section->nkeys; j++)
            buffer_addf(out, "#%s%s = %s\n#%s    %s\n", indent, section->keys[j].name, section->keys[j].example, indent,
                        section->keys[j].prose);
        buffer_add_text(out, *section->name ? "# }\n" : "");
    }
}

static void add_key(const struct key *key, struct buffer *out)
{
    struct buffer bounds;
    buffer_init(&bounds, 1024);
    add_bounds(key, &bounds);
    buffer_addf(out, ".It Ic %s\n", key->name);
    add_roff(key->prose, out);
    buffer_add_byte(out, '\n');
    if (buffer_size(&bounds))
        buffer_addf(out, "Allowed: %s.\n", buffer_text(&bounds));
    if (key->required)
        buffer_add_text(out, "Must be given.\n");
    else if (key->fallback && *key->fallback)
        buffer_addf(out, "Default:\n.Li %s .\n", key->fallback);
    buffer_addf(out, ".Dl %s = ", key->name);
    add_roff(key->example, out);
    buffer_add_byte(out, '\n');
    buffer_fini(&bounds);
}

void keys_manual(struct buffer *out)
{
    for (size_t i = 0; i < keys_nsections; i++) {
        const struct section *section = &keys_sections[i];
        if (!*section->name)
            buffer_add_text(out, ".Ss Top level\n");
        else
            buffer_addf(out, section->titled ? ".Ss %s \\(dqNAME\\(dq { }\n" : ".Ss %s { }\n", section->name);
        add_roff(section->prose, out);
        buffer_add_text(out, "\n.Bl -tag -width Ds\n");
        for (size_t j = 0; j < section->nkeys; j++)
            add_key(&section->keys[j], out);
        buffer_add_text(out, ".El\n");
    }
}

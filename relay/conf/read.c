/* Two passes. The first (scan.h) finds names and structure and complains about them; the second lets libconfuse read the values as texts,
 * which become members by the rows of keys.c. Then check.h looks at the whole. All mistakes of all three are told; a configuration with one
 * is never returned. */
#include "read.h"

#include "../base/text.h"
#include "check.h"
#include "scan.h"

#include <confuse.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_FILE_MAX  (64u << 20)
#define READ_ITEMS_MAX 10000

/* libconfuse's error function gets no context of ours: it is set for the time of one parse. */
static struct scan *parsing;

__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    char text[512];
    if (parsing->broken)
        return; /* the first pass has told better what is wrong */
    vsnprintf(text, sizeof text, format, arguments);
    bool token = strncmp(text, "unexpected token", 16) == 0; /* mostly a comma is missing in front of it */
    bool included = cfg && cfg->filename && strcmp(cfg->filename, "[buf]") != 0;
    scan_complain(parsing, included ? cfg->filename : parsing->files[0], cfg ? (unsigned)cfg->line : 1, "%s%s", text,
                  token ? "; between the elements of a list stands a comma, { \"a\", \"b\" }" : "");
}

/* libconfuse's options for the keys of SECTION, and one that ends the list. The caller frees them. */
static cfg_opt_t *make_options(const struct section *section, size_t extra)
{
    cfg_opt_t *options = text_zalloc((section->nkeys + extra + 1) * sizeof *options);
    for (size_t i = 0; i < section->nkeys; i++) {
        cfg_opt_t text = CFG_STR(section->keys[i].name, NULL, CFGF_NODEFAULT);
        cfg_opt_t list = CFG_STR_LIST(section->keys[i].name, NULL, CFGF_NODEFAULT);
        options[i] = values_is_list(section->keys[i].type) ? list : text;
    }
    cfg_opt_t end = CFG_END();
    options[section->nkeys] = end;
    return options;
}

/* All sections' options behind those of the top level. */
static cfg_opt_t *make_all_options(cfg_opt_t *sections[])
{
    const struct section *top = &keys_sections[0];
    cfg_opt_t *options = make_options(top, keys_nsections + 1);
    size_t n = top->nkeys;
    for (size_t i = 1; i < keys_nsections; i++) {
        const struct section *section = &keys_sections[i];
        sections[i] = make_options(section, 0);
        cfg_opt_t option = CFG_SEC(section->name, sections[i], section->titled ? CFGF_MULTI | CFGF_TITLE : CFGF_NONE);
        options[n++] = option;
    }
    cfg_opt_t include = CFG_FUNC("include", cfg_include), end = CFG_END();
    options[n++] = include;
    options[n] = end;
    return options;
}

/* The texts that are given for KEY in CFG; the default's where there are none. Returns how many; *ret_given tells which it was. */
static size_t collect(cfg_t *cfg, const struct key *key, const char **items, char *fallback, size_t size, bool *ret_given)
{
    size_t n = cfg ? cfg_size(cfg, key->name) : 0;
    *ret_given = n > 0 && cfg_getnstr(cfg, key->name, 0) != NULL;
    if (*ret_given) {
        n = n < READ_ITEMS_MAX ? n : READ_ITEMS_MAX;
        for (size_t i = 0; i < n; i++)
            items[i] = cfg_getnstr(cfg, key->name, (unsigned)i);
        return n;
    }
    text_copy(fallback, size, span_of(key->fallback));
    if (!values_is_list(key->type)) {
        items[0] = fallback;
        return 1;
    }
    n = 0;
    for (char *at = fallback; *at; n++) {
        items[n] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    return n;
}

static void read_key(struct scan *scan, const struct section *section, const char *title, cfg_t *cfg, const struct key *key,
                     char *base)
{
    const char **items = text_zalloc(READ_ITEMS_MAX * sizeof *items);
    char fallback[256], why[600];
    bool given;
    size_t n = collect(cfg, key, items, fallback, sizeof fallback, &given);
    if (key->given_offset)
        *(bool *)(base + key->given_offset) = given;
    if (!given && !key->fallback) {
        if (key->required)
            scan_complain_at(scan, section->name, title, NULL, "%s is missing%s%s; such as %s = %s", key->name,
                             *section->name ? " in section " : "", section->name, key->name, key->example);
        if (key->type == VALUE_TEXT)
            *(char **)(void *)(base + key->offset) = text_dup(SPAN(""));
    } else if (!values_parse(key->type, &key->bounds, items, n, base + key->offset, why, sizeof why)) {
        scan_complain_at(scan, section->name, title, key->name, "%s = %s is wrong; it must be %s", key->name,
                         n ? items[0] : "{ }", why);
        if (key->type == VALUE_TEXT)
            *(char **)(void *)(base + key->offset) = text_dup(SPAN(""));
    }
    free(items);
}

static void read_keys(struct scan *scan, const struct section *section, const char *title, cfg_t *cfg, void *base)
{
    for (size_t i = 0; i < section->nkeys; i++)
        read_key(scan, section, title, cfg, &section->keys[i], base);
}

static void read_section(struct scan *scan, const struct section *section, cfg_t *top, struct conf *conf)
{
    char *base = (char *)conf + section->offset;
    unsigned n = top && *section->name ? cfg_size(top, section->name) : 0;
    if (!section->titled) {
        read_keys(scan, section, "", !*section->name ? top : n ? cfg_getnsec(top, section->name, 0) : NULL, base);
        return;
    }
    char *items = text_zalloc(n * section->item_size);
    *(void **)(void *)base = items;
    *(size_t *)(void *)((char *)conf + section->count_offset) = n;
    for (unsigned i = 0; i < n; i++) {
        cfg_t *cfg = cfg_getnsec(top, section->name, i);
        const char *title = cfg_title(cfg) ? cfg_title(cfg) : "";
        char *item = items + i * section->item_size;
        *(char **)(void *)(item + section->title_offset) = text_dup(span_of(title));
        read_keys(scan, section, title, cfg, item);
    }
}

/* The second pass over TEXT. */
static struct conf *read_values(struct scan *scan, const char *name, const char *text)
{
    cfg_opt_t **sections = text_zalloc(keys_nsections * sizeof *sections);
    cfg_opt_t *options = make_all_options(sections);
    cfg_t *cfg = cfg_init(options, CFGF_IGNORE_UNKNOWN);
    struct conf *conf = text_zalloc(sizeof *conf);
    cfg_set_error_function(cfg, on_error);
    parsing = scan;
    unsigned before = scan->mistakes;
    int result = cfg_parse_buf(cfg, text);
    if (result != CFG_SUCCESS && scan->mistakes == before && !before)
        scan_complain(scan, name, 1, "the file cannot be read");
    /* Behind a mistake of syntax nothing can be said of the values. */
    for (size_t i = 0; i < keys_nsections && result == CFG_SUCCESS; i++)
        read_section(scan, &keys_sections[i], cfg, conf);
    if (result != CFG_SUCCESS)
        conf_free(&conf);
    parsing = NULL;
    cfg_free(cfg);
    for (size_t i = 0; i < keys_nsections; i++)
        free(sections[i]);
    free(sections);
    free(options);
    return conf;
}

struct conf *conf_read_text(const char *name, struct span text, conf_complain complain, void *context)
{
    struct scan scan = { .complain = complain, .context = context };
    char *copy = text_dup(text);
    scan_text(&scan, name, text);
    const char *start = copy + (span_starts_nocase(text, SPAN(SCAN_BYTE_ORDER_MARK)) ? strlen(SCAN_BYTE_ORDER_MARK) : 0);
    unsigned structural = scan.mistakes;
    struct conf *conf = NULL;
    if (!structural || span_find(text, '\0') == text.n)
        conf = read_values(&scan, name, start);
    if (conf)
        check_all(conf, &scan);
    if (scan.mistakes)
        conf_free(&conf);
    scan_fini(&scan);
    free(copy);
    return conf;
}

/* All of the file PATH into TEXT; false with errno. */
static bool load(const char *path, struct buffer *text)
{
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (char *to; fd >= 0 && (to = buffer_reserve(text, 65536)) && (n = read(fd, to, 65536)) > 0;)
        buffer_commit(text, (size_t)n);
    int problem = text->overflow ? EFBIG : errno;
    if (fd >= 0)
        close(fd);
    errno = problem;
    return n == 0;
}

/* Keeps the first mistake. */
static void keep_first(void *context, const char *line)
{
    char *why = context;
    if (!*why)
        text_format(why, CONF_WHY_SIZE, "has a mistake (%.500s), so that nobody can be sure of the control.socket that is meant",
                    line);
}

/* A default is not believed where there is a mistake: it may be that of the socket's own line. */
bool conf_read_socket(const char *path, char *socket, size_t size, char why[CONF_WHY_SIZE])
{
    struct scan scan = { .complain = keep_first, .context = why };
    struct buffer text;
    bool found = false;
    why[0] = '\0';
    buffer_init(&text, READ_FILE_MAX);
    if (load(path, &text)) {
        scan_text(&scan, path, buffer_span(&text));
        struct conf *conf = read_values(&scan, path, buffer_text(&text));
        found = conf && (!scan.mistakes || scan_is_sure(&scan, "control", "socket")) &&
                text_copy(socket, size, span_of(conf->control.socket));
        conf_free(&conf);
        scan_fini(&scan);
    } else {
        text_format(why, CONF_WHY_SIZE, "cannot be read: %s", strerror(errno));
    }
    buffer_fini(&text);
    return found;
}

struct conf *conf_read(const char *path, conf_complain complain, void *context)
{
    struct buffer text;
    struct conf *conf = NULL;
    buffer_init(&text, READ_FILE_MAX);
    if (load(path, &text)) {
        conf = conf_read_text(path, buffer_span(&text), complain, context);
        if (conf)
            conf->file = text_dup(span_of(path));
    } else {
        char line[4200];
        text_format(line, sizeof line, "%s:1: the file cannot be read: %s", path, strerror(errno));
        complain(context, line);
    }
    buffer_fini(&text);
    return conf;
}

/* --- the other way --- */

static void write_keys(const struct section *section, const char *base, struct buffer *out)
{
    for (size_t i = 0; i < section->nkeys; i++) {
        const struct key *key = &section->keys[i];
        if (key->given_offset && !*(const bool *)(base + key->given_offset))
            continue;
        buffer_addf(out, "%s = ", key->name);
        values_print(key->type, &key->bounds, base + key->offset, out);
        buffer_add_byte(out, '\n');
    }
}

static void write_title(const char *title, struct buffer *out)
{
    const char *const *member = &title;
    buffer_add_byte(out, ' ');
    values_print(VALUE_TEXT, NULL, member, out);
}

bool conf_write(const struct conf *conf, struct buffer *out)
{
    for (size_t i = 0; i < keys_nsections; i++) {
        const struct section *section = &keys_sections[i];
        const char *base = (const char *)conf + section->offset;
        size_t n = section->titled ? *(const size_t *)(const void *)((const char *)conf + section->count_offset) : 1;
        if (section->titled)
            base = *(const char *const *)(const void *)base;
        for (size_t j = 0; j < n; j++) {
            const char *item = base + j * section->item_size;
            if (*section->name) {
                buffer_add_text(out, section->name);
                if (section->titled)
                    write_title(*(char *const *)(const void *)(item + section->title_offset), out);
                buffer_add_text(out, " {\n");
            }
            write_keys(section, item, out);
            buffer_add_text(out, *section->name ? "}\n" : "");
        }
    }
    return !out->overflow;
}

static void free_keys(const struct section *section, char *base)
{
    for (size_t i = 0; i < section->nkeys; i++)
        values_free(section->keys[i].type, base + section->keys[i].offset);
}

static void say_nothing(void *context, const char *line)
{
    (void)context;
    (void)line;
}

void conf_complain_of(const struct conf *conf, const char *section, const char *title, const char *key, const char *what,
                      conf_complain complain, void *context)
{
    struct scan scan = { .complain = say_nothing };
    struct buffer text;
    buffer_init(&text, READ_FILE_MAX);
    if (conf->file && load(conf->file, &text)) {
        scan_text(&scan, conf->file, buffer_span(&text));
        scan.complain = complain;
        scan.context = context;
        scan.mistakes = 0;
        scan_complain_at(&scan, section, title, key, "%s", what);
        scan_fini(&scan);
    } else {
        complain(context, what);
    }
    buffer_fini(&text);
}

void conf_free(struct conf **conf)
{
    if (!*conf)
        return;
    for (size_t i = 0; i < keys_nsections; i++) {
        const struct section *section = &keys_sections[i];
        char *base = (char *)*conf + section->offset;
        if (!section->titled) {
            free_keys(section, base);
            continue;
        }
        char *items = *(char **)(void *)base;
        size_t n = *(size_t *)(void *)((char *)*conf + section->count_offset);
        for (size_t j = 0; j < n; j++) {
            free(*(char **)(void *)(items + j * section->item_size + section->title_offset));
            free_keys(section, items + j * section->item_size);
        }
        free(items);
    }
    free((*conf)->file);
    free(*conf);
    *conf = NULL;
}

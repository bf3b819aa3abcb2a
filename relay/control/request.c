/* The filters are a table: their names on the command line, and where they go. */
#include "request.h"

#include "../base/text.h"

#include <jansson.h>
#include <stddef.h>

static const struct filter {
    const char *name;
    size_t offset;
    size_t size;
} filters[] = {
    { "id", offsetof(struct admin_ask, id), sizeof((struct admin_ask *)0)->id },
    { "account", offsetof(struct admin_ask, account), sizeof((struct admin_ask *)0)->account },
    { "client", offsetof(struct admin_ask, client), sizeof((struct admin_ask *)0)->client },
    { "sender", offsetof(struct admin_ask, sender), sizeof((struct admin_ask *)0)->sender },
    { "recipient", offsetof(struct admin_ask, recipient), sizeof((struct admin_ask *)0)->recipient },
    { "site", offsetof(struct admin_ask, site), sizeof((struct admin_ask *)0)->site },
};

static const struct filter *find(const char *name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (strcmp(filters[i].name, name) == 0)
            return &filters[i];
    return NULL;
}

static bool take_filter(const char *name, const json_t *value, struct admin_ask *ask, char reason[REQUEST_REASON_SIZE])
{
    char shown[64];
    const struct filter *filter = find(name);
    if (strcmp(name, "all") == 0 && json_is_boolean(value)) {
        ask->all = json_is_true(value);
        return true;
    }
    text_escape(shown, sizeof shown, span_of(name));
    if (!filter || !json_is_string(value)) {
        text_format(reason, REQUEST_REASON_SIZE, filter ? "the filter %s is no text" : "there is no filter %s", shown);
        return false;
    }
    struct span text = span_make(json_string_value(value), json_string_length(value));
    if (text_copy((char *)ask + filter->offset, filter->size, text))
        return true;
    text_format(reason, REQUEST_REASON_SIZE, "the filter %s takes at most %zu bytes", shown, filter->size - 1);
    return false;
}

static bool take(json_t *root, struct request *request, char reason[REQUEST_REASON_SIZE])
{
    const json_t *command = json_object_get(root, "command");
    json_t *given = json_object_get(root, "filters");
    const char *name;
    json_t *value;
    if (!json_is_string(command) || (given && !json_is_object(given)) ||
        !text_copy(request->command, sizeof request->command, span_of(json_string_value(command)))) {
        text_format(reason, REQUEST_REASON_SIZE, "the request lacks a command; send {\"command\": \"status\"} and the like");
        return false;
    }
    json_object_foreach(given, name, value) if (!take_filter(name, value, &request->ask, reason)) return false;
    return true;
}

bool request_read(struct span line, struct request *ret_request, char reason[REQUEST_REASON_SIZE])
{
    json_error_t error;
    struct request request = { .command = "" };
    json_t *root = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        text_format(reason, REQUEST_REASON_SIZE, "the request is no JSON (column %d)", error.column);
        return false;
    }
    bool taken = take(root, &request, reason);
    json_decref(root);
    if (taken)
        *ret_request = request;
    return taken;
}

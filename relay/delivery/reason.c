#include "reason.h"

#include "../base/text.h"

#include <stdarg.h>
#include <stdio.h>

void reason_local(struct reason *reason, const char *enhanced, const char *format, ...)
{
    char text[REASON_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reason->remote = reason->dsn = false;
    text_copy(reason->enhanced, sizeof reason->enhanced, span_of(enhanced));
    text_escape(reason->text, sizeof reason->text, span_of(text));
}

void reason_remote(struct reason *reason, const struct reply *reply, char class)
{
    reason->remote = true;
    reason->dsn = false;
    if (!text_copy(reason->enhanced, sizeof reason->enhanced, span_of(reply->enhanced)) || !reply->enhanced[0])
        text_copy(reason->enhanced, sizeof reason->enhanced, SPAN("x.0.0"));
    reason->enhanced[0] = class;
    text_format(reason->text, sizeof reason->text, "%u %s", reply->code, reply->text);
}

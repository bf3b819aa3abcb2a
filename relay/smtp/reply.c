/* A remote's reply is told to people (log, bounce, command line) and kept in the spool, so its text becomes one printable line
 * of bounded size here, before anybody else sees it: no byte of it can add a line or a field later (OpenSMTPD, CVE-2020-8794). */
#include "reply.h"

#include "../base/text.h"
#include "status.h"

#define CUT_MARK "…"

void reply_init(struct reply *reply)
{
    *reply = (struct reply){ .code = 0 };
}

/* The reply code at the front of LINE, [2-5][0-5][0-9], or 0. */
static unsigned line_code(struct span line)
{
    static const char low[] = "200", high[] = "559";
    unsigned code = 0;
    if (line.n < 3)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (line.p[i] < low[i] || line.p[i] > high[i])
            return 0;
        code = code * 10 + (unsigned)(line.p[i] - '0');
    }
    return code;
}

/* Adds SPAN, escaped, to the text; room for the mark of a cut is always kept. Behind a cut nothing is added, or the text would
 * read as if it were whole. */
static void add_text(struct reply *reply, struct span span)
{
    size_t at = strlen(reply->text), room = sizeof reply->text - sizeof CUT_MARK + 1;
    if (reply->cut)
        return;
    if (text_escape(reply->text + at, room - at, span))
        return;
    memcpy(reply->text + strlen(reply->text), CUT_MARK, sizeof CUT_MARK);
    reply->cut = true;
}

enum reply_progress reply_feed(struct reply *reply, struct span line)
{
    unsigned code = line_code(line);
    bool last = line.n == 3 || (line.n > 3 && line.p[3] == ' ');
    if (!code || (!last && line.p[3] != '-') || (reply->lines && code != reply->code))
        return REPLY_MALFORMED;
    if (reply->lines == SMTP_REPLY_LINES_MAX || span_find(line, '\0') < line.n || span_find(line, '\r') < line.n)
        return REPLY_MALFORMED;
    reply->code = code;
    reply->lines++;
    struct span text = span_trim(reply_line_text(line));
    if (text.n && reply->text[0])
        add_text(reply, SPAN(" / "));
    add_text(reply, text);
    if (!last)
        return REPLY_MORE;
    struct span enhanced = status_find(text);
    if (enhanced.n && enhanced.p[0] == line.p[0])
        text_copy(reply->enhanced, sizeof reply->enhanced, enhanced);
    return REPLY_DONE;
}

struct span reply_line_text(struct span line)
{
    return span_skip(line, 4);
}

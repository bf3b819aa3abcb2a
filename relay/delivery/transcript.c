#include "transcript.h"

#include <string.h>

static const char left_out[] = "… and more\n";

void transcript_init(struct transcript *transcript)
{
    buffer_init(&transcript->lines, DELIVERY_DIALOGUE_MAX);
    transcript->full = false;
}

void transcript_fini(struct transcript *transcript)
{
    buffer_fini(&transcript->lines);
    transcript_init(transcript);
}

void transcript_add(struct transcript *transcript, char who, const char *const *texts)
{
    struct buffer *lines = &transcript->lines;
    const char begin[] = { who, ':', ' ' };
    size_t size = buffer_size(lines), added = sizeof begin + 1;
    for (size_t i = 0; texts[i]; i++)
        added += strlen(texts[i]);
    if (transcript->full)
        return;
    transcript->full = size + added + sizeof left_out > DELIVERY_DIALOGUE_MAX;
    if (transcript->full) {
        buffer_add_text(lines, left_out);
        return;
    }
    buffer_add(lines, span_make(begin, sizeof begin));
    for (size_t i = 0; texts[i]; i++)
        buffer_add_text(lines, texts[i]);
    buffer_add_byte(lines, '\n');
}

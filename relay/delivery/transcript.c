#include "transcript.h"

#include "../base/text.h"

#define LINE_SIZE 1024

static const char left_out[] = "… and more\n";

void transcript_clear(struct transcript *transcript)
{
    transcript->size = 0;
    transcript->full = false;
}

static bool add(struct transcript *transcript, const char *text, size_t room_behind)
{
    size_t n = strlen(text);
    if (transcript->size + n + room_behind > sizeof transcript->text)
        return false;
    memcpy(transcript->text + transcript->size, text, n);
    transcript->size += n;
    return true;
}

void transcript_add(struct transcript *transcript, char who, struct span text)
{
    char shown[LINE_SIZE - 8], line[LINE_SIZE];
    if (transcript->full)
        return;
    text_escape(shown, sizeof shown, text);
    text_format(line, sizeof line, "%c: %s\n", who, shown);
    if (add(transcript, line, sizeof left_out))
        return;
    transcript->full = true;
    add(transcript, left_out, 0);
}

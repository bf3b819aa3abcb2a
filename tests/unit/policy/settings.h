/* Settings for the tests of policy, made without a file. */
#ifndef TESTS_UNIT_POLICY_SETTINGS_H
#define TESTS_UNIT_POLICY_SETTINGS_H

#include "../../../relay/conf/conf.h"

/* A text for a member that the configuration would own. */
static inline char *settings_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

#define SETTINGS_TEXTS(...)                                                                                                      \
    {                                                                                                                            \
        (char *[]){ __VA_ARGS__ }, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *)                                            \
    }

#endif

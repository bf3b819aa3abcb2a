/* The queue role's steps, for tests that play the parent. */
#ifndef POSTERN_QUEUE_MAIN_H
#define POSTERN_QUEUE_MAIN_H

#include "../role/role.h"

extern const struct role_steps queue_steps;

#endif

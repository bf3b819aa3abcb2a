/* What an administrator may ask for: a table of commands, each answered here or by another role. */
#ifndef POSTERN_CONTROL_ORDER_H
#define POSTERN_CONTROL_ORDER_H

#include "request.h"
#include "visitor.h"

/* Carries out REQUEST for VISITOR, which may be no more when this returns. */
void order_run(struct visitor *visitor, const struct request *request);

#endif

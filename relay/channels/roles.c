#include "roles.h"

#include "admin.h"
#include "dns.h"
#include "parent_role.h"
#include "queue_delivery.h"
#include "queue_policy.h"
#include "sts.h"
#include "submission_auth.h"
#include "submission_policy.h"
#include "submission_queue.h"

const struct role_link role_links[] = {
    { ROLE_SUBMISSION, ROLE_AUTH, &submission_auth_channel },
    { ROLE_SUBMISSION, ROLE_DNS, &dns_channel },
    { ROLE_SUBMISSION, ROLE_POLICY, &submission_policy_channel },
    { ROLE_SUBMISSION, ROLE_QUEUE, &submission_queue_channel },
    { ROLE_QUEUE, ROLE_POLICY, &queue_policy_channel },
    { ROLE_QUEUE, ROLE_DNS, &dns_channel },
    { ROLE_QUEUE, ROLE_DELIVERY, &queue_delivery_channel },
    { ROLE_DELIVERY, ROLE_DNS, &dns_channel },
    { ROLE_CONTROL, ROLE_QUEUE, &admin_channel },
    { ROLE_CONTROL, ROLE_POLICY, &admin_channel },
    { ROLE_CONTROL, ROLE_DNS, &dns_channel },
    { ROLE_QUEUE, ROLE_STS, &sts_channel },
    { ROLE_CONTROL, ROLE_STS, &sts_channel },
    { ROLE_STS, ROLE_DNS, &dns_channel },
};
const unsigned role_nlinks = sizeof role_links / sizeof *role_links;

static const char *const names[ROLE_KINDS] = {
    [ROLE_PARENT] = "parent",     [ROLE_SUBMISSION] = "submission", [ROLE_AUTH] = "auth",
    [ROLE_DNS] = "dns",           [ROLE_POLICY] = "policy",         [ROLE_QUEUE] = "queue",
    [ROLE_DELIVERY] = "delivery", [ROLE_CONTROL] = "control",       [ROLE_STS] = "sts",
};

const char *role_name(enum role_kind kind)
{
    return kind < ROLE_KINDS ? names[kind] : "unknown";
}

const struct role_link *role_link_between(enum role_kind a, enum role_kind b, enum ipc_side *ret_side)
{
    for (unsigned i = 0; i < role_nlinks; i++) {
        const struct role_link *link = &role_links[i];
        if ((link->front == a && link->back == b) || (link->front == b && link->back == a)) {
            if (ret_side)
                *ret_side = link->front == a ? IPC_FRONT : IPC_BACK;
            return link;
        }
    }
    return NULL;
}

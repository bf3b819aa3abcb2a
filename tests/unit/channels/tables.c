/* The lists of messages: each fits a datagram, names itself once, and each pair of roles that talk has one channel with two sides. */
#include "../../../relay/channels/admin.h"
#include "../../../relay/channels/dns.h"
#include "../../../relay/channels/parent_role.h"
#include "../../../relay/channels/queue_delivery.h"
#include "../../../relay/channels/queue_policy.h"
#include "../../../relay/channels/sts.h"
#include "../../../relay/channels/submission_auth.h"
#include "../../../relay/channels/submission_policy.h"
#include "../../../relay/channels/submission_queue.h"
#include "../unit.h"

#define PACKET_ROOM 16 /* of a datagram, that is no body (see ipc.c) */

static const struct {
    const struct ipc_channel *channel;
    unsigned count; /* of the list's messages */
} channels[] = {
    { &admin_channel, ADMIN_COUNT },
    { &dns_channel, DNS_COUNT },
    { &parent_role_channel, PARENT_ROLE_COUNT },
    { &queue_delivery_channel, QUEUE_DELIVERY_COUNT },
    { &queue_policy_channel, QUEUE_POLICY_COUNT },
    { &sts_channel, STS_COUNT },
    { &submission_auth_channel, SUBMISSION_AUTH_COUNT },
    { &submission_policy_channel, SUBMISSION_POLICY_COUNT },
    { &submission_queue_channel, SUBMISSION_QUEUE_COUNT },
};

static void check_kind(const struct ipc_channel *channel, unsigned type)
{
    const struct ipc_kind *kind = &channel->kinds[type];
    assert_non_null(kind->name);
    assert_true(kind->from == IPC_FRONT || kind->from == IPC_BACK);
    assert_true(kind->size > 0);
    assert_true(kind->size_min <= kind->size);
    if (kind->size + PACKET_ROOM > IPC_MESSAGE_MAX)
        fail_msg("%s of %s has %zu bytes, more than a datagram takes", kind->name, channel->name, kind->size);
    for (unsigned other = 0; other < type; other++)
        assert_string_not_equal(channel->kinds[other].name, kind->name);
}

static void messages_fit_a_datagram(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(channels); i++) {
        const struct ipc_channel *channel = channels[i].channel;
        bool sides[2] = { false, false };
        assert_non_null(channel->name);
        assert_int_equal(channel->nkinds, channels[i].count);
        for (unsigned type = 0; type < channel->nkinds; type++) {
            check_kind(channel, type);
            sides[channel->kinds[type].from] = true;
        }
        assert_true(sides[IPC_FRONT] && sides[IPC_BACK]);
    }
}

static void links_are_known_channels(void **state)
{
    (void)state;
    for (unsigned i = 0; i < role_nlinks; i++) {
        const struct role_link *link = &role_links[i];
        bool known = false;
        for (size_t j = 0; j < COUNT(channels); j++)
            known = known || channels[j].channel == link->channel;
        assert_true(known);
        assert_true(link->front != link->back && link->front != ROLE_PARENT && link->back != ROLE_PARENT);
        for (unsigned j = 0; j < i; j++)
            assert_false((role_links[j].front == link->front && role_links[j].back == link->back) ||
                         (role_links[j].front == link->back && role_links[j].back == link->front));
    }
}

static void sides_are_told(void **state)
{
    (void)state;
    for (unsigned a = 0; a < ROLE_KINDS; a++) {
        for (unsigned b = 0; b < ROLE_KINDS; b++) {
            enum ipc_side of_a = IPC_FRONT, of_b = IPC_FRONT;
            const struct role_link *link = role_link_between(a, b, &of_a);
            assert_ptr_equal(role_link_between(b, a, &of_b), link);
            assert_ptr_equal(role_link_between(a, b, NULL), link);
            if (!link)
                continue;
            assert_int_not_equal(of_a, of_b);
            assert_int_equal(of_a == IPC_FRONT ? a : b, link->front);
        }
    }
}

/* Who sees what strangers send talks neither to control nor past its own duty. */
static void nobody_talks_who_should_not(void **state)
{
    static const struct {
        enum role_kind a, b;
    } never[] = {
        { ROLE_SUBMISSION, ROLE_DELIVERY }, { ROLE_SUBMISSION, ROLE_CONTROL }, { ROLE_AUTH, ROLE_DNS },
        { ROLE_AUTH, ROLE_QUEUE },          { ROLE_AUTH, ROLE_DELIVERY },      { ROLE_AUTH, ROLE_CONTROL },
        { ROLE_DELIVERY, ROLE_POLICY },     { ROLE_DELIVERY, ROLE_CONTROL },   { ROLE_SUBMISSION, ROLE_SUBMISSION },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(never); i++)
        assert_null(role_link_between(never[i].a, never[i].b, NULL));
}

static void roles_have_names(void **state)
{
    (void)state;
    for (unsigned a = 0; a < ROLE_KINDS; a++) {
        assert_true(strlen(role_name(a)) > 0);
        assert_string_not_equal(role_name(a), "unknown");
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(role_name(a), role_name(b));
    }
    assert_string_equal(role_name(ROLE_KINDS), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_fit_a_datagram), cmocka_unit_test(links_are_known_channels),
        cmocka_unit_test(sides_are_told),          cmocka_unit_test(nobody_talks_who_should_not),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Tags of accounts: the same after a restart, others with another key, and never a reason not to start. */
#include "../../../policy/tag.h"

#include "../../../relay/message/mark.h"
#include "../unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[100];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/postern-tag-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/%s", folder, TAG_FILE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void the_key_stays(void **state)
{
    struct tag_key first, second;
    struct stat known;
    (void)state;
    tag_load(folder, &first);
    tag_load(folder, &second);
    assert_memory_equal(first.bytes, second.bytes, sizeof first.bytes);
    assert_int_equal(stat(path, &known), 0);
    assert_int_equal(known.st_mode & 07777, 0600);
    assert_int_equal(known.st_size, sizeof first.bytes);
}

static void another_folder_has_another_key(void **state)
{
    struct tag_key first, second;
    (void)state;
    tag_load(folder, &first);
    unlink(path);
    tag_load(folder, &second);
    assert_memory_not_equal(first.bytes, second.bytes, sizeof first.bytes);
    assert_true(tag_of(&first, SPAN("alice")) != tag_of(&second, SPAN("alice")));
}

static void a_damaged_key_is_replaced(void **state)
{
    struct tag_key first, second;
    (void)state;
    for (off_t size = 0; size <= 17; size += 17) {
        tag_load(folder, &first);
        assert_int_equal(truncate(path, size), 0);
        tag_load(folder, &first);
        tag_load(folder, &second);
        assert_memory_equal(first.bytes, second.bytes, sizeof first.bytes);
    }
}

static void no_folder_is_no_reason_not_to_start(void **state)
{
    struct tag_key first, second;
    (void)state;
    tag_load("/nonexistent/postern", &first);
    tag_load("/nonexistent/postern", &second);
    assert_memory_not_equal(first.bytes, second.bytes, sizeof first.bytes);
}

static void tags_fit_their_account(void **state)
{
    struct tag_key key = { { 1 } };
    struct uid id = uid_next(), other = uid_next();
    uint64_t mark = mark_of(tag_of(&key, SPAN("alice")), id);
    (void)state;
    assert_true(tag_fits(&key, SPAN("alice"), id, mark));
    assert_false(tag_fits(&key, SPAN("bob"), id, mark));
    assert_false(tag_fits(&key, SPAN("alice"), other, mark));
    assert_false(tag_fits(&key, SPAN("alice"), id, 0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_key_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_folder_has_another_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_key_is_replaced, set_up, tear_down),
        cmocka_unit_test(no_folder_is_no_reason_not_to_start),
        cmocka_unit_test(tags_fit_their_account),
    };
    return cmocka_run_group_tests_name("tag", tests, NULL, NULL);
}

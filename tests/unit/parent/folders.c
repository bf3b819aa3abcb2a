/* Folders for the roles: made with what leads to them, open to those who must pass, whatever the parent's umask; and what is there stays. */
#include "../../../relay/parent/folders.h"
#include "folder.h"

static char top[64], spool[128], policy[128], sts[128], admin[128];
static struct conf conf;

static int set_up(void **state)
{
    (void)state;
    folder_make(top);
    text_format(spool, sizeof spool, "%s/deep/er/spool", top);
    text_format(policy, sizeof policy, "%s/policy", top);
    text_format(sts, sizeof sts, "%s/sts", top);
    text_format(admin, sizeof admin, "%s/run/control.sock", top);
    conf =
        (struct conf){ .spool.directory = spool, .policy.directory = policy, .mta_sts.directory = sts, .control.socket = admin };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_clear(top);
    return 0;
}

static mode_t mode_of(const char *name)
{
    char path[160];
    struct stat status;
    text_format(path, sizeof path, "%s/%s", top, name);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    return status.st_mode & 0777;
}

static void makes_what_is_missing(void **state)
{
    static const mode_t masks[] = { 0077, 0022, 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(masks); i++) {
        mode_t before = umask(masks[i]);
        bool made = folders_make(&conf, true);
        umask(before);
        assert_true(made);
        assert_int_equal(mode_of("deep"), 0755); /* the roles have other users, and pass here */
        assert_int_equal(mode_of("deep/er"), 0755);
        assert_int_equal(mode_of("deep/er/spool"), 0700);
        assert_int_equal(mode_of("policy"), 0700);
        assert_int_equal(mode_of("sts"), 0700);
        assert_int_equal(mode_of("run"), 0755); /* the socket's own mode says who may administer */
        folder_clear(top);
        assert_int_equal(mkdir(top, 0700), 0);
    }
}

static void leaves_what_is_there(void **state)
{
    (void)state;
    assert_true(folders_make(&conf, true));
    assert_int_equal(chmod(spool, 0750), 0);
    text_format(admin, sizeof admin, "%s/run", top);
    assert_int_equal(chmod(admin, 0710), 0);
    text_format(admin, sizeof admin, "%s/run/control.sock", top);
    assert_true(folders_make(&conf, true));
    assert_int_equal(mode_of("deep/er/spool"), 0750);
    assert_int_equal(mode_of("run"), 0710);
}

static void slashes_do_not_matter(void **state)
{
    (void)state;
    text_format(spool, sizeof spool, "%s//deep///er/spool//", top);
    text_format(policy, sizeof policy, "%s/policy/", top);
    assert_true(folders_make(&conf, true));
    assert_int_equal(mode_of("deep"), 0755);
    assert_int_equal(mode_of("deep/er/spool"), 0700);
    assert_int_equal(mode_of("policy"), 0700);
}

static void tells_what_cannot_be_made(void **state)
{
    static char longest[5000];
    char file[128], below[160];
    (void)state;
    folder_write(top, "file", SPAN(""), file);
    text_format(below, sizeof below, "%s/spool", file);
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    char *const wrong[] = { file, below, longest, (char *)(uintptr_t) "/proc/none/spool", (char *)(uintptr_t) "" };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        conf.spool.directory = wrong[i];
        if (folders_make(&conf, true))
            fail_msg("\"%.60s\" was made", wrong[i]);
        conf.spool.directory = spool;
        conf.policy.directory = wrong[i];
        assert_false(folders_make(&conf, true));
        conf.policy.directory = policy;
        conf.mta_sts.directory = wrong[i]; /* which is no reason not to start */
        assert_true(folders_make(&conf, true));
        conf.mta_sts.directory = sts;
    }
    conf.control.socket = below;
    assert_false(folders_make(&conf, true));
}

/* All that cannot be had is told at once, by the keys that are to be changed. */
static void names_the_keys_that_are_to_be_changed(void **state)
{
    static const char *const told[] = { "\"spool.directory /proc/none/spool cannot be made: No such file or directory",
                                        "\"policy.directory /proc/none/policy cannot be made: ",
                                        "\"mta-sts.directory /proc/none/sts cannot be made: ",
                                        "\"the folder of control.socket /proc/none/run cannot be made: " };
    static char log[4096];
    char closed[128];
    (void)state;
    log_setup(LOG_LOGFMT, LOG_ERROR, "parent");
    int before = dup(2);
    FILE *captured = tmpfile();
    dup2(fileno(captured), 2);
    conf.spool.directory = (char *)(uintptr_t) "/proc/none/spool";
    conf.policy.directory = (char *)(uintptr_t) "/proc/none/policy";
    conf.mta_sts.directory = (char *)(uintptr_t) "/proc/none/sts";
    conf.control.socket = (char *)(uintptr_t) "/proc/none/run/control.sock";
    bool made = folders_make(&conf, true);
    text_format(closed, sizeof closed, "%s/closed", top);
    assert_int_equal(mkdir(closed, 0500) || chmod(top, 0755), 0);
    conf.spool.directory = closed;
    bool is_root = geteuid() == 0;
    assert_true(!is_root || seteuid(65534) == 0);
    made = folders_make(&conf, true) || made;
    assert_true(!is_root || seteuid(0) == 0);
    dup2(before, 2);
    close(before);
    rewind(captured);
    log[fread(log, 1, sizeof log - 1, captured)] = '\0';
    fclose(captured);
    log_setup(LOG_LOGFMT, LOG_ERROR + 1, "parent");
    assert_false(made);
    for (size_t i = 0; i < COUNT(told); i++)
        assert_non_null(strstr(log, told[i]));
    assert_non_null(strstr(log, "/closed cannot be written to: Permission denied; set it to a folder of yours\""));
}

static void sockets_may_stand_anywhere(void **state)
{
    static const char *const paths[] = { "/postern.sock", "postern.sock", "/tmp/postern.sock" };
    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        conf.control.socket = (char *)(uintptr_t)paths[i];
        assert_true(folders_make(&conf, true));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_what_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leaves_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slashes_do_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_what_cannot_be_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_the_keys_that_are_to_be_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sockets_may_stand_anywhere, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

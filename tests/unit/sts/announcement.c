/* The TXT record that announces a policy: cases of RFC 8461 3.1, and what is none. */
#include "../../../relay/sts/announcement.h"
#include "../unit.h"

static char bytes[8192];
static size_t used;

static void add(struct span record)
{
    bytes[used++] = (char)(record.n >> 8);
    bytes[used++] = (char)(record.n & 0xff);
    memcpy(bytes + used, record.p, record.n);
    used += record.n;
}

/* The id that the record(s) TEXTS (a line each) announce, or "". */
static const char *read_id(const char *texts)
{
    static char id[ANNOUNCEMENT_ID_SIZE];
    struct span rest = span_of(texts);
    used = 0;
    while (rest.n)
        add(span_cut(&rest, '\n'));
    return announcement_read(span_make(bytes, used), id) ? id : "";
}

#define ID32 "01234567890123456789012345678901"

static void cases_of_the_grammar(void **state)
{
    static const struct {
        const char *texts, *id;
    } cases[] = {
        { "v=STSv1; id=20160831085700Z;", "20160831085700Z" },
        { "v=STSv1; id=20160831085700Z", "20160831085700Z" },
        { "v=STSv1;id=1", "1" },
        { "v=STSv1 ;\tid=abcXYZ ; ", "abcXYZ" },
        { "v=STSv1; id=" ID32, ID32 },
        { "v=STSv1; id=" ID32 "2", "" },
        { "v=STSv1; id=", "" },
        { "v=STSv1; id=a b", "" },
        { "v=STSv1; id=a-b", "" },
        { "v=STSv1; id=\xc3\xa4", "" },
        { "v=STSv1; id = 1", "" },
        { "v=STSv1; ID=1", "" },
        { "v=STSv1;", "" },
        { "v=STSv1", "" },
        { "v=STSv1 id=1", "" },
        { "v=STSv1;; id=1", "" },
        { "v=STSv10; id=1", "" },
        { "V=STSv1; id=1", "" },
        { "v=stsv1; id=1", "" },
        { "v=STSv2; id=1", "" },
        { " v=STSv1; id=1", "" },
        { "id=1; v=STSv1", "" },
        { "v=spf1 -all", "" },
        { "", "" },
        { "v=STSv1; id=1; ext.name_1-x=some:thing/else", "1" },
        { "v=STSv1; ext=1; id=2; other=3;", "2" },
        { "v=STSv1; id=1; id=2", "1" },
        { "v=STSv1; id=1; ext", "" },
        { "v=STSv1; id=1; ext=", "" },
        { "v=STSv1; id=1; =x", "" },
        { "v=STSv1; id=1; -ext=x", "" },
        { "v=STSv1; id=1; ext=a=b", "" },
        { "v=STSv1; id=1; ext=a b", "" },
        { "v=STSv1; id=1; abcdefghijklmnopqrstuvwxyz1234567=x", "" },
        { "v=STSv1; id=1; abcdefghijklmnopqrstuvwxyz123456=x", "1" },
        { "some other text\nv=STSv1; id=7;\nv=spf1 -all", "7" },
        { "v=STSv1; id=7;\nv=STSv1; id=7;", "" },
        { "v=STSv1; id=7;\nv=STSv1 nonsense", "" },
        { "v=STSv1; id=7;\nv=STSv11; id=8", "7" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (strcmp(read_id(cases[i].texts), cases[i].id) != 0)
            fail_msg("%s gave \"%s\"", cases[i].texts, read_id(cases[i].texts));
}

/* What dns sent is cut anywhere: nothing is read behind its end. */
static void cut_anywhere(void **state)
{
    char id[ANNOUNCEMENT_ID_SIZE];
    (void)state;
    used = 0;
    add(SPAN("v=STSv1; id=1"));
    size_t whole = used;
    add(SPAN("something else"));
    for (size_t n = 0; n <= used; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, bytes, n);
        assert_int_equal(announcement_read(span_make(copy, n), id), n >= whole);
        free(copy);
    }
    used = 0;
    add(span_make("v=STSv1; id=1\0", 14));
    assert_false(announcement_read(span_make(bytes, used), id));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(cases_of_the_grammar), cmocka_unit_test(cut_anywhere) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

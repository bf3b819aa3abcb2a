/* The writer in ordinary operation: many at once, large ones, giving up, refusals. */
#include "writers.h"

static void test_one(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct result *result = scene_submit(scene, 1, 4000);
    assert_false(result->told);
    scene_wait(scene);
    assert_int_equal(result->verdict, WRITER_STORED);
    assert_int_equal(result->place.segment, 1);
    assert_int_equal(result->place.record.offset, SEGMENT_HEADER_SIZE);
    assert_true(segment_has_writer(scene->box.folder, 1));
    int fd = segment_open(scene->box.folder, 1);
    assert_true(sample_is_at(fd, &result->place.record));
    close(fd);
    scene_end_writer(scene);
    assert_false(segment_has_writer(scene->box.folder, 1));
    assert_int_equal(scene->needs, 1);
    scene_check(scene, true);
    scene_free(scene);
}

static void test_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0,        1,      7,     8,       4095,           4096,     4097,
                                    8192,     65535,  65536, 1000000, (1u << 20) - 1, 1u << 20, (1u << 20) + 1,
                                    3u << 20, 9999999 };
    struct scene *scene = scene_new();
    for (size_t i = 0; i < COUNT(sizes); i++)
        scene_submit(scene, (uint32_t)i + 1, sizes[i]);
    scene_wait(scene);
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_int_equal(scene->results[i].verdict, WRITER_STORED);
    assert_int_equal(scene->larges, 3);
    scene_end_writer(scene);
    assert_int_equal(scene->failed, 0);
    scene_check(scene, true);
    scene_free(scene);
}

/* 50 sessions, 1,000 messages, each added in small pieces in turn. */
#define SESSIONS 50
#define MESSAGES 1000

static void test_many_at_once(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct {
        struct intake *intake;
        struct sample sample;
        size_t at;
    } sessions[SESSIONS] = { 0 };
    uint32_t number = 0;
    unsigned open = 1;
    while (open) {
        open = 0;
        for (unsigned i = 0; i < SESSIONS; i++) {
            if (!sessions[i].intake) {
                if (number == MESSAGES)
                    continue;
                number++;
                sessions[i].sample = sample_make(number, 500 + number * 7919 % 9000);
                sessions[i].intake = intake_new(scene->writer, sessions[i].sample.id, 1u << 20);
                sessions[i].at = 0;
            }
            open++;
            struct span rest = span_skip(span_make(sessions[i].sample.content, sessions[i].sample.content_size), sessions[i].at);
            struct span piece = span_head(rest, 1000 + i * 10);
            assert_true(intake_add(sessions[i].intake, piece));
            sessions[i].at += piece.n;
            assert_int_equal(intake_size(sessions[i].intake), sessions[i].at);
            if (piece.n < rest.n)
                continue;
            scene_commit(scene, sessions[i].intake, &sessions[i].sample);
            sample_free(&sessions[i].sample);
            sessions[i].intake = NULL;
        }
        loop_once(scene->loop, false);
    }
    scene_wait(scene);
    assert_int_equal(scene->told, MESSAGES);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

/* The next segment is asked for before the current one is full, and taken when it is. */
static void test_next_segment_ahead_of_need(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    unsigned n = 0;
    while (scene->closed == 0) {
        struct result *result = scene_submit(scene, ++n, 1u << 20);
        scene_wait(scene);
        assert_int_equal(result->verdict, WRITER_STORED);
        uint64_t end = record_next_offset(&result->place.record);
        if (result->place.segment == 1 && end < SEGMENT_SIZE_TARGET / 4 * 3)
            assert_int_equal(scene->needs, 1);
        if (result->place.segment == 1 && end > SEGMENT_SIZE_TARGET / 8 * 7)
            assert_int_equal(scene->needs, 2);
        loop_once(scene->loop, false);
    }
    assert_int_equal(scene->last_closed, 1);
    assert_int_equal(scene->failed, 0);
    assert_true(box_size(&scene->box, "0000000000000001.seg") >= SEGMENT_SIZE_TARGET);
    assert_true(box_size(&scene->box, "0000000000000001.seg") < SEGMENT_SIZE_TARGET + (2u << 20));
    assert_int_equal(scene_submit(scene, ++n, 10)->told, false);
    scene_wait(scene);
    assert_int_equal(scene->results[n - 1].place.segment, 2);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

static void test_maximum(void **state)
{
    (void)state;
    static const size_t maxima[] = { 0, 1, 5000, 3u << 20 };
    struct scene *scene = scene_new();
    for (size_t i = 0; i < COUNT(maxima); i++) {
        struct sample sample = sample_make(1, maxima[i] + 1);
        struct intake *intake = intake_new(scene->writer, sample.id, maxima[i]);
        if (maxima[i])
            assert_true(intake_add(intake, span_make(sample.content, maxima[i])));
        assert_false(intake_add(intake, SPAN("x")));
        assert_false(intake_add(intake, SPAN("more")));
        assert_int_equal(intake_size(intake), maxima[i] + 5);
        assert_int_equal(intake_verdict(intake), WRITER_STORED);
        assert_false(intake_is_full(intake));
        intake_free(&intake);
        assert_null(intake);
        sample_free(&sample);
    }
    intake_free(&(struct intake *){ NULL });
    scene_end_writer(scene);
    scene_free(scene);
}

/* Committing what is too large is the caller's mistake; it is not stored. */
static void test_too_large_is_never_stored(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct sample sample = sample_make(1, 101);
    struct intake *intake = intake_new(scene->writer, sample.id, 100);
    assert_false(scene_add(scene, intake, &sample, 101));
    scene_commit(scene, intake, &sample);
    scene_wait(scene);
    assert_int_equal(scene->results[0].verdict, WRITER_FAILED);
    sample_free(&sample);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

/* Large messages that are dropped half-way: before their segment is there, while content is on its way, after. Nothing stays. */
static void test_abort_frees_space(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct sample sample = sample_make(1, 3u << 20);
    for (unsigned i = 0; i < 30; i++) {
        struct intake *intake = intake_new(scene->writer, sample.id, 50u << 20);
        scene->late = i % 3 == 0;
        if (i % 3 == 2)
            scene_add(scene, intake, &sample, 50000);
        else
            assert_true(intake_add(intake, span_make(sample.content, sample.content_size)));
        intake_free(&intake);
        if (scene->late)
            scene_answer(scene, true, scene->last_ticket); /* too late: given back */
        while (scene->closed + 1 < scene->given)
            loop_once(scene->loop, true);
    }
    scene->late = false;
    scene_end_writer(scene);
    for (uint64_t number = 1; number < scene->next_number; number++) {
        char name[SEGMENT_NAME_SIZE];
        segment_name(number, name);
        assert_int_equal(box_size(&scene->box, name), SEGMENT_HEADER_SIZE);
    }
    assert_int_equal(scene->failed, 0);
    sample_free(&sample);
    scene_free(scene);
}

static void count_call(void *context)
{
    ++*(unsigned *)context;
}

static void test_large_waits_in_bounded_memory(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct sample sample = sample_make(1, 20u << 20);
    struct intake *intake = intake_new(scene->writer, sample.id, 50u << 20);
    struct span rest = span_make(sample.content, sample.content_size);
    unsigned drained = 0;
    intake_on_drained(intake, count_call, &drained);
    scene->late = true;
    while (!intake_is_full(intake)) {
        assert_true(intake_add(intake, span_head(rest, 30000)));
        rest = span_skip(rest, 30000);
    }
    assert_true(intake_size(intake) <= (1u << 20) + 30000);
    for (unsigned i = 0; i < 5; i++)
        loop_once(scene->loop, false);
    assert_int_equal(drained, 0);
    scene->late = false;
    scene_answer(scene, true, scene->last_ticket);
    while (!drained)
        loop_once(scene->loop, true);
    assert_false(intake_is_full(intake));
    while (rest.n) {
        while (intake_is_full(intake))
            loop_once(scene->loop, true);
        assert_true(intake_add(intake, span_head(rest, 30000)));
        rest = span_skip(rest, 30000);
    }
    struct result *result = scene_commit(scene, intake, &sample);
    sample_free(&sample);
    scene_wait(scene);
    assert_int_equal(result->verdict, WRITER_STORED);
    assert_int_equal(result->place.record.offset, SEGMENT_HEADER_SIZE);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

/* Who waits for room is told when the very write fails that would have made it. */
static void test_large_fails_while_it_waits_for_room(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct sample sample = sample_make(1, 2u << 20);
    struct intake *intake = intake_new(scene->writer, sample.id, 50u << 20);
    struct span rest = span_make(sample.content, sample.content_size);
    unsigned drained = 0;
    scene->late = true;
    while (!intake_is_full(intake)) {
        assert_true(intake_add(intake, span_head(rest, 4096)));
        rest = span_skip(rest, 4096);
    }
    intake_on_drained(intake, count_call, &drained);
    uint64_t number = scene->next_number++;
    close(segment_create(scene->box.folder, number));
    scene->given++;
    writer_give(scene->writer, number, segment_open(scene->box.folder, number), true, scene->last_ticket); /* to read only */
    while (!drained)
        loop_once(scene->loop, true);
    assert_int_equal(intake_verdict(intake), WRITER_FAILED);
    intake_free(&intake);
    sample_free(&sample);
    scene_free(scene);
}

/* A large message is complete before its segment comes. */
static void test_large_committed_before_its_segment(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->late = true;
    struct sample sample = sample_make(1, (1u << 20) + 500);
    struct intake *intake = intake_new(scene->writer, sample.id, 50u << 20);
    assert_true(intake_add(intake, span_make(sample.content, sample.content_size)));
    struct result *result = scene_commit(scene, intake, &sample);
    sample_free(&sample);
    scene->late = false;
    uint64_t ticket = scene->last_ticket;
    assert_int_not_equal(ticket, 0);
    scene_answer(scene, true, ticket);
    scene_wait(scene);
    assert_int_equal(result->verdict, WRITER_STORED);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

static void test_no_segment_to_be_had(void **state)
{
    (void)state;
    static const enum writer_verdict verdicts[] = { WRITER_FULL, WRITER_FAILED };
    for (size_t i = 0; i < COUNT(verdicts); i++) {
        struct scene *scene = scene_new();
        scene->refuse = verdicts[i];
        scene_submit(scene, 1, 100);
        scene_submit(scene, 2, 200);
        scene_wait(scene);
        struct sample sample = sample_make(3, 2u << 20);
        struct intake *intake = intake_new(scene->writer, sample.id, 50u << 20);
        assert_false(intake_add(intake, span_make(sample.content, sample.content_size)));
        assert_int_equal(intake_verdict(intake), verdicts[i]);
        assert_false(intake_is_full(intake));
        assert_false(intake_add(intake, SPAN("more")));
        intake_free(&intake);
        unsigned asked = scene->needs;
        assert_true(asked >= 1 && asked <= 2);
        for (unsigned j = 0; j < 2; j++)
            assert_int_equal(scene->results[j].verdict, verdicts[i]);
        scene->refuse = WRITER_STORED; /* it asks again at the next message */
        scene_submit(scene, 4, 100);
        scene_wait(scene);
        assert_int_equal(scene->needs, asked + 1);
        assert_int_equal(scene->results[2].verdict, WRITER_STORED);
        sample_free(&sample);
        scene_end_writer(scene);
        scene_check(scene, true);
        scene_free(scene);
    }
}

/* The queue goes: what was handed over is finished, segments are given up, large messages fail, and the next segment serves. */
static void test_abandon(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene_submit(scene, 1, 3000);
    scene_wait(scene);
    struct sample sample = sample_make(9, 2u << 20);
    struct intake *large = intake_new(scene->writer, sample.id, 50u << 20);
    unsigned drained = 0;
    intake_on_drained(large, count_call, &drained);
    assert_true(intake_add(large, span_make(sample.content, sample.content_size)));
    scene_submit(scene, 2, 3000);
    writer_abandon(scene->writer);
    assert_int_equal(drained, 1); /* nothing waits any more: it may read on, and will be refused */
    assert_int_equal(intake_verdict(large), WRITER_FAILED);
    assert_false(intake_add(large, SPAN("more")));
    scene_submit(scene, 3, 3000);
    scene_wait(scene);
    while (scene->closed < 2)
        loop_once(scene->loop, true);
    assert_int_equal(scene->results[1].verdict, WRITER_STORED);
    assert_int_equal(scene->results[2].verdict, WRITER_STORED);
    assert_int_equal(scene->results[1].place.segment, 1);
    assert_true(scene->results[2].place.segment > 2);
    struct result *result = scene_commit(scene, large, &sample);
    scene_wait(scene);
    assert_int_equal(result->verdict, WRITER_FAILED);
    sample_free(&sample);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

/* The end drains: what was committed a moment ago is on the disk, what has no segment is refused. */
static void test_free_drains(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene_submit(scene, 1, 10);
    scene_wait(scene);
    for (uint32_t i = 2; i < 100; i++)
        scene_submit(scene, i, 5000);
    scene_submit(scene, 100, 5u << 20);
    scene_end_writer(scene);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(scene->results[i].verdict, WRITER_STORED);
    scene_check(scene, true);
    scene_free(scene);

    scene = scene_new();
    scene->late = true;
    scene_submit(scene, 1, 10);
    struct sample sample = sample_make(2, (1u << 20) + 1);
    struct intake *large = intake_new(scene->writer, sample.id, 50u << 20);
    assert_true(intake_add(large, span_make(sample.content, sample.content_size)));
    scene_commit(scene, large, &sample);
    scene_end_writer(scene);
    assert_int_equal(scene->results[0].verdict, WRITER_FAILED);
    assert_int_equal(scene->results[1].verdict, WRITER_FAILED);
    sample_free(&sample);
    scene_free(scene);
}

/* One that nobody asked for is given back unused, and a second answer does not confuse the first. */
static void test_segments_nobody_asked_for(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    for (unsigned i = 0; i < 4; i++)
        scene_answer(scene, i % 2, 77);
    writer_refuse(scene->writer, WRITER_FULL, true, 78);
    while (scene->closed < 3)
        loop_once(scene->loop, true);
    scene_submit(scene, 1, 10);
    scene_wait(scene);
    assert_int_equal(scene->results[0].verdict, WRITER_STORED);
    scene_end_writer(scene);
    scene_check(scene, true);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_next_segment_ahead_of_need),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_too_large_is_never_stored),
        cmocka_unit_test(test_abort_frees_space),
        cmocka_unit_test(test_large_waits_in_bounded_memory),
        cmocka_unit_test(test_large_fails_while_it_waits_for_room),
        cmocka_unit_test(test_large_committed_before_its_segment),
        cmocka_unit_test(test_no_segment_to_be_had),
        cmocka_unit_test(test_abandon),
        cmocka_unit_test(test_free_drains),
        cmocka_unit_test(test_segments_nobody_asked_for),
    };
    return cmocka_run_group_tests_name("spool/writer", tests, NULL, NULL);
}

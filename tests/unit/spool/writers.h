/* A writer with a loop and a folder of segments, as submission and queue would have it between them. */
#ifndef POSTERN_TESTS_WRITERS_H
#define POSTERN_TESTS_WRITERS_H

#include "spool.h"

#include "../../../relay/spool/writer.h"

#define RESULTS_MAX 4096

struct scene {
    struct box box;
    struct loop *loop;
    struct writer *writer;
    uint64_t next_number;
    enum writer_verdict refuse; /* answer need_segment with this; WRITER_STORED: make one */
    bool late;                  /* do not answer: the test does */
    unsigned needs, larges, given, closed, failed;
    uint64_t last_ticket;
    uint64_t last_closed;
    struct result {
        struct scene *scene;
        uint32_t number;
        bool told;
        enum writer_verdict verdict;
        struct writer_place place;
    } results[RESULTS_MAX];
    unsigned committed, told;
    void (*on_told)(struct scene *scene, struct result *result);
};

SHARED void scene_answer(struct scene *scene, bool large, uint64_t ticket)
{
    if (scene->refuse != WRITER_STORED) {
        writer_refuse(scene->writer, scene->refuse, large, ticket);
        return;
    }
    uint64_t number = scene->next_number++;
    int fd = segment_create(scene->box.folder, number);
    if (fd < 0) {
        writer_refuse(scene->writer, errno == ENOSPC ? WRITER_FULL : WRITER_FAILED, large, ticket);
        return;
    }
    scene->given++;
    writer_give(scene->writer, number, fd, large, ticket);
}

SHARED void scene_need(void *context, bool large, uint64_t ticket)
{
    struct scene *scene = context;
    scene->needs += !large;
    scene->larges += large;
    if (large)
        scene->last_ticket = ticket;
    if (!scene->late)
        scene_answer(scene, large, ticket);
}

SHARED void scene_closed(void *context, uint64_t number, bool failed)
{
    struct scene *scene = context;
    scene->closed++;
    scene->failed += failed;
    scene->last_closed = number;
}

static const struct writer_events scene_events = { .need_segment = scene_need, .done_segment = scene_closed };

SHARED struct scene *scene_new(void)
{
    struct scene *scene = text_zalloc(sizeof *scene);
    box_open(&scene->box);
    scene->loop = loop_new();
    scene->next_number = 1;
    scene->writer = writer_new(scene->loop, &scene_events, scene);
    return scene;
}

/* Ends the writer; what it still has to tell is told. */
SHARED void scene_end_writer(struct scene *scene)
{
    writer_free(&scene->writer);
    assert_int_equal(scene->told, scene->committed);
    assert_int_equal(scene->closed, scene->given);
}

SHARED void scene_free(struct scene *scene)
{
    if (scene->writer)
        scene_end_writer(scene);
    loop_free(&scene->loop);
    box_close(&scene->box);
    free(scene);
}

SHARED void scene_told(void *context, enum writer_verdict verdict, const struct writer_place *place)
{
    struct result *result = context;
    assert_false(result->told);
    result->told = true;
    result->verdict = verdict;
    assert_true((verdict == WRITER_STORED) == (place != NULL));
    if (place)
        result->place = *place;
    result->scene->told++;
    if (result->scene->on_told)
        result->scene->on_told(result->scene, result);
}

/* Commits INTAKE, whose content is SAMPLE's. */
SHARED struct result *scene_commit(struct scene *scene, struct intake *intake, const struct sample *sample)
{
    assert_true(scene->committed < RESULTS_MAX);
    struct result *result = &scene->results[scene->committed++];
    *result = (struct result){ .scene = scene, .number = sample_number(sample->id) };
    intake_commit(&intake, span_make(sample->envelope, sample->envelope_size), span_make(sample->prefix, sample->prefix_size),
                  scene_told, result);
    assert_null(intake);
    return result;
}

/* Adds the whole content in pieces of PIECE bytes, waiting for the disk where asked to. False where it was refused meanwhile. */
SHARED bool scene_add(struct scene *scene, struct intake *intake, const struct sample *sample, size_t piece)
{
    struct span rest = span_make(sample->content, sample->content_size);
    while (rest.n) {
        while (intake_is_full(intake))
            loop_once(scene->loop, true);
        if (!intake_add(intake, span_head(rest, piece)))
            return false;
        rest = span_skip(rest, piece);
    }
    return true;
}

/* Submits message NUMBER with SIZE bytes of content; its result comes later. */
SHARED struct result *scene_submit(struct scene *scene, uint32_t number, size_t size)
{
    struct sample sample = sample_make(number, size);
    struct intake *intake = intake_new(scene->writer, sample.id, 256u << 20);
    scene_add(scene, intake, &sample, 16384);
    struct result *result = scene_commit(scene, intake, &sample);
    sample_free(&sample);
    return result;
}

SHARED void scene_wait(struct scene *scene)
{
    while (scene->told < scene->committed)
        loop_once(scene->loop, true);
}

/* Walks all segments of the folder into SEEN. Returns how many could not be walked. */
SHARED unsigned box_walk(const struct box *box, uint64_t last, struct seen *seen)
{
    unsigned bad = 0;
    for (uint64_t number = 1; number <= last; number++) {
        int fd = segment_open(box->folder, number);
        if (fd < 0)
            continue;
        assert_false(segment_has_writer(box->folder, number));
        bad += seen_walk(seen, fd) != RECORD_OK;
        close(fd);
    }
    return bad;
}

/* The promise: what was acknowledged is there once, whole; what was refused is not there, where GONE, else at most once. */
SHARED void scene_check(struct scene *scene, bool gone)
{
    struct seen *seen = text_zalloc(sizeof *seen);
    box_walk(&scene->box, scene->next_number, seen);
    assert_int_equal(seen->altered, 0);
    for (unsigned i = 0; i < scene->committed; i++) {
        const struct result *result = &scene->results[i];
        assert_true(result->told);
        unsigned times = seen_times(seen, result->number);
        if (result->verdict == WRITER_STORED)
            assert_int_equal(times, 1);
        else
            assert_true(gone ? times == 0 : times <= 1);
    }
    free(seen);
}

#endif

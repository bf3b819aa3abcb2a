/* An intake from inside the spool: what writer.c and the appender's thread need of it. Callers see writer.h. */
#ifndef POSTERN_SPOOL_INTAKE_H
#define POSTERN_SPOOL_INTAKE_H

#include "parcel.h"
#include "tail.h"

struct intake {
    struct parcel parcel; /* carries it to the thread and back once it is committed */
    struct writer *writer;
    struct list among;    /* in the writer's list of large messages */
    struct list chunks;   /* content that was not handed to the thread */
    size_t nchunks;       /* in `chunks` */
    struct record record; /* id, sizes and CRCs so far; the thread fills in its place */
    uint64_t segment;     /* where the thread put it */
    uint64_t max_size;
    uint64_t size;      /* all that was added, also what was thrown away */
    size_t waiting;     /* bytes of content in memory */
    unsigned in_flight; /* chunks at the thread */
    enum writer_verdict verdict;
    bool large;
    bool adding; /* inside intake_add: no `drained` from there */
    bool committed;
    bool posted;  /* over to the thread: only intake_finish is to come */
    bool dropped; /* freed by its owner; goes when the last chunk has come back */
    uint64_t ticket;
    struct tail *tail; /* large: its segment, once it was given; never looked into here */
    char *trailer;     /* envelope, prefix, padding: as they follow the content on disk */
    size_t trailer_size;
    unsigned char header[RECORD_HEADER_SIZE]; /* the thread's, while it is written */
    void (*drained)(void *context);
    void *drained_context;
    void (*done)(void *context, enum writer_verdict verdict, const struct writer_place *place);
    void *done_context;
};

/* The segment for a large message has come. */
void intake_give(struct intake *intake, struct tail *tail);

/* A large message cannot be stored: its content goes, and its segment. */
void intake_fail(struct intake *intake, enum writer_verdict verdict);

/* A chunk is back from the thread. */
void intake_chunk_back(struct chunk *chunk);

/* A committed intake is back from the thread: tells its owner and frees it. */
void intake_finish(struct intake *intake);

/* Hands PARCEL to the thread, which gives it back by the loop. */
void writer_post(struct writer *writer, struct parcel *parcel);

/* Sees to it that there is a segment for small messages, or that one is asked for. */
void writer_prepare(struct writer *writer);

/* Has a segment for INTAKE alone asked for. Its ticket is set; the answer may come within the call. */
void writer_ask_large(struct writer *writer, struct intake *intake);

#endif

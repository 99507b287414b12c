/* A few threads that begin one piece of work together. */
#ifndef CYX_PATTERNS_CREW_H
#define CYX_PATTERNS_CREW_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

typedef void (*crew_work)(void *part);

enum { CREW_WAIT, CREW_GO, CREW_GO_HOME };

struct crew {
    crew_work prepare; /* by each on its own, or NULL */
    crew_work work;    /* by all together */
    atomic_int ready;
    atomic_int order;
};

struct crew_member {
    struct crew *crew;
    void *part;
    pthread_t thread;
};

static void *crew_member_main(void *argument)
{
    struct crew_member *member = argument;
    struct crew *crew = member->crew;
    int order;

    if (crew->prepare != NULL)
        crew->prepare(member->part);
    atomic_fetch_add(&crew->ready, 1);
    while ((order = atomic_load(&crew->order)) == CREW_WAIT)
        sched_yield(); /* and not a lock: those who wait for one begin one after the other */
    if (order == CREW_GO)
        crew->work(member->part);
    return NULL;
}

/* Handlers written in Python belong to Python's own threads. */
static inline int crew_start(struct crew_member *member)
{
    sigset_t blocked, before;
    int error;

    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    error = pthread_create(&member->thread, NULL, crew_member_main, member);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* Run the members, the first of them in this thread. Returns 0, or the errno value where a thread cannot be had. */
static inline int crew_run(struct crew *crew, struct crew_member *members, int count)
{
    int error = 0, started = 1;

    atomic_init(&crew->ready, 0);
    atomic_init(&crew->order, CREW_WAIT);
    while (started < count && (error = crew_start(&members[started])) == 0)
        started++;
    if (error == 0 && crew->prepare != NULL)
        crew->prepare(members[0].part);
    while (error == 0 && atomic_load(&crew->ready) < count - 1)
        sched_yield();
    atomic_store(&crew->order, error == 0 ? CREW_GO : CREW_GO_HOME);
    if (error == 0)
        crew->work(members[0].part);
    while (--started > 0)
        pthread_join(members[started].thread, NULL);
    return error;
}

#endif

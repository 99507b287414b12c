/* A few threads that begin one piece of work together. */
#ifndef CYX_PATTERNS_CREW_H
#define CYX_PATTERNS_CREW_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

typedef void (*crew_work)(void *part);

enum { CREW_WAIT, CREW_GO, CREW_GO_HOME };
enum { CREW_SPINS = 20000 }; /* some tens of microseconds */

struct crew {
    crew_work prepare; /* by each on its own, or NULL */
    crew_work work;    /* by all together */
    atomic_int ready;  /* how many wait for the order */
    atomic_int order;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct crew_member {
    struct crew *crew;
    void *part;
    pthread_t thread;
};

static inline void crew_set(struct crew *crew, atomic_int *what, int value)
{
    pthread_mutex_lock(&crew->lock);
    atomic_store(what, value);
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

/* Wait until it is no longer below the value. Awake at first: those who are woken begin one after the other. */
static inline void crew_wait(struct crew *crew, atomic_int *what, int value)
{
    for (int i = 0; i < CREW_SPINS; i++)
        if (atomic_load(what) >= value)
            return;
    pthread_mutex_lock(&crew->lock);
    while (atomic_load(what) < value)
        pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

static void *crew_member_main(void *argument)
{
    struct crew_member *member = argument;
    struct crew *crew = member->crew;

    if (crew->prepare != NULL)
        crew->prepare(member->part);
    pthread_mutex_lock(&crew->lock);
    atomic_fetch_add(&crew->ready, 1);
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    crew_wait(crew, &crew->order, CREW_GO);
    if (atomic_load(&crew->order) == CREW_GO)
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
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
    while (started < count && (error = crew_start(&members[started])) == 0)
        started++;
    if (error == 0 && crew->prepare != NULL)
        crew->prepare(members[0].part);
    if (error == 0)
        crew_wait(crew, &crew->ready, count - 1);
    crew_set(crew, &crew->order, error == 0 ? CREW_GO : CREW_GO_HOME);
    if (error == 0)
        crew->work(members[0].part);
    while (--started > 0)
        pthread_join(members[started].thread, NULL);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    return error;
}

#endif

/* Memory that cannot be had becomes an error of the call, where it would end the process.
 *
 * A page that a mapped file no longer has, or a huge page that the pool no longer has, is SIGBUS at the access; memory
 * that may not be read or written is SIGSEGV. While calls are open, this handler takes both: an access of a guarded
 * thread to its guarded memory jumps out of the call, and everything else goes to the handler that was there before,
 * such as that of Python's faulthandler.
 */
#ifndef CYX_PATTERNS_GUARD_H
#define CYX_PATTERNS_GUARD_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

enum { GUARD_RANGES = 4, GUARD_SIGNALS = 2 };

struct guard_range {
    uintptr_t begin;
    size_t size;
};

/* What one call may touch, and what became of it. */
struct guard {
    struct guard_range ranges[GUARD_RANGES];
    int count;
    int anywhere; /* follows pointers that it finds: any address may be its fault */
    int signal;   /* 0, or the signal that ended the call */
    uintptr_t address;
    sigjmp_buf back;
};

/* The handler reads it: a lookup that allocates would not be safe there. */
#ifdef __GLIBC__
__attribute__((tls_model("initial-exec")))
#endif
static __thread struct guard *volatile guard_of_thread;

static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static int guard_calls; /* that are open, in all threads */
static const int guard_signals[GUARD_SIGNALS] = {SIGBUS, SIGSEGV};
static struct sigaction guard_previous[GUARD_SIGNALS];

static inline int guard_covers(const struct guard *guard, uintptr_t address)
{
    for (int i = 0; i < guard->count; i++)
        if (address - guard->ranges[i].begin < guard->ranges[i].size)
            return 1;
    return guard->anywhere;
}

static void guard_pass_on(int signal, siginfo_t *info, void *context)
{
    const struct sigaction *previous = &guard_previous[signal == SIGBUS ? 0 : 1];
    int by_program = info->si_code <= 0; /* kill(2) and the like, not an access */

    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(signal, info, context);
    } else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
        previous->sa_handler(signal);
    } else if (previous->sa_handler == SIG_DFL || !by_program) {
        struct sigaction end = {.sa_handler = SIG_DFL};
        sigaction(signal, &end, NULL); /* the access is made again, and ends the process */
        if (by_program)
            raise(signal);
    }
}

static void guard_handle(int signal, siginfo_t *info, void *context)
{
    struct guard *guard = guard_of_thread;

    if (guard != NULL && info->si_code > 0 && guard_covers(guard, (uintptr_t)info->si_addr)) {
        guard_of_thread = NULL;
        guard->signal = signal;
        guard->address = (uintptr_t)info->si_addr;
        siglongjmp(guard->back, 1); /* no mask to restore: SA_NODEFER */
    }
    guard_pass_on(signal, info, context);
}

static inline int guard_is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == guard_handle;
}

/* Take the signals for a call. Whoever has taken them meanwhile is the one to hand on to. */
static inline void guard_enter(void)
{
    struct sigaction handler = {.sa_sigaction = guard_handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct sigaction now;

    pthread_mutex_lock(&guard_lock);
    guard_calls++;
    for (int i = 0; i < GUARD_SIGNALS; i++)
        if (sigaction(guard_signals[i], NULL, &now) == 0 && !guard_is_ours(&now)) {
            guard_previous[i] = now; /* before ours is there, which reads it */
            sigaction(guard_signals[i], &handler, NULL);
        }
    pthread_mutex_unlock(&guard_lock);
}

static inline void guard_restore(void)
{
    struct sigaction now;

    for (int i = 0; i < GUARD_SIGNALS; i++)
        if (sigaction(guard_signals[i], NULL, &now) == 0 && guard_is_ours(&now))
            sigaction(guard_signals[i], &guard_previous[i], NULL);
}

/* End a call; the last one gives the signals back. */
static inline void guard_leave(void)
{
    pthread_mutex_lock(&guard_lock);
    if (--guard_calls == 0)
        guard_restore();
    pthread_mutex_unlock(&guard_lock);
}

/* A fork has the forking thread alone: the calls of the others are not open in it. */
static void guard_in_fork(void)
{
    static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

    guard_lock = unlocked;
    guard_calls = 0;
    guard_restore();
}

/* Call work(part) between enter and leave. Returns its answer, or -1 where a signal ended it, which the guard tells. */
static inline int guard_call(struct guard *guard, int (*work)(void *), void *part)
{
    int answer;

    if (sigsetjmp(guard->back, 0))
        return -1;
    guard_of_thread = guard;
    answer = work(part);
    guard_of_thread = NULL;
    return answer;
}

#endif

/*
 * A minimal parallel loop: threads draw task numbers from a counter.
 */
#include "format/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define MAX_THREADS 64

struct loop {
    bool (*task)(void *arg, size_t i);
    void *arg;
    size_t count;
    atomic_size_t next;
    atomic_bool failed;
};

static void *work(void *arg)
{
    struct loop *loop = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&loop->next, 1);
        if (i >= loop->count || atomic_load(&loop->failed))
            return NULL;
        if (!loop->task(loop->arg, i))
            atomic_store(&loop->failed, true);
    }
}

bool vxi_parallel(unsigned threads, size_t count, bool (*task)(void *arg, size_t i), void *arg)
{
    struct loop loop = {.task = task, .arg = arg, .count = count};
    pthread_t helpers[MAX_THREADS];
    size_t wanted = threads < MAX_THREADS ? threads : MAX_THREADS, made = 0;
    if (wanted > count)
        wanted = count;

    if (wanted > 1) {
        /* the application's signals are not for these threads */
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        while (made + 1 < wanted && !pthread_create(&helpers[made], NULL, work, &loop))
            made++;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    work(&loop);
    while (made)
        pthread_join(helpers[--made], NULL);
    return !atomic_load(&loop.failed);
}

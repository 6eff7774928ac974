/* A wall clock that is CLOCK_DAYS ahead, for every process that is started with this library in LD_PRELOAD (`make clock`).

   Monotonic clocks stay as they are, so that waits and time-outs are what they were; waits until a time of the wall clock, as
   those of the AWS client in Arrow, are told the kernel's. libfaketime moves all clocks, or, told not to, breaks Python's
   time.sleep (0.9.10). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t seconds_ahead(void)
{
    const char *days = getenv("CLOCK_DAYS");
    return days ? 86400 * atol(days) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += seconds_ahead();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec read;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &read);
    now->tv_sec = read.tv_sec;
    now->tv_usec = read.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result)
{
    struct timespec read;
    clock_gettime(CLOCK_REALTIME, &read);
    if (result)
        *result = read.tv_sec;
    return read.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) {
        real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2"); /* what dlsym finds is an older one */
        if (!real)
            real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    }
    struct timespec deadline = *until;
    if (deadline.tv_sec > 1000000000) /* a date, and not the seconds since the start of the machine */
        deadline.tv_sec -= seconds_ahead();
    return real(condition, mutex, &deadline);
}

/* Loaded before a program's libraries (LD_PRELOAD): its wall clock is as many milliseconds ahead as the file
 * WALL_CLOCK says, read anew each time. The other clocks are those of the system. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (syscall(SYS_clock_gettime, clock, time) != 0)
        return -1;
    if (clock == CLOCK_REALTIME) {
        long long ahead = 0, nanos;
        const char *name = getenv("WALL_CLOCK");
        FILE *file = name != NULL ? fopen(name, "r") : NULL;
        if (file == NULL || fscanf(file, "%lld", &ahead) != 1)
            abort();
        fclose(file);
        nanos = ((long long)time->tv_sec * 1000 + ahead) * 1000000 + time->tv_nsec;
        time->tv_sec = (time_t)(nanos / 1000000000);
        time->tv_nsec = (long)(nanos % 1000000000);
    }
    return 0;
}

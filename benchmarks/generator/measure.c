/* Which time is it, how long did things take, and who used how much of the processor? */
#define _GNU_SOURCE
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
    struct timespec t;
    return clock_gettime(clock, &t) ? 0 : (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* A histogram whose steps are below 2 % of the value: 64 of them each time the value doubles. */
#define STEPS 64
static uint64_t histogram[STEPS * 60], times_count;

void times_add(uint64_t nanoseconds) {
    int shift = nanoseconds < STEPS ? 0 : 58 - __builtin_clzll(nanoseconds);
    histogram[(size_t)shift * STEPS + (size_t)(nanoseconds >> shift) % STEPS]++;
    times_count++;
}

double times_percentile_us(double part) {
    uint64_t wanted = (uint64_t)((double)times_count * part), seen = 0;
    for (int shift = 0; shift < 58; shift++) {
        for (uint64_t step = shift ? STEPS / 2 : 0; step < STEPS; step++) {
            seen += histogram[(size_t)shift * STEPS + step];
            if (seen > wanted) return (double)(step << shift) / 1000.0;
        }
    }
    return 0;
}

/* Processor time that anybody used of this machine so far, stolen time too. */
static double machine_s(void) {
    FILE *file = fopen("/proc/stat", "r");
    unsigned long user, nice, system, idle, waiting, hard, soft, stolen;
    int got = file ? fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &waiting, &hard,
                            &soft, &stolen)
                   : 0;
    if (file) fclose(file);
    return got == 8 ? (double)(user + nice + system + hard + soft + stolen) / (double)sysconf(_SC_CLK_TCK) : 0;
}

void reading_take(struct reading *r) {
    const char *at = options.watch;
    r->at = now_ns();
    r->own_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    r->machine_s = machine_s();
    for (int i = 0; i < MAX_TEXTS; i++) {
        clockid_t clock;
        char *end;
        long pid = strtol(at, &end, 10);
        r->watched_s[i] = end == at || clock_getcpuclockid((pid_t)pid, &clock) ? 0 : seconds_of(clock);
        at = *end == ',' ? end + 1 : end;
    }
}

void reading_print(const struct reading *begin, const struct reading *end) {
    printf("\"seconds\":%.6f,\"own_s\":%.6f,\"machine_s\":%.2f,\"watched_s\":[", (double)(end->at - begin->at) / 1e9,
           end->own_s - begin->own_s, end->machine_s - begin->machine_s);
    for (int i = 0; i < MAX_TEXTS; i++) printf("%s%.6f", i ? "," : "", end->watched_s[i] - begin->watched_s[i]);
    printf("]");
}

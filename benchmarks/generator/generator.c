/* A load generator: many connections in one thread, replies matched by their ids, one line of JSON at the end.
 *
 *   generator --protocol lines|websocket|socketio|resp|nats --port P --message TEXT [options]
 *
 * Options: --connections N, --window W (requests under way on each), --seconds T after --warm T, --total N (so many
 * requests and no more), --rate R (so many a second over all), --drain T (what is not answered that long after the end
 * is lost), --message and --expect (up to eight each, they take turns; a reply without what is expected is wrong),
 * --groups G with --setup (first connection of a group) and --join (the others), --modulo M, --capture FIELD, --path,
 * --watch PID,PID (their processor time). Modes: --fanout (connection 0 publishes, the others listen; with --listen-by
 * REQUEST they do so by server-sent events, for which they send this HTTP request), --hold (say READY and stay until
 * standard input ends), --image (answer every request with --answer, over connections made or, with --listen PORT,
 * taken). message.c lists the placeholders.
 */
#define _GNU_SOURCE
#include "generator.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define OPENING_AT_ONCE 64 /* more would overrun the backlog of a server that accepts in one thread */
#define OPENING_S 60

struct options options = {.connections = 1, .window = 1, .modulo = 1, .seconds = 1, .warm_s = 0.2, .drain_s = 20,
                          .path = "/", .capture = "session_id", .answer = "", .watch = ""};

void die(const char *what) {
    fprintf(stderr, "generator: %s: %s\n", what, errno ? strerror(errno) : "cannot go on");
    exit(2);
}

static enum protocol protocol_of(const char *name) {
    static const char *names[] = {"lines", "websocket", "socketio", "resp", "nats"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(name, names[i])) return (enum protocol)i;
    fprintf(stderr, "generator: no protocol %s\n", name);
    exit(2);
}

static void add(const char **texts, int *count, const char *text) {
    if (*count == MAX_TEXTS) die("too many texts of one kind");
    texts[(*count)++] = text;
}

static void read_options(int argc, char **argv) {
    struct options *o = &options;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--fanout")) { o->fanout = 1; continue; }
        if (!strcmp(name, "--hold")) { o->hold = 1; continue; }
        if (!strcmp(name, "--image")) { o->image = 1; continue; }
        const char *value = ++i < argc ? argv[i] : NULL;
        if (!value) { fprintf(stderr, "generator: %s needs a value\n", name); exit(2); }
        if (!strcmp(name, "--protocol")) o->protocol = protocol_of(value);
        else if (!strcmp(name, "--port")) o->port = atoi(value);
        else if (!strcmp(name, "--listen")) o->listen = atoi(value);
        else if (!strcmp(name, "--connections")) o->connections = atoi(value);
        else if (!strcmp(name, "--window")) o->window = atoi(value);
        else if (!strcmp(name, "--groups")) o->groups = atoi(value);
        else if (!strcmp(name, "--modulo")) o->modulo = atoi(value);
        else if (!strcmp(name, "--seconds")) o->seconds = atof(value);
        else if (!strcmp(name, "--warm")) o->warm_s = atof(value);
        else if (!strcmp(name, "--drain")) o->drain_s = atof(value);
        else if (!strcmp(name, "--rate")) o->rate = atof(value);
        else if (!strcmp(name, "--total")) o->total = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--path")) o->path = value;
        else if (!strcmp(name, "--capture")) o->capture = value;
        else if (!strcmp(name, "--answer")) o->answer = value;
        else if (!strcmp(name, "--watch")) o->watch = value;
        else if (!strcmp(name, "--message")) add(o->message, &o->messages, value);
        else if (!strcmp(name, "--expect")) add(o->expect, &o->expects, value);
        else if (!strcmp(name, "--setup")) add(o->setup, &o->setups, value);
        else if (!strcmp(name, "--listen-by")) o->listening = value;
        else if (!strcmp(name, "--join")) add(o->join, &o->joins, value);
        else { fprintf(stderr, "generator: no option %s\n", name); exit(2); }
    }
    if (o->fanout) o->groups = 1;
    if (o->groups < 1 || o->groups > o->connections) o->groups = o->connections;
    if (!o->messages && !o->hold && !o->image) { fprintf(stderr, "generator: --message is missing\n"); exit(2); }
}

/* Opens connections until `wanted` are ready: a few at a time. */
static void open_until(int wanted) {
    uint64_t end = now_ns() + OPENING_S * 1000000000ull;
    while (ready < wanted) {
        while (opened < wanted && opened - ready < OPENING_AT_ONCE) {
            opened++;
            connection_open(opened - 1);
        }
        if (ready < wanted) loop_turn(50);
        if (counts.closed || now_ns() > end) {
            fprintf(stderr, "generator: %d of %d connections became ready: %s\n", ready, wanted, counts.sample);
            exit(3);
        }
    }
}

static void stay_until_told(void) {
    char byte;
    printf("READY\n");
    fflush(stdout);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    for (uint64_t look_at = 0;;) {
        loop_turn(50);
        if (now_ns() < look_at) continue;
        if (read(STDIN_FILENO, &byte, 1) == 0) return;
        look_at = now_ns() + 20000000ull;
    }
}

static void turn_until(uint64_t end) {
    while (now_ns() < end && !(options.total && !traffic_under_way())) {
        loop_turn(options.rate > 0 ? 1 : 20);
        traffic_pace();
    }
}

static void report(const struct reading *begin, const struct reading *end, uint64_t lost) {
    double seconds = (double)(end->at - begin->at) / 1e9;
    uint64_t counted = options.fanout ? counts.deliveries : counts.replies;
    printf("{\"rate\":%.1f,\"counted\":%lu,", (double)counted / seconds, counted);
    reading_print(begin, end);
    printf(",\"p50_us\":%.2f,\"p90_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f", times_percentile_us(.5),
           times_percentile_us(.9), times_percentile_us(.99), times_percentile_us(.999));
    printf(",\"wrong\":%lu,\"errors\":%lu,\"lost\":%lu,\"late\":%lu,\"unasked\":%lu,\"gaps\":%lu,\"repeats\":%lu,"
           "\"closed\":%lu,\"events\":%lu,\"published\":%lu,\"bytes_in\":%lu,\"sample\":\"%s\"}\n",
           counts.wrong, counts.errors, lost, counts.late, counts.unasked, counts.gaps, counts.repeats, counts.closed,
           counts.events, counts.published, counts.bytes_in, counts.sample);
}

int main(int argc, char **argv) {
    struct reading begin, end;
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left behind if the harness ends */
    errno = 0;
    loop_start();
    connections = calloc((size_t)options.connections + 1, sizeof *connections);
    if (options.listen) {
        options.groups = 1;
        loop_listen(options.listen);
        stay_until_told();
        return 0;
    }
    open_until(options.groups);
    open_until(options.connections);
    if (options.hold || options.image) {
        stay_until_told();
        return counts.closed ? 4 : 0;
    }
    traffic_begin();
    if (!options.total) turn_until(now_ns() + (uint64_t)(options.warm_s * 1e9));
    reading_take(&begin);
    measuring = 1;
    turn_until(begin.at + (uint64_t)(options.seconds * 1e9));
    measuring = 0;
    reading_take(&end);
    stopping = 1;
    uint64_t lost, drained = now_ns() + (uint64_t)(options.drain_s * 1e9);
    while ((lost = traffic_under_way()) && now_ns() < drained) loop_turn(20);
    report(&begin, &end, lost);
    return 0;
}

/* What is asked, what comes back, and is it right?
 *
 * Each connection first plays its script: the first one of a group --setup, the others --join. Then it keeps so many
 * requests under way, or all together send so many a second, or (fan-out) connection 0 publishes and the others listen.
 */
#define _GNU_SOURCE
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct connection **connections;
int ready, opened, measuring, stopping;
struct counts counts;
static uint64_t sent_in_all, began_at;
static int turn; /* whose turn it is, where requests are paced */

/* Fan-out: by the number of the publication, when it was sent and who has not got it yet. */
static uint64_t *missing, completed;

static uint64_t ring(void) { return (uint64_t)options.window * 4; } /* replies may come out of order */

void count_bad(uint64_t *counter, const char *payload, size_t length) {
    ++*counter;
    keep_sample(payload, length);
}

void keep_sample(const char *payload, size_t length) {
    if (counts.sample[0]) return;
    size_t most = sizeof counts.sample - 1;
    if (length > most) length = most;
    for (size_t i = 0; i < length; i++)
        counts.sample[i] = payload[i] < ' ' || payload[i] == '"' || payload[i] == '\\' ? '\'' : payload[i];
}

/* Which message has this id? Connections begin with different ones, also those of a group: else all would send the
   expensive ones at the same time, and that would be no mixture. */
static uint64_t kind_of(const struct connection *c, uint64_t id) {
    uint64_t first = (uint64_t)(c->number + c->number / options.groups);
    return (first + id) % (uint64_t)options.messages;
}

static int steps_of(struct connection *c, const char ***script) {
    int first = c->number < options.groups;
    *script = first ? options.setup : options.join;
    return first ? options.setups : options.joins;
}

void traffic_ready(struct connection *c) {
    const char **script;
    if (c->step < steps_of(c, &script)) {
        struct message m = {0};
        message_make(&m, c, script[c->step]);
        message_number(&m, SCRIPT_IDS + (uint64_t)c->step);
        connection_send(c, m.bytes, m.length);
        free(m.bytes);
        return;
    }
    c->phase = READY;
    ready++;
    if (options.hold || options.image) return;
    if (!options.fanout || c->number == 0)
        for (int i = 0; i < options.messages; i++) message_make(&c->message[i], c, options.message[i]);
    c->sent_at = calloc(ring(), sizeof *c->sent_at);
    if (options.fanout && !missing) missing = calloc(ring(), sizeof *missing);
}

static void script_take(struct connection *c, const char *payload, size_t length, uint64_t id) {
    if (id != SCRIPT_IDS + (uint64_t)c->step) {
        if (id != NO_ID) count_bad(&counts.unasked, payload, length);
        return; /* an event that came before the reply */
    }
    if (text_has(payload, length, "\"status\":\"error\"")) {
        fprintf(stderr, "generator: refused: %.*s\n", (int)(length < 400 ? length : 400), payload);
        exit(3);
    }
    char key[64];
    int size = snprintf(key, sizeof key, "\"%s\":\"", options.capture);
    const char *at = memmem(payload, length, key, (size_t)size);
    if (at) {
        at += size;
        const char *end = memchr(at, '"', (size_t)(payload + length - at));
        if (end && end - at < SID_BYTES) memcpy(c->sid, at, (size_t)(end - at)), c->sid[end - at] = 0;
    }
    c->step++;
    traffic_ready(c);
}

size_t image_answer(char *out, size_t room, const char *payload, size_t length) {
    static const char before[] = "\"id\":\"";
    const char *id = memmem(payload, length, before, sizeof before - 1), *hole = strstr(options.answer, "{ID}");
    if (!id || !text_has(payload, length, "\"command\"")) return 0; /* not a request */
    id += sizeof before - 1;
    const char *end = memchr(id, '"', (size_t)(payload + length - id));
    if (!end || !hole) die("an image that cannot answer");
    int size = snprintf(out, room, "%.*s%.*s%s", (int)(hole - options.answer), options.answer, (int)(end - id), id, hole + 4);
    return (size_t)size < room ? (size_t)size : 0;
}

static void image_take(struct connection *c, const char *payload, size_t length) {
    char answer[1024];
    size_t size = image_answer(answer, sizeof answer - 1, payload, length);
    if (!size) return;
    answer[size] = '\n';
    connection_send(c, answer, size + 1);
}

static void event_take(struct connection *c, const char *payload, size_t length) {
    if (measuring) counts.events++;
    uint64_t number = text_number(payload, length, options.fanout ? "\"stamp\":" : "\"seq\":");
    if (number == NO_ID) return;
    if (c->last_event && number > c->last_event + 1) count_bad(&counts.gaps, payload, length);
    if (c->last_event && number <= c->last_event) count_bad(&counts.repeats, payload, length);
    c->last_event = number;
    if (!options.fanout) return;
    uint64_t which = number - STAMP_BASE, slot = which % ring();
    if (which >= counts.published || !missing[slot]) {
        count_bad(&counts.unasked, payload, length);
        return;
    }
    if (measuring) {
        counts.deliveries++;
        times_add(now_ns() - connections[0]->sent_at[slot]);
    } else if (stopping) {
        counts.late++;
    }
    if (!--missing[slot]) {
        completed++;
        traffic_pump(connections[0]);
        connection_flush(connections[0]);
    }
}

void traffic_take(struct connection *c, const char *payload, size_t length, uint64_t id) {
    if (options.image) {
        if (c->phase == READY) image_take(c, payload, length);
        else script_take(c, payload, length, id);
        return;
    }
    if (c->phase == SCRIPTED) {
        script_take(c, payload, length, id);
        return;
    }
    if (id == NO_ID) {
        event_take(c, payload, length);
        return;
    }
    uint64_t slot = id % ring();
    if (id >= c->sent || c->sent - id > ring() || !c->sent_at[slot]) {
        count_bad(&counts.unasked, payload, length); /* nobody asked, or it came twice */
        return;
    }
    const char *expected = options.expects ? options.expect[kind_of(c, id) % (uint64_t)options.expects] : "";
    if (text_has(payload, length, "\"status\":\"error\"") || payload[0] == '-') count_bad(&counts.errors, payload, length);
    else if (!text_has(payload, length, expected)) count_bad(&counts.wrong, payload, length);
    else if (measuring) counts.replies++;
    if (options.fanout) return; /* its times are those of the deliveries */
    if (measuring) times_add(now_ns() - c->sent_at[slot]);
    else if (stopping) counts.late++;
    c->sent_at[slot] = 0;
    c->under_way--;
}

static void send_next(struct connection *c) {
    struct message *m = &c->message[kind_of(c, c->sent)];
    message_number(m, c->sent);
    c->sent_at[c->sent % ring()] = now_ns();
    c->sent++;
    sent_in_all++;
    if (options.fanout) missing[counts.published++ % ring()] = (uint64_t)(options.connections - 1);
    else c->under_way++;
    connection_send(c, m->bytes, m->length);
}

static int may_send(struct connection *c) {
    if (stopping || c->phase != READY || (options.total && sent_in_all >= options.total)) return 0;
    if (options.fanout) return c->number == 0 && counts.published - completed < (uint64_t)options.window;
    return c->under_way < (uint64_t)options.window && !c->sent_at[c->sent % ring()];
}

void traffic_pump(struct connection *c) {
    if (!began_at || options.rate > 0) return;
    while (may_send(c)) send_next(c);
}

/* Sends what is due of so many requests a second, each from the next connection that may. */
void traffic_pace(void) {
    if (options.rate <= 0 || !began_at) return;
    double due = (double)(now_ns() - began_at) / 1e9 * options.rate - (double)sent_in_all;
    for (int tries = options.connections; due >= 1 && tries > 0; tries--) {
        struct connection *c = connections[turn++ % options.connections];
        if (!may_send(c)) continue;
        send_next(c);
        connection_flush(c);
        due--;
    }
}

void traffic_begin(void) {
    began_at = now_ns();
    for (int i = 0; i < options.connections; i++) {
        traffic_pump(connections[i]);
        connection_flush(connections[i]);
    }
}

uint64_t traffic_under_way(void) {
    uint64_t sum = 0;
    if (options.fanout) {
        for (uint64_t i = 0; missing && i < ring(); i++) sum += missing[i];
    } else {
        for (int i = 0; i < opened; i++) sum += connections[i]->under_way;
    }
    return sum;
}

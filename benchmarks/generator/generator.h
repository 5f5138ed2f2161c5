/* What the parts of the load generator share. README.md in the folder above tells what it is for. */
#ifndef GENERATOR_H
#define GENERATOR_H

#include <stddef.h>
#include <stdint.h>

enum protocol { LINES, WEBSOCKET, SOCKETIO, RESP, NATS, EVENTS };
enum phase { SHAKING, OPENING, JOINING, SCRIPTED, READY, CLOSED };

#define MAX_TEXTS 8    /* messages that take turns, and steps of a script */
#define MAX_SLOTS 8    /* numbers in one message that differ each time it is sent */
#define SID_BYTES 120
#define SCRIPT_IDS ((uint64_t)9000000000) /* ids of scripted messages: beyond those of all others */
#define STAMP_BASE 1000000000ull /* {N} has ten digits, none of them a leading zero */
#define ACK_BASE 100000000ull    /* {ACK} has nine */
#define NO_ID UINT64_MAX

/* A message as it goes over the wire; `mask_from` is where its masked payload begins, 0 where nothing is masked. */
struct message {
    char *bytes;
    size_t length, mask_from;
    int slots;
    struct { size_t offset; int digits; uint64_t base; } slot[MAX_SLOTS];
};

struct bytes { char *at; size_t length, room; };

struct connection {
    int fd, number, group, wants_out;
    enum protocol protocol;
    enum phase phase;
    struct bytes in, out;              /* the beginning of a message, and what the socket did not take yet */
    int step;                          /* of the script */
    uint64_t sent, under_way, answered_in_order, last_event;
    uint64_t *sent_at;                 /* by id; 0: nothing under way there */
    struct message message[MAX_TEXTS];
    char sid[SID_BYTES];
};

struct options {
    enum protocol protocol;
    int port, listen, connections, window, groups, modulo, fanout, hold, image;
    double seconds, warm_s, drain_s, rate;
    uint64_t total;
    const char *path, *capture, *answer, *watch, *listening;
    const char *message[MAX_TEXTS], *expect[MAX_TEXTS], *setup[MAX_TEXTS], *join[MAX_TEXTS];
    int messages, expects, setups, joins;
};
extern struct options options;

/* Counted over the measured seconds, or over the whole run where it says so. */
struct counts {
    uint64_t replies, deliveries, events, bytes_in;
    uint64_t wrong, errors, unasked, gaps, repeats, late; /* the whole run */
    uint64_t published, closed;
    char sample[400]; /* of the first thing that went wrong */
};
extern struct counts counts;
extern int measuring, stopping;

/* connection.c: sockets and the loop. */
struct connection *connection_open(int number);
void connection_adopt(int listener);
void connection_send(struct connection *c, const char *bytes, size_t length);
void connection_flush(struct connection *c);
void connection_close(struct connection *c, const char *reason);
void loop_start(void);
void loop_listen(int port);
void loop_turn(int milliseconds);

/* framing.c: from bytes to payloads and back, in six protocols. */
void framing_open(struct connection *c);
size_t framing_take(struct connection *c, char *bytes, size_t length); /* how many of them were used */
size_t framing_wrap(struct connection *c, char *out, const char *payload, size_t length, size_t *mask_from);
void framing_mask(char *bytes, size_t length);

/* message.c: texts with placeholders. */
void message_make(struct message *m, struct connection *c, const char *text);
void message_number(struct message *m, uint64_t number);
int text_has(const char *text, size_t length, const char *part);
uint64_t text_number(const char *text, size_t length, const char *before);
uint64_t text_id(const char *text, size_t length, int *connection);

/* traffic.c: what is asked, and what comes back. */
extern struct connection **connections;
extern int ready, opened;
void traffic_ready(struct connection *c);
void traffic_take(struct connection *c, const char *payload, size_t length, uint64_t id);
size_t image_answer(char *out, size_t room, const char *request, size_t length); /* 0: it is no request */
void traffic_pump(struct connection *c);
void traffic_pace(void);
void traffic_begin(void);
uint64_t traffic_under_way(void);
void keep_sample(const char *payload, size_t length); /* the first that went wrong is shown */
void count_bad(uint64_t *counter, const char *payload, size_t length);

/* measure.c: clocks, a histogram, processor time. */
uint64_t now_ns(void);
void times_add(uint64_t nanoseconds);
double times_percentile_us(double part);
struct reading { uint64_t at; double own_s, machine_s, watched_s[MAX_TEXTS]; };
void reading_take(struct reading *r);
void reading_print(const struct reading *begin, const struct reading *end);

void die(const char *what);

#endif

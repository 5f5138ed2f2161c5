/* How do payloads travel: lines, WebSocket, socket.io over it, Redis' RESP, NATS, server-sent events? */
#define _GNU_SOURCE
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char MASK[4] = {0x3a, 0x5c, 0x91, 0xe7};
enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

static int is_websocket(struct connection *c) { return c->protocol == WEBSOCKET || c->protocol == SOCKETIO; }

void framing_mask(char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) bytes[i] ^= (char)MASK[i & 3];
}

static size_t frame_head(char *out, int opcode, size_t length) {
    size_t at = 0;
    out[at++] = (char)(0x80 | opcode);
    if (length < 126) {
        out[at++] = (char)(0x80 | length);
    } else if (length < 65536) {
        out[at++] = (char)(0x80 | 126);
        out[at++] = (char)(length >> 8);
        out[at++] = (char)length;
    } else {
        die("a message above 65,535 bytes");
    }
    memcpy(out + at, MASK, 4);
    return at + 4;
}

size_t framing_wrap(struct connection *c, char *out, const char *payload, size_t length, size_t *mask_from) {
    *mask_from = is_websocket(c) ? frame_head(out, TEXT, length) : 0;
    memcpy(out + *mask_from, payload, length);
    if (*mask_from) framing_mask(out + *mask_from, length);
    if (c->protocol == LINES) out[length++] = '\n';
    return *mask_from + length;
}

static void send_frame(struct connection *c, int opcode, const char *payload, size_t length) {
    char frame[256]; /* control frames and the two of socket.io's opening */
    if (length > 125) die("a control frame above 125 bytes");
    size_t head = frame_head(frame, opcode, length);
    memcpy(frame + head, payload, length);
    framing_mask(frame + head, length);
    connection_send(c, frame, head + length);
}

void framing_open(struct connection *c) {
    char text[512];
    if (is_websocket(c)) {
        int length = snprintf(text, sizeof text,
                              "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                              options.path, options.port);
        connection_send(c, text, (size_t)length);
    } else if (c->protocol == EVENTS) {
        struct message request = {0};
        message_make(&request, c, options.listening);
        connection_send(c, request.bytes, request.length);
        free(request.bytes);
    } else if (c->protocol != NATS) { /* NATS speaks first */
        c->phase = SCRIPTED;
        traffic_ready(c);
    }
}

static void take_socketio(struct connection *c, char *text, size_t length) {
    if (length == 1 && text[0] == '2') {
        send_frame(c, TEXT, "3", 1);
    } else if (c->phase == OPENING && length && text[0] == '0') {
        c->phase = JOINING;
        send_frame(c, TEXT, "40", 2);
    } else if (c->phase == JOINING && length > 1 && !memcmp(text, "40", 2)) {
        c->phase = SCRIPTED;
        traffic_ready(c);
    } else if (length > 2 && !memcmp(text, "43", 2)) {
        uint64_t ack = text_number(text, length, "43");
        traffic_take(c, text, length, ack == NO_ID ? NO_ID : ack - ACK_BASE);
    } else if (length > 2 && !memcmp(text, "42", 2)) {
        traffic_take(c, text, length, NO_ID);
    } else {
        count_bad(&counts.wrong, text, length);
    }
}

static void take_payload(struct connection *c, char *payload, size_t length) {
    int from = c->number;
    if (c->protocol == SOCKETIO) {
        take_socketio(c, payload, length);
        return;
    }
    uint64_t id = text_id(payload, length, &from);
    if (id != NO_ID && from != c->number && !options.fanout) {
        count_bad(&counts.wrong, payload, length); /* somebody else's reply */
        return;
    }
    traffic_take(c, payload, length, from == c->number ? id : NO_ID);
}

/* Each of these takes one message from the front; 0: it is not whole yet. */

static size_t take_handshake(struct connection *c, char *bytes, size_t length) {
    char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return 0;
    if (length < 12 || memcmp(bytes, c->protocol == EVENTS ? "HTTP/1.1 200" : "HTTP/1.1 101", 12)) {
        count_bad(&counts.wrong, bytes, length);
        connection_close(c, "the handshake was refused");
        return 0;
    }
    c->phase = c->protocol == SOCKETIO || c->protocol == EVENTS ? OPENING : SCRIPTED;
    if (c->phase == SCRIPTED) traffic_ready(c);
    return (size_t)(end + 4 - bytes);
}

static size_t take_frame(struct connection *c, char *bytes, size_t length) {
    size_t head = 2, size;
    if (length < head) return 0;
    size = (unsigned char)bytes[1] & 127;
    if (size == 126) {
        head = 4;
        if (length < head) return 0;
        size = (size_t)(unsigned char)bytes[2] << 8 | (unsigned char)bytes[3];
    } else if (size == 127) {
        head = 10;
        if (length < head) return 0;
        size = 0;
        for (int i = 2; i < 10; i++) size = size << 8 | (unsigned char)bytes[i];
    }
    if (length < head + size) return 0;
    switch (bytes[0] & 15) {
    case TEXT: take_payload(c, bytes + head, size); break;
    case PING: send_frame(c, PONG, bytes + head, size); break;
    case CLOSE:
        keep_sample(bytes + head, size); /* the code and the reason */
        connection_close(c, "a close frame");
        break;
    default: break;
    }
    return head + size;
}

static size_t take_line(struct connection *c, char *bytes, size_t length) {
    char *end = memchr(bytes, '\n', length);
    if (!end) return 0;
    take_payload(c, bytes, (size_t)(end - bytes));
    return (size_t)(end + 1 - bytes);
}

static size_t take_resp(struct connection *c, char *bytes, size_t length) {
    char *end = memchr(bytes, '\n', length);
    if (!end) return 0;
    size_t used = (size_t)(end + 1 - bytes);
    if (bytes[0] == '$') { /* a value of so many bytes follows */
        long size = strtol(bytes + 1, NULL, 10);
        size_t whole = size < 0 ? used : used + (size_t)size + 2;
        if (length < whole) return 0;
        used = whole;
    }
    traffic_take(c, bytes, used, c->answered_in_order++); /* replies come in the order of the requests */
    return used;
}

static size_t take_nats(struct connection *c, char *bytes, size_t length) {
    char *end = memchr(bytes, '\n', length), text[160];
    if (!end) return 0;
    size_t line = (size_t)(end + 1 - bytes);
    if (!memcmp(bytes, "MSG ", 4)) { /* MSG subject sid [reply] size */
        char *reply = NULL, *last = NULL;
        for (char *at = bytes; at < end; at++)
            if (*at == ' ') reply = last, last = at;
        size_t size = (size_t)strtol(last, NULL, 10);
        if (length < line + size + 2) return 0;
        if (options.image) { /* answers to whom the request names */
            char answer[1024];
            size_t body = image_answer(answer, sizeof answer, bytes + line, size);
            int head = snprintf(text, sizeof text, "PUB %.*s %zu\r\n", (int)(last - reply - 1), reply + 1, body);
            connection_send(c, text, (size_t)head);
            connection_send(c, answer, body);
            connection_send(c, "\r\n", 2);
        } else {
            take_payload(c, bytes + line, size);
        }
        return line + size + 2;
    }
    if (!memcmp(bytes, "INFO", 4)) {
        int size = snprintf(text, sizeof text, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s%05d 1\r\nPING\r\n",
                            options.image ? "image" : "_INBOX.", c->number);
        connection_send(c, text, (size_t)size);
    } else if (!memcmp(bytes, "PONG", 4)) {
        c->phase = SCRIPTED;
        traffic_ready(c);
    } else if (!memcmp(bytes, "PING", 4)) {
        connection_send(c, "PONG\r\n", 6);
    } else {
        count_bad(&counts.wrong, bytes, line);
    }
    return line;
}

/* An event is some lines and an empty one. The first says that the stream is there. Comments carry nothing. */
static size_t take_event(struct connection *c, char *bytes, size_t length) {
    char *end = memmem(bytes, length, "\n\n", 2), *data = bytes;
    if (!end) return 0;
    while (data < end && memcmp(data, "data: ", 6)) {
        data = memchr(data, '\n', (size_t)(end + 1 - data));
        data++;
    }
    if (data < end && c->phase == OPENING) {
        c->phase = SCRIPTED;
        traffic_ready(c);
    } else if (data < end) {
        traffic_take(c, data + 6, (size_t)(end - data - 6), NO_ID);
    }
    return (size_t)(end + 2 - bytes);
}

size_t framing_take(struct connection *c, char *bytes, size_t length) {
    size_t used = 0;
    while (used < length && c->phase != CLOSED) {
        size_t (*take)(struct connection *, char *, size_t) = take_line;
        if (is_websocket(c)) take = c->phase == SHAKING ? take_handshake : take_frame;
        if (c->protocol == EVENTS) take = c->phase == SHAKING ? take_handshake : take_event;
        if (c->protocol == RESP) take = take_resp;
        if (c->protocol == NATS) take = take_nats;
        size_t one = take(c, bytes + used, length - used);
        if (!one) break;
        used += one;
    }
    return used;
}

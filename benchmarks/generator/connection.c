/* Sockets and the loop that waits for them (epoll, one thread). */
#define _GNU_SOURCE
#include "generator.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (1 << 18)
static char read_buffer[READ_BYTES + (1 << 20)]; /* with room for the beginning of a message from before */
static int poller, listener = -1;

static struct sockaddr_in address(uint32_t host, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(host);
    return a;
}

static void watch(int fd, struct connection *c, int events, int how) {
    struct epoll_event event = {.events = (uint32_t)events, .data.ptr = c};
    if (epoll_ctl(poller, how, fd, &event)) die("epoll_ctl");
}

static struct connection *connection_new(int fd, int number) {
    struct connection *c = calloc(1, sizeof *c);
    int one = 1;
    c->fd = fd;
    c->number = number;
    c->group = number % options.groups;
    c->protocol = options.listening && number ? EVENTS : options.protocol;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    watch(fd, c, EPOLLIN, EPOLL_CTL_ADD);
    return c;
}

struct connection *connection_open(int number) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Each process comes from a loopback address of its own, so that closed connections of earlier ones, of which the
       system keeps the ports for a minute, do not use up the ports. */
    uint32_t host = INADDR_LOOPBACK + 0x10000u + (((uint32_t)getpid() & 0x7fffu) << 1);
    struct sockaddr_in from = address(host, 0), to = address(INADDR_LOOPBACK, options.port);
    if (fd < 0) die("socket (is the limit of open files too low?)");
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) die("bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    connections[number] = connection_new(fd, number);
    framing_open(connections[number]);
    connection_flush(connections[number]);
    return connections[number];
}

void connection_send(struct connection *c, const char *bytes, size_t length) {
    if (c->out.length + length > c->out.room) {
        c->out.room = (c->out.length + length) * 2;
        c->out.at = realloc(c->out.at, c->out.room);
    }
    memcpy(c->out.at + c->out.length, bytes, length);
    c->out.length += length;
}

void connection_close(struct connection *c, const char *reason) {
    if (c->phase == CLOSED) return;
    count_bad(&counts.closed, reason, strlen(reason));
    c->phase = CLOSED;
    close(c->fd);
}

void connection_flush(struct connection *c) {
    if (c->phase == CLOSED || !c->out.length) return;
    ssize_t written = write(c->fd, c->out.at, c->out.length);
    if (written < 0) {
        if (errno != EAGAIN) {
            connection_close(c, strerror(errno));
            return;
        }
        written = 0;
    }
    c->out.length -= (size_t)written;
    memmove(c->out.at, c->out.at + written, c->out.length);
    int wants_out = c->out.length > 0;
    if (wants_out != c->wants_out) watch(c->fd, c, wants_out ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    c->wants_out = wants_out;
}

static void connection_read(struct connection *c) {
    size_t before = c->in.length;
    if (before) memcpy(read_buffer, c->in.at, before);
    ssize_t got = read(c->fd, read_buffer + before, READ_BYTES);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) connection_close(c, got ? strerror(errno) : "the other side closed");
        return;
    }
    if (measuring) counts.bytes_in += (uint64_t)got;
    size_t length = before + (size_t)got, used = framing_take(c, read_buffer, length);
    if (c->phase == CLOSED) return;
    c->in.length = length - used;
    if (c->in.length > sizeof read_buffer - READ_BYTES) die("a message above a megabyte");
    if (c->in.length > c->in.room) c->in.at = realloc(c->in.at, c->in.room = c->in.length * 2);
    if (c->in.length) memcpy(c->in.at, read_buffer + used, c->in.length);
    traffic_pump(c);
    connection_flush(c);
}

void loop_start(void) {
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) die("epoll_create1");
}

void loop_listen(int port) {
    struct sockaddr_in at = address(INADDR_LOOPBACK, port);
    int one = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128)) die("listen");
    watch(listener, NULL, EPOLLIN, EPOLL_CTL_ADD);
}

void loop_turn(int milliseconds) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, milliseconds);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) { /* the listener of an image that is asked directly */
            c = connection_new(accept(listener, NULL, NULL), 0);
            c->phase = READY;
            continue;
        }
        if (c->phase != CLOSED && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) connection_read(c);
        if (c->phase != CLOSED && events[i].events & EPOLLOUT) connection_flush(c);
    }
}

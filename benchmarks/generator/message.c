/* How does a text with placeholders become a message, and what does a payload say?
 *
 *   {ID}   "cCCCCC-NNNNNNNNNN" without the quotes: the connection and the number of the request
 *   {N}    the number of the request plus a billion, for a JSON number; {ACK} the same for socket.io
 *   {C}    the connection, {G} its group, {M} the connection modulo --modulo: five digits each
 *   {SID}  what was captured from the replies to the script of the group's first connection
 *
 * All but {SID} have a fixed width, so that a message is made once and only its digits change.
 */
#define _GNU_SOURCE
#include "generator.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void slot_add(struct message *m, size_t offset, int digits, uint64_t base) {
    if (m->slots == MAX_SLOTS) die("too many placeholders in one message");
    m->slot[m->slots].offset = offset;
    m->slot[m->slots].digits = digits;
    m->slot[m->slots++].base = base;
}

void message_make(struct message *m, struct connection *c, const char *text) {
    size_t length = 0, room = strlen(text) * 4 + 512;
    char *plain = malloc(room);
    m->slots = 0;
    while (*text) {
        if (length + SID_BYTES + 32 > room) die("a message with too many placeholders");
        if (!strncmp(text, "{ID}", 4)) {
            length += (size_t)sprintf(plain + length, "c%05d-", c->number);
            slot_add(m, length, 10, 0);
            length += 10, text += 4;
        } else if (!strncmp(text, "{N}", 3)) {
            slot_add(m, length, 10, STAMP_BASE);
            length += 10, text += 3;
        } else if (!strncmp(text, "{ACK}", 5)) {
            slot_add(m, length, 9, ACK_BASE);
            length += 9, text += 5;
        } else if (!strncmp(text, "{C}", 3) || !strncmp(text, "{G}", 3) || !strncmp(text, "{M}", 3)) {
            int number = text[1] == 'C' ? c->number : text[1] == 'G' ? c->group : c->number % options.modulo;
            length += (size_t)sprintf(plain + length, "%05d", number);
            text += 3;
        } else if (!strncmp(text, "{SID}", 5)) {
            length += (size_t)sprintf(plain + length, "%s", connections[c->group]->sid);
            text += 5;
        } else {
            plain[length++] = *text++;
        }
    }
    m->bytes = realloc(m->bytes, length + 16);
    m->length = framing_wrap(c, m->bytes, plain, length, &m->mask_from);
    for (int i = 0; i < m->slots; i++) m->slot[i].offset += m->mask_from;
    free(plain);
    message_number(m, 0);
}

void message_number(struct message *m, uint64_t number) {
    for (int i = 0; i < m->slots; i++) {
        size_t offset = m->slot[i].offset, digits = (size_t)m->slot[i].digits;
        uint64_t rest = number + m->slot[i].base;
        char text[10];
        for (size_t k = digits; k-- > 0; rest /= 10) text[k] = (char)('0' + rest % 10);
        memcpy(m->bytes + offset, text, digits);
        if (m->mask_from) { /* the mask goes on from the payload's beginning */
            static const unsigned char mask[4] = {0x3a, 0x5c, 0x91, 0xe7};
            for (size_t k = offset; k < offset + digits; k++) m->bytes[k] ^= (char)mask[(k - m->mask_from) & 3];
        }
    }
}

int text_has(const char *text, size_t length, const char *part) { return memmem(text, length, part, strlen(part)) != NULL; }

uint64_t text_number(const char *text, size_t length, const char *before) {
    const char *at = memmem(text, length, before, strlen(before)), *end = text + length;
    uint64_t number = 0;
    if (!at) return NO_ID;
    at += strlen(before);
    if (at == end || *at < '0' || *at > '9') return NO_ID;
    for (; at < end && *at >= '0' && *at <= '9'; at++) number = number * 10 + (uint64_t)(*at - '0');
    return number;
}

uint64_t text_id(const char *text, size_t length, int *connection) {
    const char *at = memmem(text, length < 80 ? length : 80, "\"id\":\"c", 7);
    if (!at || text + length - at < 24) return NO_ID;
    *connection = (int)strtol(at + 7, NULL, 10);
    return text_number(at + 12, 11, "-");
}

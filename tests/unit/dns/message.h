/* Builds DNS messages for the tests: right ones and wrong ones. */
#ifndef TESTS_UNIT_DNS_MESSAGE_H
#define TESTS_UNIT_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MESSAGE_MAX 65535

struct message {
    uint8_t bytes[MESSAGE_MAX];
    size_t size;
};

static inline void message_byte(struct message *message, unsigned value)
{
    if (message->size < MESSAGE_MAX)
        message->bytes[message->size++] = (uint8_t)value;
}

static inline void message_16(struct message *message, unsigned value)
{
    message_byte(message, value >> 8 & 0xff);
    message_byte(message, value & 0xff);
}

static inline void message_32(struct message *message, uint32_t value)
{
    message_16(message, value >> 16);
    message_16(message, value & 0xffff);
}

/* NAME as labels; "" is the root. */
static inline void message_name(struct message *message, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        message_byte(message, (unsigned)n);
        for (size_t i = 0; i < n; i++)
            message_byte(message, (unsigned char)name[i]);
        name += n + (name[n] == '.');
    }
    message_byte(message, 0);
}

/* Adds N to the count at OFFSET of the header: 6 answers, 8 authorities. */
static inline void message_count(struct message *message, size_t offset, unsigned n)
{
    unsigned count = (unsigned)(message->bytes[offset] << 8 | message->bytes[offset + 1]) + n;
    message->bytes[offset] = (uint8_t)(count >> 8);
    message->bytes[offset + 1] = (uint8_t)count;
}

/* Header and question. */
static inline void message_begin(struct message *message, unsigned id, unsigned flags, const char *name, unsigned type)
{
    message->size = 0;
    message_16(message, id);
    message_16(message, 0x8180 | flags);
    message_16(message, 1);
    message_16(message, 0);
    message_16(message, 0);
    message_16(message, 0);
    message_name(message, name);
    message_16(message, type);
    message_16(message, 1);
}

/* The head of a record with DATA_SIZE bytes to follow. */
static inline void message_head(struct message *message, const char *owner, unsigned type, uint32_t ttl, size_t data_size)
{
    message_count(message, 6, 1);
    message_name(message, owner);
    message_16(message, type);
    message_16(message, 1);
    message_32(message, ttl);
    message_16(message, (unsigned)data_size);
}

static inline size_t message_name_size(const char *name)
{
    return *name ? strlen(name) + 2 : 1;
}

static inline void message_mx(struct message *message, const char *owner, uint32_t ttl, unsigned preference, const char *host)
{
    message_head(message, owner, 15, ttl, 2 + message_name_size(host));
    message_16(message, preference);
    message_name(message, host);
}

static inline void message_cname(struct message *message, const char *owner, uint32_t ttl, const char *target)
{
    message_head(message, owner, 5, ttl, message_name_size(target));
    message_name(message, target);
}

static inline void message_a(struct message *message, const char *owner, uint32_t ttl, uint32_t address)
{
    message_head(message, owner, 1, ttl, 4);
    message_32(message, address);
}

/* 2001:db8::LAST */
static inline void message_aaaa(struct message *message, const char *owner, uint32_t ttl, unsigned last)
{
    message_head(message, owner, 28, ttl, 16);
    message_32(message, 0x20010db8);
    message_32(message, 0);
    message_32(message, 0);
    message_32(message, last);
}

/* DATA_SIZE bytes of DATA as they are: usage, selector, matching type and what is to match. */
static inline void message_tlsa(struct message *message, const char *owner, uint32_t ttl, const void *data, size_t data_size)
{
    message_head(message, owner, 52, ttl, data_size);
    for (size_t i = 0; i < data_size; i++)
        message_byte(message, ((const unsigned char *)data)[i]);
}

/* One character-string for each of the COUNT STRINGS. */
static inline void message_txt(struct message *message, const char *owner, uint32_t ttl, const char *const *strings, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += 1 + strlen(strings[i]);
    message_head(message, owner, 16, ttl, size);
    for (size_t i = 0; i < count; i++) {
        message_byte(message, (unsigned)strlen(strings[i]));
        for (const char *at = strings[i]; *at; at++)
            message_byte(message, (unsigned char)*at);
    }
}

/* A record of the authority section; only after all answers. */
static inline void message_soa(struct message *message, const char *owner, uint32_t ttl, uint32_t minimum)
{
    message_head(message, owner, 6, ttl, 1 + 1 + 20);
    message_count(message, 6, 0xffff);
    message_count(message, 8, 1);
    message_name(message, "");
    message_name(message, "");
    for (unsigned i = 0; i < 4; i++)
        message_32(message, 1);
    message_32(message, minimum);
}

static inline void message_ns(struct message *message, const char *owner, const char *server)
{
    message_head(message, owner, 2, 300, message_name_size(server));
    message_count(message, 6, 0xffff);
    message_count(message, 8, 1);
    message_name(message, server);
}

#endif

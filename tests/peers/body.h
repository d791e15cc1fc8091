/* Hand-written three-element bodies [sender, name, data], as programs of 2015 write and read them, and one line of text
 * for each body that came. Shared by the peer programs, which know nothing of nanostate. */
#ifndef PEERS_BODY_H
#define PEERS_BODY_H

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest state that `text` and `bin` build. */
enum { BODY_MAX = (1 << 20) + 4096 };

/* Writes the head of a str or (bin != 0) bin of `len` bytes. */
static inline size_t put_head(unsigned char *out, size_t len, int bin)
{
    size_t n = 0;
    if (!bin && len < 32) {
        out[n++] = (unsigned char)(0xa0 | len);
    } else if (len < 0x100) {
        out[n++] = bin ? 0xc4 : 0xd9;
        out[n++] = (unsigned char)len;
    } else if (len < 0x10000) {
        out[n++] = bin ? 0xc5 : 0xda;
        out[n++] = (unsigned char)(len >> 8);
        out[n++] = (unsigned char)len;
    } else {
        out[n++] = bin ? 0xc6 : 0xdb;
        out[n++] = (unsigned char)(len >> 24);
        out[n++] = (unsigned char)(len >> 16);
        out[n++] = (unsigned char)(len >> 8);
        out[n++] = (unsigned char)len;
    }
    return n;
}

static inline size_t put(unsigned char *out, const char *text, size_t len, int bin)
{
    size_t n = put_head(out, len, bin);
    memcpy(out + n, text, len);
    return n + len;
}

/* Builds a body in `out` (BODY_MAX bytes); 0 if it is too large. */
static inline size_t make_body(unsigned char *out, const char *sender, const char *name, const char *data, size_t len,
                               int bin)
{
    size_t n = 0;
    if (strlen(sender) + strlen(name) + len + 16 > BODY_MAX)
        return 0;
    out[n++] = 0x93;
    n += put(out + n, sender, strlen(sender), 0);
    n += put(out + n, name, strlen(name), 0);
    n += put(out + n, data, len, bin);
    return n;
}

/* Reads a str or bin at *at; 0 if there is none or it is not whole. */
static inline int get(const unsigned char *b, size_t size, size_t *at, const unsigned char **out, size_t *len, int *bin)
{
    size_t width, i;
    unsigned char head;
    if (*at >= size)
        return 0;
    head = b[(*at)++];
    *bin = head >= 0xc4 && head <= 0xc6;
    if ((head & 0xe0) == 0xa0) {
        *len = head & 0x1f;
    } else {
        if (head != 0xd9 && head != 0xda && head != 0xdb && !*bin)
            return 0;
        width = (size_t)1 << (*bin ? head - 0xc4 : head - 0xd9);
        if (size - *at < width)
            return 0;
        for (*len = 0, i = 0; i < width; i++)
            *len = *len << 8 | b[(*at)++];
    }
    if (size - *at < *len)
        return 0;
    *out = b + *at;
    *at += *len;
    return 1;
}

static inline void print_hex(const unsigned char *b, size_t n)
{
    size_t i;
    if (n == 0)
        putchar('-');
    for (i = 0; i < n; i++)
        printf("%02x", b[i]);
}

/* One line: `body HEX`, and when it is three elements of which the last is text or bytes, also
 * the sender, the name, `text` or `bin`, and the data; tabs between all of them. */
static inline void print_body(const unsigned char *b, size_t n)
{
    const unsigned char *sender, *name, *data;
    size_t sender_len, name_len, data_len, at = 1;
    int bin, data_bin;
    printf("body ");
    print_hex(b, n);
    if (n > 0 && b[0] == 0x93 && get(b, n, &at, &sender, &sender_len, &bin) && get(b, n, &at, &name, &name_len, &bin)
        && get(b, n, &at, &data, &data_len, &data_bin) && at == n) {
        printf("\t%.*s\t%.*s\t%s\t", (int)sender_len, (const char *)sender, (int)name_len, (const char *)name,
               data_bin ? "bin" : "text");
        fwrite(data, 1, data_len, stdout);
    }
    putchar('\n');
    fflush(stdout);
}

/* Turns one line of standard input into a body:
 *   text NAME VALUE    data as str
 *   bin NAME VALUE     data as bin
 *   fill NAME COUNT    text of COUNT times 'x'
 *   raw HEX            these bytes, whatever they are ("raw" alone: none)
 * Returns its length, or -1 when the line is none of these. */
static inline long parse_command(char *line, const char *sender, unsigned char *out)
{
    char *word = strtok(line, " \n"), *name, *value;
    size_t n = 0;
    if (word == NULL)
        return -1;
    if (strcmp(word, "raw") == 0) {
        char *hex = strtok(NULL, " \n");
        unsigned byte;
        for (; hex != NULL && isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]); hex += 2) {
            sscanf(hex, "%2x", &byte);
            out[n++] = (unsigned char)byte;
        }
        return (long)n;
    }
    name = strtok(NULL, " ");
    value = strtok(NULL, "\n");
    if (name == NULL || value == NULL)
        return -1;
    if (strcmp(word, "text") == 0 || strcmp(word, "bin") == 0) {
        n = make_body(out, sender, name, value, strlen(value), word[0] == 'b');
    } else if (strcmp(word, "fill") == 0) {
        size_t count = strtoul(value, NULL, 10);
        char *data = malloc(count + 1);
        if (data != NULL) {
            memset(data, 'x', count);
            n = make_body(out, sender, name, data, count, 0);
            free(data);
        }
    }
    return n > 0 ? (long)n : -1;
}

#endif

/* Base64 and hexadecimal; see encoding.h. Plain table code: both run at memory
 * speed for the sizes that pass here (digests, blobs, keys). */
#include "crypto/encoding.h"

#include <stdint.h>
#include <string.h>

static const char base64_digits[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_digits[16] = "0123456789abcdef";

size_t base64_encode(const void *data, size_t size, char *out)
{
    const unsigned char *in = data;
    char *start = out;
    for (; size >= 3; size -= 3, in += 3) {
        uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *out++ = base64_digits[v >> 18];
        *out++ = base64_digits[v >> 12 & 63];
        *out++ = base64_digits[v >> 6 & 63];
        *out++ = base64_digits[v & 63];
    }
    if (size > 0) {
        uint32_t v = (uint32_t)in[0] << 16 | (size > 1 ? (uint32_t)in[1] << 8 : 0);
        *out++ = base64_digits[v >> 18];
        *out++ = base64_digits[v >> 12 & 63];
        *out++ = size > 1 ? base64_digits[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    return (size_t)(out - start);
}

/* The value of a digit; -1: none; -2: white space. */
static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    if (c == '/')
        return 63;
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' ? -2 : -1;
}

/* Checks what follows the first '=': only padding and white space. */
static bool base64_padding(const char *text, size_t size, size_t digits)
{
    size_t padding = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '=')
            padding++;
        else if (base64_value((unsigned char)text[i]) != -2)
            return false;
    }
    return digits % 4 >= 2 && padding == 4 - digits % 4;
}

bool base64_decode(const char *text, size_t size, unsigned char *out, size_t *size_out)
{
    uint32_t bits = 0;
    size_t digits = 0, written = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '=') {
            if (!base64_padding(text + i, size - i, digits))
                return false;
            break;
        }
        int value = base64_value((unsigned char)text[i]);
        if (value == -1)
            return false;
        if (value == -2)
            continue;
        bits = bits << 6 | (uint32_t)value;
        digits++;
        if (digits % 4 != 1)
            out[written++] = (unsigned char)(bits >> (6 - (digits - 1) % 4 * 2));
    }
    *size_out = written;
    return digits % 4 != 1;
}

/* Eight digits of four bytes at once: each nibble is moved to a separate byte, and those above
 * nine are lifted to the letters. Signatures write three digests a request, so this counts. */
static void hex_encode_four(const unsigned char *in, char *out)
{
    uint64_t x = (uint64_t)in[0] << 24 | (uint64_t)in[1] << 16 | (uint64_t)in[2] << 8 | in[3];
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    memcpy(out, &x, sizeof x);
}

void hex_encode(const void *data, size_t size, char *out)
{
    const unsigned char *in = data;
    for (; size >= 4; size -= 4, in += 4, out += 8)
        hex_encode_four(in, out);
    for (; size > 0; size--, in++) {
        *out++ = hex_digits[*in >> 4];
        *out++ = hex_digits[*in & 15];
    }
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(const char *text, size_t size, unsigned char *out)
{
    if (size % 2 != 0)
        return false;
    for (size_t i = 0; i < size; i += 2) {
        int high = hex_value((unsigned char)text[i]), low = hex_value((unsigned char)text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        *out++ = (unsigned char)(high << 4 | low);
    }
    return true;
}

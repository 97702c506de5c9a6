/* CRC-32 by zlib; CRC-32C by the SSE 4.2 instruction where there is one, else by
 * tables; CRC-64/NVME by tables. The tables (slicing by eight: eight bytes a
 * step) are written once, by pthread_once, and constant from then on. */
#include "crypto/checksum.h"

#include <pthread.h>
#include <string.h>
#include <zlib.h>

#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78)
#define CRC64NVME_POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5)

static struct tables {
    uint32_t crc32c[8][256];
    uint64_t crc64nvme[8][256];
} tables;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_fill(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint32_t c = i;
        uint64_t d = i;
        for (int bit = 0; bit < 8; bit++) {
            c = c >> 1 ^ (CRC32C_POLYNOMIAL & (0 - (c & 1)));
            d = d >> 1 ^ (CRC64NVME_POLYNOMIAL & (0 - (d & 1)));
        }
        tables.crc32c[0][i] = c;
        tables.crc64nvme[0][i] = d;
    }
    for (int slice = 1; slice < 8; slice++)
        for (unsigned i = 0; i < 256; i++) {
            uint32_t c = tables.crc32c[slice - 1][i];
            uint64_t d = tables.crc64nvme[slice - 1][i];
            tables.crc32c[slice][i] = c >> 8 ^ tables.crc32c[0][c & 255];
            tables.crc64nvme[slice][i] = d >> 8 ^ tables.crc64nvme[0][d & 255];
        }
}

/* Eight bytes in little-endian order, whatever the processor's. */
static uint64_t load64(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

uint32_t checksum_crc32(uint32_t crc, const void *data, size_t size)
{
    return (uint32_t)crc32_z(crc, data, size);
}

uint32_t checksum_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&tables_once, tables_fill);
    const unsigned char *p = data;
    const uint32_t(*t)[256] = (const uint32_t(*)[256])tables.crc32c;
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t v = load64(p) ^ crc;
        crc = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^
              t[3][v >> 32 & 255] ^ t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    for (; size > 0; size--)
        crc = crc >> 8 ^ t[0][(crc ^ *p++) & 255];
    return ~crc;
}

uint64_t checksum_crc64nvme(uint64_t crc, const void *data, size_t size)
{
    pthread_once(&tables_once, tables_fill);
    const unsigned char *p = data;
    const uint64_t(*t)[256] = (const uint64_t(*)[256])tables.crc64nvme;
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t v = load64(p) ^ crc;
        crc = t[7][v & 255] ^ t[6][v >> 8 & 255] ^ t[5][v >> 16 & 255] ^ t[4][v >> 24 & 255] ^
              t[3][v >> 32 & 255] ^ t[2][v >> 40 & 255] ^ t[1][v >> 48 & 255] ^ t[0][v >> 56];
    }
    for (; size > 0; size--)
        crc = crc >> 8 ^ t[0][(crc ^ *p++) & 255];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *data,
                                                               size_t size)
{
    const unsigned char *p = data;
    uint64_t state = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, sizeof v);
        state = __builtin_ia32_crc32di(state, v);
    }
    for (; size > 0; size--)
        state = __builtin_ia32_crc32qi((uint32_t)state, *p++);
    return ~(uint32_t)state;
}
#endif

uint32_t checksum_crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, data, size);
#endif
    return checksum_crc32c_portable(crc, data, size);
}

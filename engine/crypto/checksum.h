/* The checksums of AWS's transfers: CRC-32 (ISO-HDLC), CRC-32C (Castagnoli, RFC 3720 B.4) and
 * CRC-64/NVME. Each continues from an earlier value: 0 to start, the last result to continue, as
 * zlib's crc32 does.
 */
#ifndef DRLUA_CHECKSUM_H
#define DRLUA_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t checksum_crc32(uint32_t crc, const void *data, size_t size);
uint32_t checksum_crc32c(uint32_t crc, const void *data, size_t size);
uint64_t checksum_crc64nvme(uint64_t crc, const void *data, size_t size);
/* The table version, for processors without the instruction and for tests. */
uint32_t checksum_crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif

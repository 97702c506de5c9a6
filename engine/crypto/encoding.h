/* Base64 (RFC 4648 section 4) and hexadecimal, over plain buffers.
 *
 * The caller owns every buffer; encoders write exactly the size given by the *_SIZE macros and no
 * terminating zero.
 */
#ifndef DRLUA_ENCODING_H
#define DRLUA_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64_ENCODED_SIZE(n) (((n) + 2) / 3 * 4)
/* An upper bound; the true size comes from base64_decode. */
#define BASE64_DECODED_SIZE(n) (((n) + 3) / 4 * 3)

/* Returns the number of characters written. */
size_t base64_encode(const void *data, size_t size, char *out);
/* Accepts missing padding and ASCII white space; false when the text has another
 * character, too few characters or padding in the middle. `size_out` gets the
 * number of bytes written. */
bool base64_decode(const char *text, size_t size, unsigned char *out, size_t *size_out);

/* Writes 2 * size lower-case digits. */
void hex_encode(const void *data, size_t size, char *out);
/* Writes size / 2 bytes; false when size is odd or a character is no digit. */
bool hex_decode(const char *text, size_t size, unsigned char *out);

#endif

/* One HTTP exchange under libcurl's multi interface.
 *
 * Transfers are reused: easy handle, buffers and list of headers stay for the
 * next one. Nothing here knows Lua; http.c fills a transfer and reads it back. */
#ifndef DRLUA_TRANSFER_H
#define DRLUA_TRANSFER_H

#include "base/buffer.h"
#include "http/sink.h"
#include "loop/host.h"

#include <stdint.h>

struct transfer {
    CURL *easy;
    struct transfer *next; /* in the pool */
    struct host *host;
    struct op *op; /* to be finished; NULL: idle */
    bool running;  /* in the multi handle */

    /* The request. */
    struct buffer text; /* header lines, each ended by a zero byte */
    struct curl_slist *lines;
    size_t line_count, line_capacity;
    char place[272]; /* host and port, for messages */
    bool loopback, once; /* once: never sent a second time by libcurl */
    bool posts;   /* the body is a text */
    bool special; /* options were set that the next request must not inherit */
    unsigned sends;
    int upload_fd; /* -1: none */
    int64_t upload_offset, upload_left, upload_size;
    double connect_timeout, timeout;

    /* The response. */
    struct buffer head, body;
    size_t max_body;
    struct sink sink;
    const char *kind; /* of a failure in one of our callbacks */
    int error;        /* its errno */
    CURLcode code;
    long status;
    double seconds;
    char message[CURL_ERROR_SIZE];
};

/* A clean transfer of the pool, or NULL when memory is short. */
struct transfer *transfer_take(struct host *host);
/* Ends it, wherever it is, and puts it back. */
void transfer_give(struct transfer *transfer);
/* Counts one more header line, just added to the `text` buffer. */
bool transfer_add_line(struct transfer *transfer);
/* Reads host and port of the URL into place and loopback; false: not a URL. */
bool transfer_set_place(struct transfer *transfer, const char *url);
/* Hands it to libcurl; finishes `op` when it has ended. */
bool transfer_start(struct transfer *transfer, struct op *op);
/* Writes why it failed into `text`; returns the kind. */
const char *transfer_explain(const struct transfer *transfer, char *text, size_t size);
/* Frees the pool and the multi handle with its kept connections, when no transfer is under way;
 * the next one creates them again. */
void transfer_close(struct host *host);

#endif

/* See transfer.h. */
#define _GNU_SOURCE
#include "http/transfer.h"

#include <math.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { POOL_LIMIT = 64, KEEP_BYTES = 1 << 20, CONNECTIONS_KEPT = 128, KEPT_SECONDS = 118 };

/* Memory taken by a large response is not kept for the next. */
static void empty(struct buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES)
        buffer_free(buffer);
    buffer_clear(buffer);
}

static void destroy(struct transfer *transfer)
{
    if (transfer->easy)
        curl_easy_cleanup(transfer->easy);
    buffer_free(&transfer->text);
    buffer_free(&transfer->head);
    buffer_free(&transfer->body);
    free(transfer->lines);
    free(transfer);
}

/* Our own failure: reported instead of libcurl's code. */
static size_t refuse(struct transfer *transfer, const char *kind, int error)
{
    transfer->kind = kind;
    transfer->error = error;
    return 0;
}

static void keep_sink(struct transfer *transfer)
{
    int error = sink_keep(&transfer->sink);
    if (error)
        refuse(transfer, "io", error);
}

static void on_end(struct transfer *transfer, CURLcode code)
{
    transfer->code = code;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &transfer->status);
    curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME, &transfer->seconds);
    curl_multi_remove_handle(transfer->host->multi, transfer->easy);
    transfer->running = false;
    transfer->host->transfers--;
    if (code == CURLE_OK && sink_wants(&transfer->sink, transfer->status))
        keep_sink(transfer);
    op_finish(transfer->op);
}

/* The host's collect: finishes the operations of transfers that have ended. */
static void collect(struct host *host)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(host->multi, &left))) {
        struct transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        on_end(transfer, code);
    }
}

static void set_common(struct transfer *transfer);

static bool open_multi(struct host *host)
{
    if (host->multi)
        return true;
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return false;
    host->multi = curl_multi_init();
    if (!host->multi)
        return false;
    curl_multi_setopt(host->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    host->collect = collect;
    host->close_all = transfer_close;
    host->asleep = host_asleep();
    return true;
}

struct transfer *transfer_take(struct host *host)
{
    if (!open_multi(host))
        return NULL;
    struct transfer *transfer = host->idle_transfers;
    if (transfer) {
        host->idle_transfers = transfer->next;
        host->idle_count--;
        return transfer;
    }
    transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return NULL;
    transfer->host = host;
    transfer->upload_fd = -1;
    transfer->sink = SINK_NONE;
    transfer->easy = curl_easy_init();
    if (!transfer->easy) {
        free(transfer);
        return NULL;
    }
    set_common(transfer);
    return transfer;
}

void transfer_give(struct transfer *transfer)
{
    struct host *host = transfer->host;
    if (transfer->running) {
        curl_multi_remove_handle(host->multi, transfer->easy);
        host->transfers--;
    }
    if (transfer->upload_fd >= 0)
        close(transfer->upload_fd);
    sink_close(&transfer->sink);
    if (host->idle_count >= POOL_LIMIT) {
        destroy(transfer);
        return;
    }
    if (transfer->special) {
        curl_easy_reset(transfer->easy);
        set_common(transfer);
    }
    empty(&transfer->text);
    empty(&transfer->head);
    empty(&transfer->body);
    *transfer = (struct transfer){.easy = transfer->easy,
                                  .host = host,
                                  .text = transfer->text,
                                  .head = transfer->head,
                                  .body = transfer->body,
                                  .lines = transfer->lines,
                                  .line_capacity = transfer->line_capacity,
                                  .upload_fd = -1,
                                  .sink = SINK_NONE,
                                  .next = host->idle_transfers};
    host->idle_transfers = transfer;
    host->idle_count++;
}

void transfer_close(struct host *host)
{
    while (host->idle_transfers) {
        struct transfer *transfer = host->idle_transfers;
        host->idle_transfers = transfer->next;
        destroy(transfer);
    }
    host->idle_count = 0;
    if (host->multi) {
        curl_multi_cleanup(host->multi);
        curl_global_cleanup();
    }
    host->multi = NULL;
}

bool transfer_add_line(struct transfer *transfer)
{
    if (transfer->line_count == transfer->line_capacity) {
        size_t capacity = transfer->line_capacity ? transfer->line_capacity * 2 : 32;
        struct curl_slist *lines = reallocarray(transfer->lines, capacity, sizeof *lines);
        if (!lines)
            return false;
        transfer->lines = lines;
        transfer->line_capacity = capacity;
    }
    transfer->line_count++;
    return true;
}

/* The buffer of lines has stopped moving: links the list that libcurl reads. libcurl formats
 * every byte of a line, but copies the Content-Type that it adds to a form itself. */
static struct curl_slist *link_lines(struct transfer *transfer)
{
    static const char form[] = "Content-Type: application/x-www-form-urlencoded";
    struct curl_slist *first = NULL, **link = &first;
    char *text = transfer->text.data;
    for (size_t i = 0; i < transfer->line_count; i++) {
        size_t size = strlen(text);
        if (!(transfer->posts && size == sizeof form - 1 && memcmp(text, form, size) == 0)) {
            *link = &transfer->lines[i];
            **link = (struct curl_slist){.data = text};
            link = &(*link)->next;
        }
        text += size + 1;
    }
    return first;
}

static bool is_loopback(const char *host, size_t size)
{
    return (size > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= size) ||
           (size == 5 && strncmp(host, "[::1]", 5) == 0) ||
           (size == 9 && strncasecmp(host, "localhost", 9) == 0);
}

bool transfer_set_place(struct transfer *transfer, const char *url)
{
    const char *host = strstr(url, "://");
    if (!host || (strncasecmp(url, "http:", 5) != 0 && strncasecmp(url, "https:", 6) != 0))
        return false;
    host += 3;
    size_t size = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', size);
    if (at) {
        size -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    size_t name = *host == '[' ? strcspn(host, "]/") + 1 : strcspn(host, ":/?#");
    if (size == 0 || name == 0 || name > size)
        return false;
    transfer->loopback = is_loopback(host, name);
    snprintf(transfer->place, sizeof transfer->place, "%.*s", (int)size, host);
    return true;
}

static size_t on_header(char *data, size_t one, size_t size, void *cls)
{
    struct transfer *transfer = cls;
    (void)one;
    if (size > 5 && memcmp(data, "HTTP/", 5) == 0)
        buffer_clear(&transfer->head); /* what came before was not the response */
    else
        buffer_add(&transfer->head, data, size);
    return transfer->head.failed ? 0 : size;
}

static size_t to_file(struct transfer *transfer, const char *data, size_t size)
{
    int error = sink_write(&transfer->sink, data, size);
    return error ? refuse(transfer, "io", error) : size;
}

/* A file takes the body of a success only: an error's text is for the caller. */
static size_t on_body(char *data, size_t one, size_t size, void *cls)
{
    struct transfer *transfer = cls;
    long status = 0;
    (void)one;
    if (transfer->sink.fd >= 0)
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (sink_wants(&transfer->sink, status))
        return to_file(transfer, data, size);
    if (size > transfer->max_body - transfer->body.size)
        return refuse(transfer, "full", 0);
    buffer_add(&transfer->body, data, size);
    return transfer->body.failed ? refuse(transfer, "full", ENOMEM) : size;
}

static size_t on_upload(char *out, size_t one, size_t max, void *cls)
{
    struct transfer *transfer = cls;
    size_t want = one * max;
    if ((int64_t)want > transfer->upload_left)
        want = (size_t)transfer->upload_left;
    if (want == 0)
        return 0;
    ssize_t got = pread(transfer->upload_fd, out, want, transfer->upload_offset);
    if (got <= 0) { /* the file became shorter, or cannot be read */
        refuse(transfer, "io", got < 0 ? errno : ENODATA);
        return CURL_READFUNC_ABORT;
    }
    transfer->upload_offset += got;
    transfer->upload_left -= got;
    return (size_t)got;
}

static int on_rewind(void *cls, curl_off_t offset, int origin)
{
    struct transfer *transfer = cls;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    int64_t start = transfer->upload_offset + transfer->upload_left - transfer->upload_size;
    transfer->upload_offset = start + offset;
    transfer->upload_left = transfer->upload_size - offset;
    return CURL_SEEKFUNC_OK;
}

/* When a kept connection turns out to be dead libcurl sends the request again. What may have
 * taken effect must not be repeated silently. */
static int on_send(void *cls, char *ip, char *local_ip, int port, int local_port)
{
    struct transfer *transfer = cls;
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    transfer->sends++;
    return transfer->once && transfer->sends > 1 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* What all requests have in common. */
static void set_common(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a cancel does not wait for a resolver */
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
}

static void set_upload(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    transfer->special = true;
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->upload_size);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
}

/* A connection kept from before the machine slept is dead by now, though we may not have been
 * notified: the other side, or a device in between, has dropped it. libcurl measures idle time in
 * whole seconds while awake. */
static void refuse_old_connections(struct transfer *transfer)
{
    struct host *host = transfer->host;
    double asleep = host_asleep(), now = host_monotonic();
    if (asleep - host->asleep > 1)
        host->awake_since = now;
    host->asleep = asleep;
    double awake = now - host->awake_since;
    if (awake >= KEPT_SECONDS)
        return;
    transfer->special = true;
    if (awake < 3)
        curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
    else
        curl_easy_setopt(transfer->easy, CURLOPT_MAXAGE_CONN, (long)awake - 1);
}

bool transfer_start(struct transfer *transfer, struct op *op)
{
    CURL *easy = transfer->easy;
    if (transfer->text.failed)
        return false;
    refuse_old_connections(transfer);
    if (transfer->upload_fd >= 0)
        set_upload(transfer);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, link_lines(transfer));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(transfer->connect_timeout * 1000));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(transfer->timeout * 1000));
    curl_easy_setopt(easy, CURLOPT_PROXY, transfer->loopback ? "" : NULL);
    if (curl_multi_add_handle(transfer->host->multi, easy) != CURLM_OK)
        return false;
    transfer->op = op;
    transfer->running = true;
    transfer->host->transfers++;
    return true;
}

/* libcurl's message, which does not repeat the place. */
static const char *detail(const struct transfer *transfer)
{
    return *transfer->message ? transfer->message : curl_easy_strerror(transfer->code);
}

static const char *explain_connect(const struct transfer *t, char *text, size_t size)
{
    long error = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
    if (error == ECONNREFUSED) {
        snprintf(text, size, "%s refuses connections", t->place);
        return "refused";
    }
    snprintf(text, size, "no connection to %s: %s", t->place,
             error ? strerror((int)error) : detail(t));
    return "connect";
}

/* The rest of a deadline is an odd number: "4 s" says as much as "3.96098 s". */
static double shown_seconds(double seconds)
{
    double steps = seconds < 1 ? 1000 : 10;
    return round(seconds * steps) / steps;
}

static const char *explain_timeout(const struct transfer *t, char *text, size_t size)
{
    curl_off_t connected = 0;
    curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
    bool by_total = t->timeout > 0 && t->timeout <= t->seconds + 0.001;
    if (connected == 0) {
        double limit = by_total && t->timeout < t->connect_timeout ? t->timeout
                                                                   : t->connect_timeout;
        snprintf(text, size, "no connection to %s within %g s", t->place, shown_seconds(limit));
        return "connect";
    }
    snprintf(text, size, "%s sent no complete response within %g s", t->place,
             shown_seconds(t->timeout));
    return "timeout";
}

static const char *explain_break(const struct transfer *t, char *text, size_t size)
{
    long error = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
    bool reset = error == ECONNRESET || error == EPIPE || t->code == CURLE_SEND_ERROR;
    bool partial = t->code == CURLE_PARTIAL_FILE || t->status;
    snprintf(text, size, "%s %s the connection %s", t->place, reset ? "reset" : "closed",
             partial ? "in the middle of its response" : "without a response");
    return reset ? "reset" : "closed";
}

static const char *explain_own(const struct transfer *t, char *text, size_t size)
{
    if (strcmp(t->kind, "full") == 0)
        snprintf(text, size, "the response of %s is larger than the %zu bytes allowed", t->place,
                 t->max_body);
    else
        snprintf(text, size, "the file of the exchange with %s: %s", t->place, strerror(t->error));
    return t->kind;
}

const char *transfer_explain(const struct transfer *t, char *text, size_t size)
{
    if (t->kind)
        return explain_own(t, text, size);
    switch (t->code) {
    case CURLE_COULDNT_RESOLVE_HOST: case CURLE_COULDNT_RESOLVE_PROXY:
        snprintf(text, size, "the name of %s does not resolve", t->place);
        return "resolve";
    case CURLE_COULDNT_CONNECT:
        return explain_connect(t, text, size);
    case CURLE_OPERATION_TIMEDOUT:
        return explain_timeout(t, text, size);
    case CURLE_SSL_CONNECT_ERROR: case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE: case CURLE_SSL_CERTPROBLEM: case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND: case CURLE_SSL_ENGINE_SETFAILED: case CURLE_USE_SSL_FAILED:
        snprintf(text, size, "no secure connection to %s: %s", t->place, detail(t));
        return "tls";
    case CURLE_RECV_ERROR: case CURLE_SEND_ERROR: case CURLE_GOT_NOTHING: case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2: case CURLE_HTTP2_STREAM: case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_SEND_FAIL_REWIND:
        return explain_break(t, text, size);
    case CURLE_URL_MALFORMAT: case CURLE_UNSUPPORTED_PROTOCOL: case CURLE_TOO_MANY_REDIRECTS:
        snprintf(text, size, "%s: %s", t->place, detail(t));
        return "invalid";
    default:
        snprintf(text, size, "the exchange with %s failed: %s", t->place, detail(t));
        return "io";
    }
}

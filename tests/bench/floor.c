/* The floor to measure against: unsigned requests by libcurl's multi interface, in
 * plain C, nothing parsed.
 *
 * Usage: floor URL COUNT IN_FLIGHT BODY   prints calls a second. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static size_t swallow(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    *(size_t *)user += size * count;
    return size * count;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static CURL *transfer(const char *url, const char *body, struct curl_slist *headers, size_t *bytes)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        abort();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, bytes);
    return easy;
}

/* Starts the transfer anew until `left` are used up; returns how many failed. */
static long run(CURLM *multi, long count, long in_flight)
{
    long started = in_flight, done = 0, failed = 0;
    while (done < count) {
        int running, queued;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &queued))) {
            CURL *easy = message->easy_handle;
            failed += message->data.result != CURLE_OK;
            done++;
            curl_multi_remove_handle(multi, easy);
            if (started < count) {
                started++;
                curl_multi_add_handle(multi, easy);
            }
        }
        if (done < count)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: floor URL COUNT IN_FLIGHT BODY\n", stderr);
        return 2;
    }
    long count = atol(argv[2]), in_flight = atol(argv[3]);
    size_t bytes = 0;
    curl_global_init(CURL_GLOBAL_ALL);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL,
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8");
    if (!multi || !headers)
        abort();
    for (long i = 0; i < in_flight; i++)
        curl_multi_add_handle(multi, transfer(argv[1], argv[4], headers, &bytes));
    double began = now();
    long failed = run(multi, count, in_flight);
    printf("%.0f\n", (double)count / (now() - began));
    if (failed)
        fprintf(stderr, "floor: %ld of %ld failed\n", failed, count);
    return failed ? 1 : 0;
}

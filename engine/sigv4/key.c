/* The derived signing key (secret -> date -> region -> service -> aws4_request), cached: deriving
 * costs four HMACs, more than the signature itself. The cache is 16 sets of 4, so that a process
 * that talks to many services in many regions, or serves many accounts, keeps its keys warm. */
#include "sigv4/state.h"

#include <openssl/crypto.h>

static void derive(struct hmac_key *key, struct span secret, struct span date, struct span region,
                   struct span service)
{
    unsigned char link[SHA256_SIZE], first[260];
    struct buffer long_secret = {0};
    const void *start = first;
    memcpy(first, "AWS4", 4);
    if (secret.size <= sizeof first - 4) {
        memcpy(first + 4, secret.data, secret.size);
    } else {
        buffer_add(&long_secret, "AWS4", 4);
        buffer_add_span(&long_secret, secret);
        start = long_secret.data;
    }
    hmac_sha256(start, long_secret.failed ? 0 : secret.size + 4, date.data, date.size, link);
    hmac_sha256(link, sizeof link, region.data, region.size, link);
    hmac_sha256(link, sizeof link, service.data, service.size, link);
    hmac_sha256(link, sizeof link, "aws4_request", 12, link);
    hmac_key_init(key, link, sizeof link);
    OPENSSL_cleanse(link, sizeof link);
    OPENSSL_cleanse(first, sizeof first);
    buffer_wipe(&long_secret);
}

/* The last bytes of a span as a number: enough to spread keys over the sets. */
static uint64_t tail(struct span s)
{
    uint64_t v = s.size;
    for (size_t i = s.size > 6 ? s.size - 6 : 0; i < s.size; i++)
        v = v << 8 ^ (unsigned char)s.data[i];
    return v;
}

static size_t set_of(struct span secret, struct span date, struct span region, struct span service)
{
    uint64_t h = tail(secret) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ tail(region)) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ tail(service)) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ tail(date)) * UINT64_C(0x9e3779b97f4a7c15);
    return h >> 60;
}

static bool holds(const char **at, struct span part)
{
    bool same = (*at)[part.size] == '\n' && memcmp(*at, part.data, part.size) == 0;
    *at += part.size + 1;
    return same;
}

static bool matches(const struct cached_key *c, size_t size, struct span secret, struct span date,
                    struct span region, struct span service)
{
    const char *at = c->id;
    return c->size == size && holds(&at, date) && holds(&at, region) && holds(&at, service) &&
           CRYPTO_memcmp(at, secret.data, secret.size) == 0;
}

static void put(char **at, struct span part)
{
    memcpy(*at, part.data, part.size);
    (*at)[part.size] = '\n';
    *at += part.size + 1;
}

/* The key, owned by the cache until the next call. What does not fit into an id is derived each
 * time, in an entry that no id finds. */
const struct hmac_key *key_derive(struct sigv4 *s, struct span secret, struct span date,
                                  struct span region, struct span service)
{
    size_t set = set_of(secret, date, region, service);
    size_t size = secret.size + date.size + region.size + service.size + 4;
    bool fits = size <= sizeof s->keys[0][0].id;
    for (size_t way = 0; fits && way < KEY_WAYS; way++)
        if (matches(&s->keys[set][way], size, secret, date, region, service))
            return &s->keys[set][way].key;
    struct cached_key *c = &s->keys[set][s->next_way[set]];
    s->next_way[set] = (unsigned char)((s->next_way[set] + 1) % KEY_WAYS);
    OPENSSL_cleanse(c, sizeof *c);
    derive(&c->key, secret, date, region, service);
    if (fits) {
        char *at = c->id;
        put(&at, date);
        put(&at, region);
        put(&at, service);
        put(&at, secret);
        c->size = (unsigned char)size;
    }
    return &c->key;
}

void keys_wipe(struct sigv4 *s)
{
    OPENSSL_cleanse(s->keys, sizeof s->keys);
}

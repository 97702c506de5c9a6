/* Names of operations as methods: DescribeDBInstances -> describe_db_instances.
 *
 * botocore's rule (xform_name), in three steps: a plural acronym at the end
 * (ARNs, ACLs) becomes one word; an underscore goes before each capital that
 * starts a word; and between a small letter or digit and a capital. */
#include "model/model.h"

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Words that the rule would split; botocore lists the operations that have them. */
static const struct {
    const char *word, *as;
} words[] = {
    {"OAuth2", "Oauth2"}, {"PartiQL", "Partiql"}, {"WhatsApp", "Whatsapp"},
    {"OTel", "Otel"},     {"iSCSI", "Iscsi"},     {"HITs", "Hits"},
};

/* Where the plural acronym starts, or the length. */
static size_t acronym(struct span name)
{
    size_t n = name.size;
    if (n < 3 || name.data[n - 1] != 's')
        return n;
    size_t i = n - 1;
    while (i > 0 && is_upper(name.data[i - 1]))
        i--;
    return n - 1 - i >= 2 ? i : n;
}

static bool word_starts(struct span t, size_t i)
{
    char before = t.data[i - 1];
    if (!is_upper(t.data[i]) || before == '_')
        return false;
    if (i + 1 < t.size && is_lower(t.data[i + 1]))
        return true;
    return is_lower(before) || is_digit(before);
}

/* Copies the name with those words changed; their lengths stay. */
static struct span plain_words(struct span name, char *copy, size_t room)
{
    /* The one name with such a word that botocore's list lacks. */
    if (name.size > room || text_is(name, "CreateOAuth2TokenWithTokenExchange"))
        return name;
    memcpy(copy, name.data, name.size);
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        size_t n = strlen(words[w].word);
        for (size_t i = 0; i + n <= name.size; i++)
            if (memcmp(copy + i, words[w].word, n) == 0)
                memcpy(copy + i, words[w].as, n);
    }
    return (struct span){copy, name.size};
}

void snake_name(struct buffer *out, struct span original)
{
    char copy[128];
    struct span name = plain_words(original, copy, sizeof copy);
    size_t tail = acronym(name);
    struct span head = {name.data, tail};
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool starts =
            i > 0 && (i < tail ? word_starts(head, i) : i == tail && name.data[i - 1] != '_');
        if (starts)
            buffer_add_char(out, '_');
        buffer_add_char(out, is_upper(c) ? (char)(c + 32) : c);
    }
}

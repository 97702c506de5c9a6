/* Matching a request's path against the URI templates of REST operations. */
#ifndef DRLUA_MODEL_ROUTE_H
#define DRLUA_MODEL_ROUTE_H

#include "model/message/message.h"

enum { MAX_LABELS = 16 };

struct label {
    struct span name, value; /* the value still percent-encoded */
};

struct match {
    struct label labels[MAX_LABELS];
    int count, literals;
};

/* Whether `path` (without its query) fits the template. */
bool match_path(struct span uri, struct span path, struct match *m);
/* Splits a target at its question mark. */
void split_target(struct span target, struct span *path, struct span *query);
/* Takes the next name and value off a query. */
bool next_pair(struct span *query, struct span *name, struct span *value);
/* Appends the decoded text; a plus is a blank in queries only. */
void add_decoded(struct buffer *out, struct span t, bool plus);

#endif

/* Host names to addresses without stopping the loop: the resolver may take as long as its servers
 * are silent, so a thread of its own asks it. That thread shares nothing with the rest of the
 * program but this question. */
#ifndef SB_BASE_RESOLVE_H
#define SB_BASE_RESOLVE_H

#include <stdbool.h>

struct addrinfo;
struct endpoint;
struct resolve;

/* The addresses of an endpoint whose host is a number, at once; NULL where it is a name, or there
 * is no memory. For freeaddrinfo. */
struct addrinfo *resolve_number(const struct endpoint *endpoint);

/* Begin to ask for the addresses of a TCP endpoint. NULL where that cannot be, with errno. */
struct resolve *resolve_start(const struct endpoint *endpoint);
/* A descriptor that becomes readable when the answer is there; it stays the question's. */
int resolve_fd(const struct resolve *resolve);
/* Make it readable before that, for whoever waits to look up. */
void resolve_wake(const struct resolve *resolve);
/* The answer: a list for freeaddrinfo, or NULL and the reason in words in *reason (a static text,
 * or errno's), NULL there as well while it is not there yet. */
struct addrinfo *resolve_take(struct resolve *resolve, const char **reason);
/* The question is given up, or done with. */
void resolve_drop(struct resolve *resolve);

#endif

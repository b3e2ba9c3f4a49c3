/* Endpoints, written unix:PATH, tcp:HOST:PORT or tcp:[IPV6]:PORT everywhere. */
#ifndef SB_BASE_ENDPOINT_H
#define SB_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

enum endpoint_kind { ENDPOINT_UNIX, ENDPOINT_TCP };

struct addrinfo;

struct endpoint {
    enum endpoint_kind kind;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* ENDPOINT_UNIX */
    char host[256];                                         /* ENDPOINT_TCP, without brackets */
    uint16_t port;                                          /* ENDPOINT_TCP; 0: the kernel picks */
};

#define ENDPOINT_TEXT_SIZE  320
#define ENDPOINT_ERROR_SIZE 512

/* Parse text. On failure false, and error (ENDPOINT_ERROR_SIZE bytes) says what is wrong with it,
 * naming the text: no scheme, empty or too long path, port missing, not a number, over 65535. */
bool endpoint_parse(struct endpoint *endpoint, const char *text, char *error);
/* The text form (brackets round an IPv6 host) into text of ENDPOINT_TEXT_SIZE bytes; returns text.
 */
const char *endpoint_format(const struct endpoint *endpoint, char *text);
/* True for a unix socket and for a host all of whose addresses are loopback ones. */
bool endpoint_is_local(const struct endpoint *endpoint);

/* Listen: returns a non-blocking, close-on-exec descriptor, or -1 with error set. Unix: the parent
 * directory is made with mode 0700 where it is missing (only its last component), the socket has
 * mode 0600; a socket file that nobody answers on any more is replaced, one that somebody answers
 * on is "in use", any other kind of file is left alone and refused. TCP: SO_REUSEADDR, TCP_NODELAY
 * is for the accepted ones. On return endpoint->port is the port really bound. */
int endpoint_listen(struct endpoint *endpoint, char *error);
/* Accept one: non-blocking, close-on-exec, TCP_NODELAY; -1 with errno. */
int endpoint_accept(int listener);
/* Connect, waiting at most timeout seconds by poll(2), without libev. Returns a descriptor
 * (blocking mode as asked, close-on-exec, TCP_NODELAY) or -1 with error set, naming endpoint and
 * reason. */
int endpoint_connect(const struct endpoint *endpoint, double timeout, bool nonblocking,
                     char *error);
/* Start to connect without waiting: a non-blocking descriptor that becomes writable when the
 * outcome is known (SO_ERROR), or -1 with error set. address: one of those behind a TCP endpoint
 * (base/resolve.h); NULL for a unix socket. */
int endpoint_connect_start(const struct endpoint *endpoint, const struct addrinfo *address,
                           char *error);
/* Remove the socket file of a unix endpoint that we listened on. */
void endpoint_unlink(const struct endpoint *endpoint);

/* The default endpoint for a socket called name ("rpc.sock"): $XDG_RUNTIME_DIR/spacebridge/NAME,
 * /run/spacebridge/NAME for root, /tmp/spacebridge-UID/NAME where there is no runtime directory.
 * False, with error set, where the path would be too long for a socket. */
bool endpoint_default(struct endpoint *endpoint, const char *name, char *error);

#endif

/* What is known of the process at the other end of a unix socket, which sees to what may be done
 * with it besides talking. Source: proc(5), pid_namespaces(7). */
#ifndef SB_UPSTREAM_LINK_PROCESS_H
#define SB_UPSTREAM_LINK_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* The process that listens at the other end of the socket, by the number that we see. 0: none that
 * we could see, and always for a TCP socket. */
pid_t process_peer(int fd);
/* Is its program called a QEMU, also where that was started through its own loader? A proxy is not
 * what it stands for. False where it cannot be told. */
bool process_is_qemu(pid_t pid);
/* Do process numbers mean the same to it as to us? False where it cannot be told. */
bool process_shares_numbers(pid_t pid);

#endif

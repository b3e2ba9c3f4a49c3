/* A growable run of bytes that is appended to at its end and consumed from its front. */
#ifndef SB_BASE_BUFFER_H
#define SB_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Zero-initialise. data[head .. head+length) are the bytes. */
struct buffer {
    uint8_t *data;
    size_t head;
    size_t length;
    size_t capacity;
};

void buffer_free(struct buffer *buffer);
static inline const uint8_t *buffer_bytes(const struct buffer *buffer)
{
    return buffer->data ? buffer->data + buffer->head : (const uint8_t *)"";
}
/* The same as a string: "" where it is empty; else a NUL stands behind it (buffer_terminate). */
static inline const char *buffer_text(const struct buffer *buffer)
{
    return buffer->length > 0 ? (const char *)buffer_bytes(buffer) : "";
}
/* Room for at least size more bytes at the end; returns where they go, NULL when out of memory. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
/* Count size bytes, written into reserved room, as content. */
void buffer_commit(struct buffer *buffer, size_t size);
/* False when out of memory (nothing is appended then). */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t size);
bool buffer_append_byte(struct buffer *buffer, uint8_t byte);
bool buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Put a NUL behind the content, not counted. False when out of memory. */
bool buffer_terminate(struct buffer *buffer);
/* Drop size (<= length) bytes from the front. Gives memory back when a large buffer has emptied. */
void buffer_consume(struct buffer *buffer, size_t size);
void buffer_clear(struct buffer *buffer);
/* One read(2)/send(2, MSG_NOSIGNAL) from or to a file descriptor that does not block. As read(2):
 * the count, 0 at end of file, -1 with errno (EAGAIN and EINTR among them). */
ssize_t buffer_read_fd(struct buffer *buffer, int fd, size_t most);
ssize_t buffer_write_fd(struct buffer *buffer, int fd);

#endif

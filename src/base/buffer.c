/* Hides when memory grows, and when it is given back. */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SMALLEST ((size_t)256)
/* An empty buffer keeps this much for what comes next; one that swelled beyond gives it back. */
#define KEPT ((size_t)256 * 1024)

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

/* Large blocks are filled from end to end: a page fault for each 4 KiB of them would cost as much
 * as the copying. */
static void use_huge_pages(uint8_t *data, size_t size)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t huge = (uintptr_t)2 * 1024 * 1024;
    uintptr_t first = ((uintptr_t)data + huge - 1) & ~(huge - 1);
    uintptr_t end = ((uintptr_t)data + size) & ~(huge - 1);
    int before = errno; /* where there are none it goes on without */
    if (size >= 2 * huge && end > first)
        madvise((void *)first, end - first, MADV_HUGEPAGE);
    errno = before;
#else
    (void)data;
    (void)size;
#endif
}

static bool grow(struct buffer *buffer, size_t needed)
{
    if (needed > PTRDIFF_MAX)
        return false;
    size_t capacity = buffer->capacity < SMALLEST ? SMALLEST : buffer->capacity;
    while (capacity < needed)
        capacity *= 2;
    /* A large block is moved by its page tables, where the system can (glibc's mremap). */
    if (buffer->head == 0 && buffer->length >= KEPT) {
        uint8_t *moved = realloc(buffer->data, capacity);
        if (!moved)
            return false;
        use_huge_pages(moved, capacity);
        buffer->data = moved;
        buffer->capacity = capacity;
        return true;
    }
    /* Else not realloc: what was consumed need not be copied. */
    uint8_t *data = malloc(capacity);
    if (!data)
        return false;
    use_huge_pages(data, capacity);
    if (buffer->length > 0)
        memcpy(data, buffer->data + buffer->head, buffer->length);
    free(buffer->data);
    buffer->data = data;
    buffer->head = 0;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (size > SIZE_MAX - buffer->length)
        return NULL;
    size_t needed = buffer->length + size;
    if (!buffer->data || size > buffer->capacity - buffer->head - buffer->length) {
        /* Move to the front only when at least as much was consumed as is moved: every byte is then
         * moved once per byte consumed, however small the steps. */
        if (buffer->data && needed <= buffer->capacity && buffer->head >= buffer->length) {
            memmove(buffer->data, buffer->data + buffer->head, buffer->length);
            buffer->head = 0;
        } else if (!grow(buffer, needed)) {
            return NULL;
        }
    }
    return buffer->data + buffer->head + buffer->length;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
    buffer->length += size;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0)
        return true;
    uint8_t *at = buffer_reserve(buffer, size);
    if (!at)
        return false;
    memcpy(at, bytes, size);
    buffer->length += size;
    return true;
}

bool buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    return buffer_append(buffer, &byte, 1);
}

bool buffer_terminate(struct buffer *buffer)
{
    uint8_t *end = buffer_reserve(buffer, 1);
    if (end)
        *end = 0;
    return end != NULL;
}

bool buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return false;
    uint8_t *at = buffer_reserve(buffer, (size_t)length + 1);
    if (!at)
        return false;
    va_start(arguments, format);
    vsnprintf((char *)at, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += (size_t)length;
    return true;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    if (size < buffer->length) {
        buffer->head += size;
        buffer->length -= size;
        return;
    }
    buffer_clear(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    if (buffer->capacity > KEPT)
        buffer_free(buffer);
    buffer->head = 0;
    buffer->length = 0;
}

ssize_t buffer_read_fd(struct buffer *buffer, int fd, size_t most)
{
    if (most == 0) {
        errno = EINVAL; /* read(2) would say 0, which is the end of the file */
        return -1;
    }
    uint8_t *at = buffer_reserve(buffer, most);
    if (!at) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t count = read(fd, at, most);
    if (count > 0)
        buffer->length += (size_t)count;
    return count;
}

ssize_t buffer_write_fd(struct buffer *buffer, int fd)
{
    if (buffer->length == 0)
        return 0;
    ssize_t count = send(fd, buffer_bytes(buffer), buffer->length, MSG_NOSIGNAL);
    if (count > 0)
        buffer_consume(buffer, (size_t)count);
    return count;
}

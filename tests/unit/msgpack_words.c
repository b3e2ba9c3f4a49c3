#include "msgpack_words.h"

#include <check.h>
#include <msgpack.h>
#include <stdarg.h>
#include <string.h>

static int put(void *data, const char *bytes, size_t length)
{
    ck_assert(buffer_append(data, bytes, length));
    return 0;
}

/* Values up to the bracket that closes the one before format. */
static uint32_t values(const char *format)
{
    uint32_t count = 0;
    int depth = 0;

    for (; depth > 0 || (*format != ']' && *format != '}'); format++) {
        ck_assert_int_ne(*format, '\0');
        if (*format == ']' || *format == '}') {
            depth--;
            continue;
        }
        count += depth == 0;
        depth += *format == '[' || *format == '{';
    }
    return count;
}

void words_pack(struct buffer *buffer, const char *format, ...)
{
    msgpack_packer packer;
    va_list arguments;

    msgpack_packer_init(&packer, buffer, put);
    va_start(arguments, format);
    for (; *format != '\0'; format++) {
        switch (*format) {
        case 'i':
            msgpack_pack_int(&packer, va_arg(arguments, int));
            break;
        case 'u':
            msgpack_pack_uint64(&packer, va_arg(arguments, uint64_t));
            break;
        case 'l':
            msgpack_pack_int64(&packer, va_arg(arguments, int64_t));
            break;
        case 'd':
            msgpack_pack_double(&packer, va_arg(arguments, double));
            break;
        case 's': {
            const char *text = va_arg(arguments, const char *);
            msgpack_pack_str(&packer, strlen(text));
            msgpack_pack_str_body(&packer, text, strlen(text));
            break;
        }
        case 'b': {
            const void *bytes = va_arg(arguments, const void *);
            size_t size = va_arg(arguments, size_t);
            msgpack_pack_bin(&packer, size);
            msgpack_pack_bin_body(&packer, bytes, size);
            break;
        }
        case 'n':
            msgpack_pack_nil(&packer);
            break;
        case 't':
            msgpack_pack_true(&packer);
            break;
        case 'f':
            msgpack_pack_false(&packer);
            break;
        case '[':
            msgpack_pack_array(&packer, values(format + 1));
            break;
        case '{':
            msgpack_pack_map(&packer, values(format + 1) / 2);
            break;
        case ']':
        case '}':
            break;
        default:
            ck_abort_msg("no such word: %c", *format);
        }
    }
    va_end(arguments);
}

/* The list of threads of a gdbserver, with the ids of one client. */
#include "stub/threads_xml.h"

#include "stub/features.h"
#include "stub/threads.h"

#include <expat.h>
#include <string.h>

struct rewriting {
    struct buffer out;
    bool multiprocess;
    int64_t process;
    bool good;
};

static void put_attribute(struct rewriting *rewriting, const char *name, const char *value)
{
    rewriting->good = rewriting->good && buffer_printf(&rewriting->out, " %s=\"", name) &&
                      features_xml_text(&rewriting->out, value) &&
                      buffer_append_byte(&rewriting->out, '"');
}

static void XMLCALL element(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct rewriting *rewriting = context;
    char text[THREAD_TEXT_SIZE];

    if (!rewriting->good || strcmp(name, "thread") != 0)
        return;
    rewriting->good = buffer_printf(&rewriting->out, "<thread");
    for (; attributes[0]; attributes += 2) {
        const char *value = attributes[1], *at = value;
        struct thread_id id;
        if (strcmp(attributes[0], "id") == 0) {
            const char *end = value + strlen(value);
            if (!thread_parse(&id, &at, end) || at != end) {
                rewriting->good = false;
                return;
            }
            value = thread_format(text, rewriting->multiprocess, rewriting->process, id.thread);
        }
        put_attribute(rewriting, attributes[0], value);
    }
    rewriting->good = rewriting->good && buffer_printf(&rewriting->out, "/>\n");
}

bool threads_xml_rewrite(struct buffer *out, const struct buffer *document, bool multiprocess,
                         int64_t process)
{
    struct rewriting rewriting = {.multiprocess = multiprocess, .process = process, .good = true};
    XML_Parser parser = XML_ParserCreate(NULL);

    if (!parser)
        return false;
    rewriting.good = buffer_printf(&rewriting.out, "<?xml version=\"1.0\"?>\n<threads>\n");
    XML_SetUserData(parser, &rewriting);
    XML_SetStartElementHandler(parser, element);
    bool good = XML_Parse(parser, (const char *)buffer_bytes(document), (int)document->length, 1) ==
                    XML_STATUS_OK &&
                rewriting.good && buffer_printf(&rewriting.out, "</threads>\n") &&
                buffer_append(out, buffer_bytes(&rewriting.out), rewriting.out.length);
    XML_ParserFree(parser);
    buffer_free(&rewriting.out);
    return good;
}

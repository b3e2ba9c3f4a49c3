/* The document of qXfer:threads, from an upstream stub that has one: names and cores as they came,
 * ids in a client's form. By expat. */
#ifndef SB_STUB_THREADS_XML_H
#define SB_STUB_THREADS_XML_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* Append the document. False when the upstream's is malformed, or out of memory: out is then as it
 * was. */
bool threads_xml_rewrite(struct buffer *out, const struct buffer *document, bool multiprocess,
                         int64_t process);

#endif

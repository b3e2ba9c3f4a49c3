/* What QEMU says of itself: by QMP, where it is there, else by what the human monitor prints. */
#ifndef SB_UPSTREAM_LINK_QMP_FACTS_H
#define SB_UPSTREAM_LINK_QMP_FACTS_H

#include <stdbool.h>
#include <stddef.h>

struct qmp;

/* Each is for a task. False: QMP is not there (qmp may be NULL), or does not answer that question
 * as it should; nothing is changed then. */

/* query-version, as "7.2.22"; size: the room in version, in bytes. */
bool qmp_facts_version(struct qmp *qmp, char *version, size_t size);
/* query-status: the word alone, "prelaunch". A word that does not fit is not taken. */
bool qmp_facts_status(struct qmp *qmp, char *status, size_t size);
/* query-kvm: is it in use? */
bool qmp_facts_kvm(struct qmp *qmp, bool *enabled);
/* query-chardev: what the character device of that label is opened on, the empty string where there
 * is no such device. One that does not fit is not taken. */
bool qmp_facts_chardev(struct qmp *qmp, const char *label, char *name, size_t size);

#endif

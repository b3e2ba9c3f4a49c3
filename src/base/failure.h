/* Why something failed, as one value: a code for the program and a text for people.
 *
 * A function that can fail for many reasons takes one of these and returns its code as well. It may
 * leave the text alone where the code says it all, so pass one that is clear; after a success it
 * means nothing. */
#ifndef SB_BASE_FAILURE_H
#define SB_BASE_FAILURE_H

/* Bytes of a text, the NUL included; a longer one is cut. */
#define FAILURE_SIZE 1024

/* Zero-initialise: nothing has failed. */
struct failure {
    int code; /* 0: success; else of the enumeration that the function that set it returns */
    char text[FAILURE_SIZE]; /* "": no more to say than the code does */
};

/* In all of them failure may be NULL: the text is not wanted. Those that take a code return it, so
 * that they can end a function. */

void failure_clear(struct failure *failure);
/* The arguments must not be parts of failure itself. */
int failure_set(struct failure *failure, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* That code, and that text where none was given before. */
int failure_complete(struct failure *failure, int code, const char *text);
/* The same text with the code that the layer above has for it. */
int failure_recode(struct failure *failure, int code);

#endif

/* The one clock that deadlines are measured by. It is monotonic: setting the time of day moves no
 * deadline. (libev's timers count by a monotonic clock as well; its ev_now and ev_time do not.) */
#ifndef SB_BASE_CLOCK_H
#define SB_BASE_CLOCK_H

/* Seconds since some moment in the past; never goes back. Only differences mean anything. */
double clock_now(void);

#endif

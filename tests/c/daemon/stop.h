/*
 * Waiting, and being told to stop while one waits.
 */
#ifndef STOP_H
#define STOP_H

#include <stdbool.h>

enum waited { READY, TIMED_OUT, STOPPING };

/* From now on SIGTERM and SIGINT interrupt nothing: this process asks for them where it may stop. */
int stop_watch(void);

bool stop_requested(void);

/* Until the descriptor has one of these events; -1: without a limit. */
enum waited wait_for(int descriptor, short events, int timeout_ms);

#endif

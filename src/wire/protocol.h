/* What both ends of the call protocol must agree on. Contract: docs/protocol.md. */
#ifndef SB_WIRE_PROTOCOL_H
#define SB_WIRE_PROTOCOL_H

#include <stdint.h>

#define WIRE_PROTOCOL_VERSION 2
/* Its bits of events were other numbers than dbgeng's; all else is as it is now. */
#define WIRE_PROTOCOL_OLD_EVENTS 1

/* Bytes of one message, its first byte to its last. */
#define WIRE_FRAME_MOST ((uint32_t)64 * 1024 * 1024)
/* Arrays and maps within each other, the message's own array counted. */
#define WIRE_DEPTH_MOST 8
/* Values of one message, arrays and maps counted too. What a decoder makes of a value takes up to
 * 24 bytes however short the value is, so the frame's size alone would not bound memory; a frame
 * full of 64-bit numbers (9 bytes each) stays below this. */
#define WIRE_ELEMENTS_MOST (WIRE_FRAME_MOST / 8)

/* Bytes of a frame that may be needed for what stands around a buffer or the pointers in it. */
#define WIRE_ENVELOPE_MOST 128u
/* The most that one request or response can carry as a buffer, and as pointers. */
#define WIRE_BUFFER_MOST   (WIRE_FRAME_MOST - WIRE_ENVELOPE_MOST)
#define WIRE_POINTERS_MOST ((WIRE_FRAME_MOST - WIRE_ENVELOPE_MOST) / 9)

/* Notifications from the daemon. */
#define WIRE_NOTIFY_ERROR        "Error"
#define WIRE_NOTIFY_FLUSH_FAILED "FlushFailed"
/* [method, text], before the answer to a call of that method: it is answered as well as can be, and
 * this is what cannot be told. */
#define WIRE_NOTIFY_WARNING "Warning"
/* As IDebugEventCallbacks: [Flags, Argument, text], for those who asked by SetEventCallbacks. */
#define WIRE_NOTIFY_ENGINE_STATE   "ChangeEngineState"
#define WIRE_NOTIFY_DEBUGGEE_STATE "ChangeDebuggeeState"

#endif

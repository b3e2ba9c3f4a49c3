/* Hexadecimal, where it was before base/ had it. */
#ifndef SB_RSP_HEX_H
#define SB_RSP_HEX_H

#include "base/hex.h"

#endif

/*
 * The text of a status, from the one list in types.h.
 */
#include "format/types.h"

const char *vx_strerror(vx_status status)
{
    switch (status) {
#define VX_STATUS_CASE(name, number, text) \
    case name:                             \
        return text;
        VX_STATUS_LIST(VX_STATUS_CASE)
#undef VX_STATUS_CASE
    }
    return "unknown status";
}

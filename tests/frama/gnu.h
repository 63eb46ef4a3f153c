/* What the sources use of the compiler and Frama-C 25 does not know. ffs is asked for one bit, in constants. */
#define _Static_assert(condition, text) extern int vx_static_assert
#define __builtin_ffs(x) ((x) == 0 ? 0 : 1 + (((x) & 0xaaaaaaaau) != 0) + 2 * (((x) & 0xccccccccu) != 0) + \
                          4 * (((x) & 0xf0f0f0f0u) != 0) + 8 * (((x) & 0xff00ff00u) != 0) + 16 * (((x) & 0xffff0000u) != 0))

/* What the sources use of the compiler and Frama-C 25 does not know. ffs is asked for one bit, in constants. */
#define _Static_assert(condition, text) extern int vx_static_assert
#define __builtin_ffs(x) ((x) == 0 ? 0 : 1 + (((x) & 0xaaaaaaaau) != 0) + 2 * (((x) & 0xccccccccu) != 0) + \
                          4 * (((x) & 0xf0f0f0f0u) != 0) + 8 * (((x) & 0xff00ff00u) != 0) + 16 * (((x) & 0xffff0000u) != 0))
/* Compound literals behind && and || make it crash: scripts/frama.sh puts VX_NEXT for NEXT of verifier/sequence.c. */
#define VX_COUNT(...) VX_ELEVENTH(__VA_ARGS__, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define VX_ELEVENTH(a, b, c, d, e, f, g, h, i, j, n, ...) n
#define VX_TEN(a, b, c, d, e, f, g, h, i, j, ...) a, b, c, d, e, f, g, h, i, j
#define VX_NEXT(cursor, ...) next_bytes(cursor, VX_COUNT(__VA_ARGS__), VX_TEN(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
#define VX_NEXT_BYTES \
    static bool next_bytes(struct cursor *c, uint32_t count, uint8_t b0, uint8_t b1, uint8_t b2, uint8_t b3, uint8_t b4, \
                           uint8_t b5, uint8_t b6, uint8_t b7, uint8_t b8, uint8_t b9) \
    { \
        uint8_t bytes[10] = { b0, b1, b2, b3, b4, b5, b6, b7, b8, b9 }; \
        return skip(c, bytes, count); \
    }

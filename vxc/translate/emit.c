/*
 * Host instruction encoding (see emit.h). Prefix order and operand forms are those of
 * format/sandbox.h; nothing else is ever produced here.
 */
#include <stdlib.h>
#include <string.h>

#include "format/sandbox.h"
#include "vxc/translate/emit.h"

bool vxt_grow(struct vxt_chunk *chunk, void **array, size_t *capacity, size_t count, size_t element)
{
    if (count < *capacity)
        return true;
    size_t grown = *capacity ? *capacity * 2 : 64;
    void *memory = realloc(*array, grown * element);
    if (!memory) {
        chunk->out_of_memory = true;
        return false;
    }
    *array = memory;
    *capacity = grown;
    return true;
}

/* Room for one more instruction. */
static bool reserve(struct vxt_chunk *chunk, uint32_t size)
{
    if (chunk->capacity - chunk->size >= size)
        return true;
    uint32_t grown = chunk->capacity ? chunk->capacity * 2 : 4096;
    uint8_t *code = realloc(chunk->code, grown);
    if (!code) {
        chunk->out_of_memory = true;
        return false;
    }
    chunk->code = code;
    chunk->capacity = grown;
    return true;
}

void emit_bytes(struct vxt_chunk *chunk, const void *bytes, uint32_t size)
{
    if (!reserve(chunk, size))
        return;
    memcpy(chunk->code + chunk->size, bytes, size);
    chunk->size += size;
}

void emit8(struct vxt_chunk *chunk, uint8_t value)
{
    if (!reserve(chunk, 1))
        return;
    chunk->code[chunk->size++] = value;
}

void emit32(struct vxt_chunk *chunk, uint32_t value)
{
    emit_bytes(chunk, &value, 4);
}

void emit_gaddr(struct vxt_chunk *chunk, vx_gaddr value, bool negate)
{
    if (vxt_grow(chunk, (void **)&chunk->relocs, &chunk->reloc_capacity, chunk->reloc_count,
                 sizeof *chunk->relocs))
        chunk->relocs[chunk->reloc_count++] = (struct vxf_reloc){ chunk->size, negate };
    emit32(chunk, negate ? 0u - value : value);
}

/* VEX opcode, in the shorter form where that will do. */
static uint8_t *put_vex(uint8_t *p, struct vxt_op op, unsigned rex)
{
    unsigned pp = op.mandatory == 0x66 ? 1 : op.mandatory == 0xf3 ? 2 : op.mandatory == 0xf2 ? 3 : 0;
    unsigned last = (~(unsigned)op.vvvv & 15) << 3 | (op.vex_l ? 4u : 0) | pp;
    if (op.map == 1 && !op.vex_w && !(rex & 3)) {
        *p++ = 0xc5;
        *p++ = (uint8_t)(last | (rex & 4 ? 0 : 0x80));
    } else {
        *p++ = 0xc4;
        *p++ = (uint8_t)((~rex & 7) << 5 | op.map);
        *p++ = (uint8_t)(last | (op.vex_w ? 0x80 : 0));
    }
    *p++ = op.opcode;
    return p;
}

/* [lock] [66] [f2|f3] [REX] opcode */
static uint8_t *put_opcode(uint8_t *p, struct vxt_op op, unsigned rex)
{
    if (op.is_vex)
        return put_vex(p, op, rex);
    if (op.lock)
        *p++ = 0xf0;
    if (op.osize16 || op.mandatory == 0x66)
        *p++ = 0x66;
    if (op.mandatory == 0xf2 || op.mandatory == 0xf3)
        *p++ = op.mandatory;
    if (rex)
        *p++ = (uint8_t)(0x40 | rex);
    if (op.map)
        *p++ = 0x0f;
    if (op.map == 2)
        *p++ = 0x38;
    if (op.map == 3)
        *p++ = 0x3a;
    *p++ = op.opcode;
    return p;
}

/* ModRM, SIB and displacement of a memory operand. */
static uint8_t *put_mem(uint8_t *p, int reg, struct vxt_mem mem)
{
    unsigned mod = 2, field = (unsigned)(reg & 7) << 3;
    if (mem.base == NO_REG)
        mod = 0; /* SIB without base: disp32 */
    else if (mem.disp == 0 && (mem.base & 7) != EBP)
        mod = 0;
    else if (mem.disp >= -128 && mem.disp <= 127)
        mod = 1;
    if (mem.base == NO_REG || mem.index != NO_REG || (mem.base & 7) == RSP) {
        *p++ = (uint8_t)(mod << 6 | field | 4);
        unsigned index = mem.index == NO_REG ? 4 : (unsigned)mem.index & 7;
        unsigned base = mem.base == NO_REG ? 5 : (unsigned)mem.base & 7;
        *p++ = (uint8_t)(mem.scale << 6 | index << 3 | base);
    } else {
        *p++ = (uint8_t)(mod << 6 | field | ((unsigned)mem.base & 7));
    }
    if (mod == 1) {
        *p++ = (uint8_t)mem.disp;
    } else if (mod == 2 || mem.base == NO_REG) {
        memcpy(p, &mem.disp, 4);
        p += 4;
    }
    return p;
}

static unsigned rex_of(int reg, int index, int base)
{
    return (reg >= 8 ? 4u : 0) | (index >= 8 ? 2u : 0) | (base >= 8 ? 1u : 0);
}

static void put(struct vxt_chunk *chunk, bool is_access, struct vxt_op op, int reg, struct vxt_mem mem)
{
    if (!reserve(chunk, 32))
        return;
    uint8_t *start = chunk->code + chunk->size, *p = start;
    if (is_access) {
        *p++ = 0x65;
        *p++ = 0x67;
    }
    p = put_opcode(p, op, rex_of(reg, mem.index, mem.base));
    p = put_mem(p, reg, mem);
    chunk->size += (uint32_t)(p - start);
}

void emit_mem(struct vxt_chunk *chunk, struct vxt_op op, int reg, struct vxt_mem mem)
{
    put(chunk, true, op, reg, mem);
}

void emit_lea(struct vxt_chunk *chunk, int reg, struct vxt_mem mem, bool osize16)
{
    put(chunk, false, OP1_16(0x8d, osize16), reg, mem);
}

void emit_reg(struct vxt_chunk *chunk, struct vxt_op op, int reg, int rm)
{
    if (!reserve(chunk, 32))
        return;
    uint8_t *start = chunk->code + chunk->size;
    uint8_t *p = put_opcode(start, op, rex_of(reg, NO_REG, rm));
    *p++ = (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7));
    chunk->size += (uint32_t)(p - start);
}

void emit_vex_plain(struct vxt_chunk *chunk, struct vxt_op op)
{
    if (!reserve(chunk, 32))
        return;
    chunk->size = (uint32_t)(put_vex(chunk->code + chunk->size, op, 0) - chunk->code);
}

void emit_opreg(struct vxt_chunk *chunk, struct vxt_op op, int reg)
{
    op.opcode = (uint8_t)((op.opcode & ~7) | (reg & 7));
    if (!reserve(chunk, 32))
        return;
    uint8_t *start = chunk->code + chunk->size;
    uint8_t *p = put_opcode(start, op, rex_of(0, NO_REG, reg));
    chunk->size += (uint32_t)(p - start);
}

void emit_load(struct vxt_chunk *chunk, int reg, struct vxt_mem mem)
{
    emit_mem(chunk, OP1(0x8b), reg, mem);
}

void emit_store(struct vxt_chunk *chunk, int reg, struct vxt_mem mem)
{
    emit_mem(chunk, OP1(0x89), reg, mem);
}

void emit_mov(struct vxt_chunk *chunk, int to, int from)
{
    emit_reg(chunk, OP1(0x8b), to, from);
}

void emit_mov_gaddr(struct vxt_chunk *chunk, int reg, vx_gaddr value)
{
    emit_opreg(chunk, OP1(0xb8), reg);
    emit_gaddr(chunk, value, false);
}

void emit_context_load(struct vxt_chunk *chunk, int reg, uint8_t offset)
{
    uint8_t bytes[4] = { 0x45, 0x8b, (uint8_t)(0x47 | (reg & 7) << 3), offset };
    emit_bytes(chunk, bytes, 4);
}

void emit_context_jump(struct vxt_chunk *chunk, uint8_t offset)
{
    uint8_t bytes[4] = { 0x41, 0xff, 0x67, offset };
    emit_bytes(chunk, bytes, 4);
}

void emit_table_jump(struct vxt_chunk *chunk, bool is_call)
{
    static const uint8_t load[4] = { 0x4f, 0x8b, 0x9c, 0xc7 };
    static const uint8_t add[4] = { 0x4f, 0x8d, 0x1c, 0x1c };
    uint8_t jump[3] = { 0x41, 0xff, is_call ? 0xd3 : 0xe3 };
    emit_bytes(chunk, load, 4);
    emit32(chunk, VX_CTX_TABLE);
    emit_bytes(chunk, add, 4);
    emit_bytes(chunk, jump, 3);
}

size_t emit_branch(struct vxt_chunk *chunk, uint8_t opcode, uint8_t kind, uint32_t target)
{
    if (!vxt_grow(chunk, (void **)&chunk->branches, &chunk->branch_capacity, chunk->branch_count,
                  sizeof *chunk->branches))
        return 0;
    chunk->branches[chunk->branch_count] =
        (struct vxt_branch){ .at = chunk->size, .target = target, .kind = kind, .opcode = opcode };
    if (opcode == 0xe3) {
        static const uint8_t jecxz[3] = { 0x67, 0xe3, 0x00 };
        emit_bytes(chunk, jecxz, 3);
        return chunk->branch_count++;
    }
    if (opcode < 0xe0)
        emit8(chunk, 0x0f);
    emit8(chunk, opcode);
    emit32(chunk, 0);
    return chunk->branch_count++;
}

void emit_padding(struct vxt_chunk *chunk)
{
    static const uint8_t room[15];
    if (!vxt_grow(chunk, (void **)&chunk->branches, &chunk->branch_capacity, chunk->branch_count,
                  sizeof *chunk->branches))
        return;
    chunk->branches[chunk->branch_count++] = (struct vxt_branch){ .at = chunk->size, .kind = PADDING };
    emit_bytes(chunk, room, sizeof room);
}

void emit_row(struct vxt_chunk *chunk, uint8_t kind, vx_gaddr guest, int32_t esp_delta)
{
    if (vxt_grow(chunk, (void **)&chunk->rows, &chunk->row_capacity, chunk->row_count, sizeof *chunk->rows))
        chunk->rows[chunk->row_count++] = (struct vxf_row){ chunk->size, guest, esp_delta, kind };
}

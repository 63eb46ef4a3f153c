/*
 * Signatures: "i(pd)" and what it takes on the stack (i386 System V ABI, "Parameter Passing").
 */
#include <string.h>

#include "vxrt/internal.h"

static bool is_letter(char c, const char *letters)
{
    return c != '\0' && strchr(letters, c) != NULL;
}

vx_status vxi_signature(struct vx_func *func, const char *signature, bool *is_variadic)
{
    const char *c = signature;
    if (!c || !is_letter(c[0], "vilfdp") || c[1] != '(')
        return VX_ERR_SIGNATURE;
    func->result = *c;
    func->argument_count = 0;
    func->word_count = 0;
    *is_variadic = false;
    for (c += 2; is_letter(*c, "ilfdp"); c++) {
        if (func->argument_count == VX_MAX_ARGUMENTS)
            return VX_ERR_SIGNATURE;
        func->arguments[func->argument_count++] = *c;
        func->word_count = (uint16_t)(func->word_count + (*c == 'l' || *c == 'd' ? 2 : 1));
    }
    if (*c == '.' && func->argument_count < VX_MAX_ARGUMENTS) {
        *is_variadic = true;
        c++;
    }
    return c[0] == ')' && c[1] == '\0' ? VX_OK : VX_ERR_SIGNATURE;
}

vx_status vx_func_make(struct vx_func *func, vx_gaddr address, const char *signature)
{
    bool is_variadic;
    if (!func)
        return VX_ERR_ARGUMENT;
    memset(func, 0, sizeof *func);
    func->address = address;
    vx_status status = vxi_signature(func, signature, &is_variadic);
    return status == VX_OK && is_variadic ? VX_ERR_SIGNATURE : status;
}

/*
 * The files that were mapped executable, and their code. A file is known by
 * device, inode, size and times; what was opened for it stays open until the end, also across
 * execve and fork, so that it is read, relocated and verified once for each place.
 */
#include "vxrt/linux/codes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/directory.h"
#include "vxrt/linux/map_elf.h"

/* Files beyond these are translated at run time: a guest can make and map any number. */
#define FILE_LIMIT 512u

struct file {
    struct stat st;
    struct vxl_layout layout;
    struct vx_code *code; /* NULL: there is none */
    vx_gaddr bias;
    vx_gaddr low, high;
    int fd;
    vx_status status;
};

struct vxl_codes {
    int directory;
    struct file *files;
    size_t count;
};

struct vxl_codes *vxl_codes_new(int directory)
{
    struct vxl_codes *codes = calloc(1, sizeof *codes);
    struct file *files = calloc(FILE_LIMIT, sizeof *files);
    if (!codes || !files) {
        free(codes);
        free(files);
        return NULL;
    }
    codes->directory = directory;
    codes->files = files;
    return codes;
}

void vxl_codes_free(struct vxl_codes *codes)
{
    if (!codes)
        return;
    for (size_t i = 0; i < codes->count; i++) {
        vx_code_close(codes->files[i].code);
        close(codes->files[i].fd);
    }
    free(codes->files);
    free(codes);
}

static bool is_file(const struct file *file, const struct stat *st)
{
    const struct stat *own = &file->st;
    return own->st_dev == st->st_dev && own->st_ino == st->st_ino && own->st_size == st->st_size &&
           own->st_mtim.tv_sec == st->st_mtim.tv_sec && own->st_mtim.tv_nsec == st->st_mtim.tv_nsec &&
           own->st_ctim.tv_sec == st->st_ctim.tv_sec && own->st_ctim.tv_nsec == st->st_ctim.tv_nsec;
}

static void open_code(const struct vxl_codes *codes, struct file *file)
{
    struct vx_error error;
    uint64_t hash[2], size;
    int cache = codes->directory < 0 ? -1 : vxf_directory_find(codes->directory, file->fd);
    file->status = VX_ERR_NOT_FOUND;
    if (cache < 0)
        return;
    file->status = vx_code_open(cache, file->bias, &file->code, &error);
    close(cache);
    if (file->status != VX_OK)
        return;
    vx_code_guest(file->code, hash, &size);
    if (size != (uint64_t)file->st.st_size) { /* a link that leads elsewhere */
        vx_code_close(file->code);
        file->code = NULL;
        file->status = VX_ERR_VXC_GUEST;
    }
}

/* The file at this place, opened if it is new; NULL: no ELF file, or too many. */
static struct file *find(struct vxl_codes *codes, int fd, vx_gaddr addr, uint64_t offset)
{
    struct stat st;
    struct vxl_layout layout;
    vx_gaddr bias;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return NULL;
    for (size_t i = 0; i < codes->count; i++)
        if (is_file(&codes->files[i], &st) && vxl_layout_bias(&codes->files[i].layout, addr, offset, &bias) &&
            bias == codes->files[i].bias)
            return &codes->files[i];
    if (codes->count == FILE_LIMIT || !vxl_layout_read(fd, &layout) || !vxl_layout_bias(&layout, addr, offset, &bias))
        return NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    if (copy < 0)
        return NULL;
    struct file *file = &codes->files[codes->count++];
    *file = (struct file){.st = st, .layout = layout, .bias = bias, .fd = copy};
    open_code(codes, file);
    return file;
}

void vxl_codes_attach(struct vxl_codes *codes, struct vx_box *box, int fd, vx_gaddr addr, uint32_t size, uint64_t offset)
{
    struct file *file = codes ? find(codes, fd, addr, offset) : NULL;
    if (!file)
        return;
    file->low = addr;
    file->high = addr + size;
    if (file->code && vx_box_attach(box, file->code, addr, size) == VX_ERR_VXC_CPU)
        file->status = VX_ERR_VXC_CPU;
}

vx_gaddr vxl_codes_hint(struct vxl_codes *codes, int fd, uint64_t offset)
{
    struct stat st;
    if (!codes || !codes->count || offset || fstat(fd, &st))
        return 0;
    for (size_t i = 0; i < codes->count; i++)
        if (codes->files[i].code && is_file(&codes->files[i], &st))
            return codes->files[i].layout.low + codes->files[i].bias;
    return 0;
}

bool vxl_codes_file(const struct vxl_codes *codes, size_t index, struct vxl_code_file *out)
{
    uint32_t rule;
    if (!codes || index >= codes->count)
        return false;
    const struct file *file = &codes->files[index];
    *out = (struct vxl_code_file){.fd = file->fd, .bias = file->bias, .low = file->low, .high = file->high,
                                  .status = file->status};
    if (file->code && vx_code_status(file->code, &rule) != VX_OK)
        out->status = vx_code_status(file->code, &rule);
    return true;
}

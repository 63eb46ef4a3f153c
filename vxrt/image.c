/*
 * Images: open a guest and, if it fits, its cache.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verifier/verifier.h"
#include "vxrt/internal.h"

#define DEFAULT_BIAS 0x56555000u

static void destroy(struct vx_image *image)
{
    vx_snapshot_close(atomic_load(&image->initial));
    if (image->zone)
        vxi_zone_close(image->zone);
    vxi_guest_free(image);
    free(image->runs);
    vxi_link_free(&image->link);
    free(image->cache);
    free(image);
}

void vxi_image_retain(struct vx_image *image)
{
    atomic_fetch_add(&image->references, 1);
}

void vx_image_close(struct vx_image *image)
{
    if (image && atomic_fetch_sub(&image->references, 1) == 1)
        destroy(image);
}

static bool is_elf(const uint8_t *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "\177ELF", 4) == 0;
}

/* Does the cache fit contract, guest, machine and address? */
static vx_status check_cache(const struct vx_image *image, const struct vxf_file *file, bool is_separate,
                             struct vx_error *error)
{
    const struct vxf_meta *meta = vxf_meta(file);
    uint64_t hash[2] = { meta->guest_hash[0], meta->guest_hash[1] };
    if (meta->contract != VX_CONTRACT_VERSION)
        return vxi_fail(error, VX_ERR_VXC_CONTRACT, 0, "the cache is for another sandbox contract");
    if (meta->guest_size != image->guest_size)
        return vxi_fail(error, VX_ERR_VXC_GUEST, 0, "the cache is for a guest of another size");
    /* A guest from the same file was checked when it was read. */
    if (is_separate)
        vxf_hash128(image->guest, image->guest_size, hash);
    if (hash[0] != meta->guest_hash[0] || hash[1] != meta->guest_hash[1])
        return vxi_fail(error, VX_ERR_VXC_GUEST, 0, "the cache is for another guest");
    if (image->bias && !meta->relocatable)
        return vxi_fail(error, VX_ERR_VXC_GUEST, 0, "the cache cannot be moved to the load address");
    if (image->is_cpu_chosen && meta->options != image->cpu)
        return vxi_cpu_mismatch(meta->options, image->cpu, error);
    return vxi_cpu_of_cache(meta, error);
}

/* Takes over file, whatever happens. */
static void use_cache(struct vx_image *image, struct vxf_file *file, bool is_separate)
{
    image->cache_status = check_cache(image, file, is_separate, &image->cache_error);
    if (image->cache_status == VX_OK) {
        image->cache_status = vxi_zone_open(file, image->bias, &image->zone);
        if (image->cache_status != VX_OK)
            vxi_fail(&image->cache_error, image->cache_status, 0, "cannot reserve the code zone");
        else
            image->cpu = vxf_meta(file)->options;
    }
    if (image->cache_status != VX_OK)
        vxf_close(file);
}

static void open_separate_cache(struct vx_image *image, const char *path)
{
    struct vxf_file *file;
    int fd;
    image->cache_status = vxi_open_file(path, &fd, &image->cache_error);
    if (image->cache_status != VX_OK)
        return;
    image->cache_status = vxf_open_fd(fd, &file, &image->cache_error);
    close(fd);
    if (image->cache_status == VX_OK)
        use_cache(image, file, true);
}

/* The guest's bytes are there: parse, place, make pages. */
static vx_status open_guest(struct vx_image *image, const struct vx_image_options *options, struct vx_error *error)
{
    const char *cpu = options ? options->cpu : NULL;
    vx_status status = vxi_cpu_choose(cpu, &image->cpu, error);
    if (status == VX_OK)
        status = vxe_open(image->guest, image->guest_size, &image->elf, error);
    if (status != VX_OK)
        return status;
    image->is_cpu_chosen = cpu != NULL;
    image->has_dynamic_exports = vxi_uses_dynamic(&image->elf);
    if (image->elf.is_dyn)
        image->bias = options && options->load_bias ? options->load_bias : DEFAULT_BIAS;
    if (image->bias % VX_PAGE_BYTES)
        return vxi_fail(error, VX_ERR_ARGUMENT, 0, "the load address is not page-aligned");
    status = vxi_segments_make(image, error);
    return status == VX_OK ? vxi_guest_seal(image, error) : status;
}

/* A .vxc file: the guest is inside. Takes over file. */
static vx_status open_vxc(struct vx_image *image, struct vxf_file *file, const struct vx_image_options *options,
                          struct vx_error *error)
{
    vx_status status = VX_OK;
    if (!vxf_has_guest(file))
        status = vxi_fail(error, VX_ERR_VXC_NO_GUEST, 0, "the cache holds no guest");
    if (status == VX_OK)
        status = vxi_guest_new(image, (size_t)vxf_meta(file)->guest_size, error);
    if (status == VX_OK)
        status = vxf_read_guest(file, image->guest, error);
    if (status == VX_OK)
        status = open_guest(image, options, error);
    if (status == VX_OK && !(options && options->ignore_cache))
        use_cache(image, file, false);
    else
        vxf_close(file);
    return status;
}

static vx_status image_new(struct vx_image **out, struct vx_error *error)
{
    struct vx_image *image = calloc(1, sizeof *image);
    if (!image)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    image->references = 1;
    image->memory_file = -1;
    vxi_fail(&image->cache_error, VX_ERR_NOT_FOUND, 0, "no cache given");
    image->cache_status = VX_ERR_NOT_FOUND;
    *out = image;
    return VX_OK;
}

/* An ELF file: image->guest has its bytes. */
static vx_status open_elf(struct vx_image *image, const struct vx_image_options *options, struct vx_error *error)
{
    vx_status status = open_guest(image, options, error);
    if (status == VX_OK && options && options->cache_path && !options->ignore_cache)
        open_separate_cache(image, options->cache_path);
    return status;
}

/* The image is as `status` says. */
static vx_status finish(struct vx_image *image, vx_status status, uint64_t start_ns, struct vx_image **out,
                        struct vx_error *error)
{
    if (status == VX_ERR_VXC_MAGIC)
        status = vxi_fail(error, VX_ERR_ELF_MAGIC, 0, "neither an ELF file nor a cache");
    if (status != VX_OK) {
        destroy(image);
        return status;
    }
    image->open_ns = vxi_now_ns() - start_ns;
    *out = image;
    return VX_OK;
}

/* Options whose size is not set would be ignored in silence. */
static bool is_known(const struct vx_image_options *options, struct vx_error *error)
{
    if (!options || options->size >= sizeof *options)
        return true;
    vxi_fail(error, VX_ERR_ARGUMENT, 0, "vx_image_options: size is not set");
    return false;
}

static vx_status open_fd(struct vx_image *image, int fd, const struct vx_image_options *options,
                         struct vx_error *error)
{
    uint8_t magic[4];
    if (pread(fd, magic, sizeof magic, 0) == sizeof magic && is_elf(magic, sizeof magic)) {
        size_t size;
        vx_status status = vxi_file_size(fd, VXF_GUEST_LIMIT, &size, error);
        if (status == VX_OK)
            status = vxi_guest_new(image, size, error);
        if (status == VX_OK)
            status = vxi_read_file(fd, image->guest, size, error);
        return status == VX_OK ? open_elf(image, options, error) : status;
    }
    struct vxf_file *file;
    vx_status status = vxf_open_fd(fd, &file, error);
    return status == VX_OK ? open_vxc(image, file, options, error) : status;
}

vx_status vx_image_open(const char *path, const struct vx_image_options *options, struct vx_image **out,
                        struct vx_error *error)
{
    uint64_t start_ns = vxi_now_ns();
    struct vx_image *image;
    int fd;
    if (!path || !out || !error || !is_known(options, error))
        return VX_ERR_ARGUMENT;
    vx_status status = vxi_open_file(path, &fd, error);
    if (status != VX_OK)
        return status;
    status = image_new(&image, error);
    if (status == VX_OK)
        status = finish(image, open_fd(image, fd, options, error), start_ns, out, error);
    close(fd);
    return status;
}

static vx_status open_bytes(struct vx_image *image, const void *bytes, size_t size,
                            const struct vx_image_options *options, struct vx_error *error)
{
    if (is_elf(bytes, size)) {
        vx_status status = vxi_guest_new(image, size, error);
        if (status != VX_OK)
            return status;
        memcpy(image->guest, bytes, size);
        return open_elf(image, options, error);
    }
    image->cache = malloc(size);
    if (!image->cache)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    memcpy(image->cache, bytes, size);
    struct vxf_file *file;
    vx_status status = vxf_open(image->cache, size, &file, error);
    return status == VX_OK ? open_vxc(image, file, options, error) : status;
}

vx_status vx_image_open_memory(const void *bytes, size_t size, const struct vx_image_options *options,
                               struct vx_image **out, struct vx_error *error)
{
    uint64_t start_ns = vxi_now_ns();
    struct vx_image *image;
    if (!bytes || !out || !error || !is_known(options, error))
        return VX_ERR_ARGUMENT;
    vx_status status = image_new(&image, error);
    if (status == VX_OK)
        status = finish(image, open_bytes(image, bytes, size, options, error), start_ns, out, error);
    return status;
}

vx_status vx_image_cache_status(const struct vx_image *image, struct vx_error *error)
{
    const struct vxi_zone *zone = image->zone;
    if (zone && atomic_load(&zone->is_bad)) {
        vxi_fail(error, zone->bad_status, zone->bad_rule, "%s", vxv_rule_text(zone->bad_rule));
        return zone->bad_status;
    }
    if (error)
        *error = image->cache_error;
    if (error && image->cache_status == VX_OK)
        vxi_succeed(error);
    return image->cache_status;
}

void vx_image_info(const struct vx_image *image, struct vx_image_info *info)
{
    const struct vxe_elf *elf = &image->elf;
    *info = (struct vx_image_info){
        .entry = elf->entry + image->bias,
        .load_bias = image->bias,
        .low = elf->low + image->bias,
        .high = elf->high + image->bias,
        .phdr = elf->phdr_addr ? elf->phdr_addr + image->bias : 0,
        .phdr_count = elf->phdr_count,
        .exec_stack = elf->exec_stack,
        .interp = elf->interp,
    };
}

/* SPDX-License-Identifier: MIT
 * See device.h. */
#define FUSE_USE_VERSION 34
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The memory ---- */

static void save(struct device *device, uint32_t block)
{
    struct layer *layer = &device->layer[device->layers - 1];
    if (layer->saved[block])
        return;
    layer->saved[block] = 1;
    layer->blocks[layer->count] = block;
    memcpy(layer->before + (uint64_t)layer->count * BLOCK_BYTES,
           device->image + (uint64_t)block * BLOCK_BYTES, BLOCK_BYTES);
    layer->count++;
}

void device_write(struct device *device, uint64_t place, const void *data, uint64_t bytes)
{
    if (device->layers > 0)
        for (uint64_t at = place / BLOCK_BYTES; at * BLOCK_BYTES < place + bytes; at++)
            save(device, (uint32_t)at);
    memcpy(device->image + place, data, bytes);
}

void device_layer(struct device *device)
{
    if (device->layers == LAYERS)
        abort();
    device->layers++;
}

void device_restore(struct device *device)
{
    struct layer *layer = &device->layer[--device->layers];
    for (uint32_t i = 0; i < layer->count; i++) {
        memcpy(device->image + (uint64_t)layer->blocks[i] * BLOCK_BYTES,
               layer->before + (uint64_t)i * BLOCK_BYTES, BLOCK_BYTES);
        layer->saved[layer->blocks[i]] = 0;
    }
    layer->count = 0;
}

/* ---- The file that the server shows: "disk", the only one ---- */

static void describe(const struct device *device, fuse_ino_t inode, struct stat *status)
{
    memset(status, 0, sizeof *status);
    status->st_ino = inode;
    status->st_mode = inode == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
    status->st_nlink = 1;
    status->st_size = inode == FUSE_ROOT_ID ? 0 : (off_t)device->bytes;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {.ino = 2, .attr_timeout = 1e6, .entry_timeout = 1e6};
    if (parent != FUSE_ROOT_ID || strcmp(name, "disk") != 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    describe(fuse_req_userdata(request), 2, &entry.attr);
    fuse_reply_entry(request, &entry);
}

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    struct stat status;
    (void)file;
    describe(fuse_req_userdata(request), inode, &status);
    fuse_reply_attr(request, &status, 1e6);
}

/* Past the page cache: what the loop device is told reaches us before it goes on. */
static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
    (void)inode;
    file->direct_io = 1;
    fuse_reply_open(request, file);
}

static void on_read(fuse_req_t request, fuse_ino_t inode, size_t bytes, off_t place,
                    struct fuse_file_info *file)
{
    const struct device *device = fuse_req_userdata(request);
    (void)inode;
    (void)file;
    uint64_t left = (uint64_t)place < device->bytes ? device->bytes - (uint64_t)place : 0;
    fuse_reply_buf(request, device->image + place, bytes < left ? bytes : left);
}

static void on_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t bytes,
                     off_t place, struct fuse_file_info *file)
{
    struct device *device = fuse_req_userdata(request);
    (void)inode;
    (void)file;
    if ((uint64_t)place + bytes > device->bytes) {
        fuse_reply_err(request, ENOSPC);
        return;
    }
    device_write(device, (uint64_t)place, data, bytes);
    tape_note(device->tape, EVENT_WRITE, (uint64_t)place, data, (uint32_t)bytes);
    fuse_reply_write(request, bytes);
}

static void on_fsync(fuse_req_t request, fuse_ino_t inode, int data_only,
                     struct fuse_file_info *file)
{
    const struct device *device = fuse_req_userdata(request);
    (void)inode;
    (void)data_only;
    (void)file;
    tape_note(device->tape, EVENT_FLUSH, 0, NULL, 0);
    fuse_reply_err(request, 0);
}

static const struct fuse_lowlevel_ops operations = {
    .lookup = on_lookup,
    .getattr = on_getattr,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
};

/* ---- The server ---- */

static void serve(struct device *device, int ready_fd)
{
    char *words[] = {"torture", NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(1, words);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct fuse_session *session =
        fuse_session_new(&arguments, &operations, sizeof operations, device);
    if (session == NULL || fuse_session_mount(session, device->directory) != 0)
        _exit(1);
    if (write(ready_fd, "+", 1) != 1)
        _exit(1);
    close(ready_fd);
    fuse_session_loop(session);
    _exit(0);
}

static bool start_server(struct device *device)
{
    int ready[2];
    char answer;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return false;
    device->server = fork();
    if (device->server == 0)
        serve(device, ready[1]);
    close(ready[1]);
    bool started = device->server > 0 && read(ready[0], &answer, 1) == 1;
    close(ready[0]);
    return started;
}

/* ---- The loop device ---- */

/* Somebody else may take the free one first: a few tries. */
static bool attach_loop(struct device *device)
{
    char file[80];
    snprintf(file, sizeof file, "%s/disk", device->directory);
    int backing = open(file, O_RDWR | O_CLOEXEC);
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct loop_config config = {.fd = (uint32_t)backing, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
    bool attached = false;
    for (int i = 0; i < 8 && !attached && backing >= 0 && control >= 0; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(device->node, sizeof device->node, "/dev/loop%d", number);
        device->loop_fd = open(device->node, O_RDWR | O_CLOEXEC);
        if (device->loop_fd < 0)
            break;
        attached = ioctl(device->loop_fd, LOOP_CONFIGURE, &config) == 0;
        if (!attached) {
            close(device->loop_fd);
            device->loop_fd = -1;
        }
    }
    close(control);
    close(backing);
    return attached;
}

void device_forget(struct device *device)
{
    if (ioctl(device->loop_fd, BLKFLSBUF) < 0) {
        perror("torture: BLKFLSBUF");
        exit(1);
    }
}

/* ---- All of it ---- */

static void allocate(struct device *device)
{
    uint64_t blocks = device->bytes / BLOCK_BYTES;
    device->image = tape_share(device->bytes);
    for (int i = 0; i < LAYERS; i++) {
        struct layer *layer = &device->layer[i];
        layer->saved = tape_share(blocks);
        layer->blocks = tape_share(blocks * sizeof *layer->blocks);
        layer->before = tape_share(device->bytes);
    }
}

static const char *build(struct device *device)
{
    allocate(device);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return "only root may mount";
    strcpy(device->directory, "/tmp/duralog-device-XXXXXX");
    if (mkdtemp(device->directory) == NULL)
        return "/tmp cannot be written to";
    if (!start_server(device))
        return "FUSE cannot be used (/dev/fuse)";
    return attach_loop(device) ? NULL : "there is no loop device to be had";
}

struct device *device_open(uint64_t bytes, struct tape *tape, const char **reason)
{
    struct device *device = tape_share(sizeof *device);
    device->bytes = bytes;
    device->tape = tape;
    device->loop_fd = -1;
    *reason = build(device);
    if (*reason == NULL)
        return device;
    device_close(device);
    return NULL;
}

void device_close(struct device *device)
{
    uint64_t blocks = device->bytes / BLOCK_BYTES;
    if (device->loop_fd >= 0)
        close(device->loop_fd);
    if (device->directory[0] != '\0')
        umount2(device->directory, MNT_DETACH);
    if (device->server > 0) {
        kill(device->server, SIGKILL);
        waitpid(device->server, NULL, 0);
    }
    if (device->directory[0] != '\0' && rmdir(device->directory) < 0)
        perror(device->directory);
    for (int i = 0; i < LAYERS; i++) {
        munmap(device->layer[i].saved, blocks);
        munmap(device->layer[i].blocks, blocks * sizeof *device->layer[i].blocks);
        munmap(device->layer[i].before, device->bytes);
    }
    munmap(device->image, device->bytes);
    munmap(device, sizeof *device);
}

/* SPDX-License-Identifier: MIT
 * See model.h. */
#include "model.h"

#include "draw.h"

#include "format/format.h"
#include "sys/file.h"
#include "sys/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPS_MAX = 1 << 16, FILES_MAX = 512, ACKNOWLEDGED_MAX = 1 << 14, SECTOR_BYTES = 512 };

enum op_kind {
    OP_WRITE,
    OP_SIZE, /* allocation: zeros up to `offset`, unless the file is larger */
    OP_SYNC,
    OP_NAME,   /* `name` is the file's from now on */
    OP_RENAME, /* `name` becomes `to` */
    OP_UNNAME,
    OP_SYNC_NAMES,
};

struct op {
    enum op_kind kind;
    uint64_t begin, end; /* times; end UINT64_MAX: it has not */
    ino_t file;
    uint64_t offset, bytes;
    char *data; /* NULL: zeros */
    bool durable;
    char name[32], to[32];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of it while it runs */
static bool running, without_data, without_directory;
static int directory;
static ino_t directory_inode;
static uint64_t now;
static struct op ops[OPS_MAX];
static unsigned op_count;
static struct {
    uint64_t time, lsn;
} acknowledged[ACKNOWLEDGED_MAX];
static unsigned acknowledged_count;

/* ---- Noting ---- */

static struct op *begin(enum op_kind kind, ino_t file)
{
    pthread_mutex_lock(&lock);
    if (op_count == OPS_MAX)
        abort();
    struct op *op = &ops[op_count++];
    *op = (struct op){.kind = kind, .begin = now++, .end = UINT64_MAX, .file = file};
    pthread_mutex_unlock(&lock);
    return op;
}

/* What failed may have happened all the same: it never ends. */
static int end(struct op *op, int error)
{
    pthread_mutex_lock(&lock);
    if (error >= 0)
        op->end = now++;
    pthread_mutex_unlock(&lock);
    return error;
}

static ino_t inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static void copy_name(char to[32], const char *name)
{
    snprintf(to, 32, "%s", name);
}

void model_acknowledge(uint64_t lsn)
{
    pthread_mutex_lock(&lock);
    if (acknowledged_count == ACKNOWLEDGED_MAX)
        abort();
    acknowledged[acknowledged_count].time = now++;
    acknowledged[acknowledged_count++].lsn = lsn;
    pthread_mutex_unlock(&lock);
}

bool model_without(const char *what)
{
    without_data = strcmp(what, "data") == 0;
    without_directory = strcmp(what, "directory") == 0;
    return without_data || without_directory;
}

/* ---- The calls ---- */

int __real_sys_openat(int at, const char *name, int flags, mode_t mode);
int __wrap_sys_openat(int at, const char *name, int flags, mode_t mode);
int __wrap_sys_openat(int at, const char *name, int flags, mode_t mode)
{
    bool makes = running && at == directory && (flags & O_CREAT);
    struct op *op = makes ? begin(OP_NAME, 0) : NULL;
    int fd = __real_sys_openat(at, name, flags, mode);
    if (op == NULL)
        return fd;
    copy_name(op->name, name);
    op->file = fd >= 0 ? inode_of(fd) : 0;
    end(op, fd);
    return fd;
}

int __real_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    if (!running)
        return __real_sys_pwrite_full(fd, data, length, offset, durable);
    struct op *op = begin(OP_WRITE, inode_of(fd));
    op->offset = offset;
    op->bytes = length;
    op->durable = durable && !without_data;
    op->data = malloc(length);
    if (op->data == NULL)
        abort();
    memcpy(op->data, data, length);
    return end(op, __real_sys_pwrite_full(fd, data, length, offset, durable));
}

int __real_sys_punch(int fd, uint64_t offset, uint64_t bytes);
int __wrap_sys_punch(int fd, uint64_t offset, uint64_t bytes);
int __wrap_sys_punch(int fd, uint64_t offset, uint64_t bytes)
{
    if (!running)
        return __real_sys_punch(fd, offset, bytes);
    struct op *op = begin(OP_WRITE, inode_of(fd));
    op->offset = offset;
    op->bytes = bytes;
    return end(op, __real_sys_punch(fd, offset, bytes));
}

int __real_sys_allocate(int fd, uint64_t bytes);
int __wrap_sys_allocate(int fd, uint64_t bytes);
int __wrap_sys_allocate(int fd, uint64_t bytes)
{
    if (!running)
        return __real_sys_allocate(fd, bytes);
    struct op *op = begin(OP_SIZE, inode_of(fd));
    op->offset = bytes;
    return end(op, __real_sys_allocate(fd, bytes));
}

int __real_sys_fsync(int fd);
int __wrap_sys_fsync(int fd);
int __wrap_sys_fsync(int fd)
{
    ino_t inode = inode_of(fd);
    bool names = inode == directory_inode;
    if (!running || (names ? without_directory : without_data))
        return __real_sys_fsync(fd);
    return end(begin(names ? OP_SYNC_NAMES : OP_SYNC, inode), __real_sys_fsync(fd));
}

int __real_sys_fdatasync(int fd);
int __wrap_sys_fdatasync(int fd);
int __wrap_sys_fdatasync(int fd)
{
    if (!running || without_data)
        return __real_sys_fdatasync(fd);
    return end(begin(OP_SYNC, inode_of(fd)), __real_sys_fdatasync(fd));
}

int __real_sys_renameat(int at, const char *from, int to_at, const char *to);
int __wrap_sys_renameat(int at, const char *from, int to_at, const char *to);
int __wrap_sys_renameat(int at, const char *from, int to_at, const char *to)
{
    if (!running || at != directory)
        return __real_sys_renameat(at, from, to_at, to);
    struct op *op = begin(OP_RENAME, 0);
    copy_name(op->name, from);
    copy_name(op->to, to);
    return end(op, __real_sys_renameat(at, from, to_at, to));
}

int __real_sys_unlinkat(int at, const char *name);
int __wrap_sys_unlinkat(int at, const char *name);
int __wrap_sys_unlinkat(int at, const char *name)
{
    if (!running || at != directory)
        return __real_sys_unlinkat(at, name);
    struct op *op = begin(OP_UNNAME, 0);
    copy_name(op->name, name);
    return end(op, __real_sys_unlinkat(at, name));
}

/* ---- What there is at a time ---- */

struct file {
    ino_t inode;
    char *bytes; /* SEGMENT_BYTES_MIN of them, zeros behind `size` */
    uint64_t size;
};

struct entry {
    char name[32];
    ino_t inode;
};

struct state {
    struct file files[FILES_MAX];
    unsigned file_count;
    struct entry entries[FILES_MAX];
    unsigned entry_count;
};

static struct state start; /* what there was at the beginning, all of it kept */
static struct state state; /* of the moment that is laid out */

static struct file *find_file(struct state *in, ino_t inode)
{
    for (unsigned i = 0; i < in->file_count; i++)
        if (in->files[i].inode == inode)
            return &in->files[i];
    if (in->file_count == FILES_MAX)
        abort();
    struct file *file = &in->files[in->file_count++];
    file->inode = inode;
    file->size = 0;
    if (file->bytes == NULL)
        file->bytes = malloc(SEGMENT_BYTES_MIN);
    if (file->bytes == NULL)
        abort();
    memset(file->bytes, 0, SEGMENT_BYTES_MIN);
    return file;
}

static struct entry *find_entry(struct state *in, const char *name)
{
    for (unsigned i = 0; i < in->entry_count; i++)
        if (strcmp(in->entries[i].name, name) == 0)
            return &in->entries[i];
    return NULL;
}

static void drop_entry(struct state *in, const char *name)
{
    struct entry *entry = find_entry(in, name);
    if (entry != NULL)
        *entry = in->entries[--in->entry_count];
}

static void put_entry(struct state *in, const char *name, ino_t inode)
{
    drop_entry(in, name);
    if (in->entry_count == FILES_MAX)
        abort();
    struct entry *entry = &in->entries[in->entry_count++];
    copy_name(entry->name, name);
    entry->inode = inode;
}

static void apply_bytes(const struct op *op, uint64_t from, uint64_t bytes)
{
    struct file *file = find_file(&state, op->file);
    uint64_t at = op->offset + from;
    if (op->kind == OP_SIZE || at + bytes > file->size)
        file->size = op->kind == OP_SIZE && op->offset < file->size ? file->size
                     : op->kind == OP_SIZE                          ? op->offset
                                                                    : at + bytes;
    if (op->kind != OP_WRITE || at + bytes > SEGMENT_BYTES_MIN)
        return;
    if (op->data != NULL)
        memcpy(file->bytes + at, op->data + from, bytes);
    else
        memset(file->bytes + at, 0, bytes);
}

static void apply_name(const struct op *op)
{
    struct entry *entry = find_entry(&state, op->name);
    if (op->kind == OP_NAME && (entry == NULL || entry->inode != op->file))
        put_entry(&state, op->name, op->file);
    if (op->kind == OP_UNNAME)
        drop_entry(&state, op->name);
    if (op->kind == OP_RENAME && entry != NULL) {
        ino_t inode = entry->inode;
        drop_entry(&state, op->name);
        put_entry(&state, op->to, inode);
    }
}

static bool is_name(const struct op *op)
{
    return op->kind == OP_NAME || op->kind == OP_RENAME || op->kind == OP_UNNAME;
}

/* Whether a sync that began after the call's end had ended by then. */
static bool is_certain(const struct op *op, uint64_t time)
{
    if (op->end >= time)
        return false;
    if (op->durable)
        return true;
    for (const struct op *sync = op + 1; sync < ops + op_count && sync->begin < time; sync++) {
        bool fits = is_name(op) ? sync->kind == OP_SYNC_NAMES
                                : sync->kind == OP_SYNC && sync->file == op->file;
        if (fits && sync->begin > op->end && sync->end < time)
            return true;
    }
    /* A durable write keeps the size that it needs. */
    for (const struct op *write = op + 1;
         op->kind == OP_SIZE && write < ops + op_count && write->begin < time; write++)
        if (write->durable && write->file == op->file && write->begin > op->end &&
            write->end < time)
            return true;
    return false;
}

/* How much of what is not certain has happened. */
enum mode { MODE_NONE, MODE_ALL, MODE_PREFIX, MODE_WHOLE, MODE_SECTORS, MODES };

static void apply_part(const struct op *op, enum mode mode, uint64_t *seed)
{
    bool torn = mode == MODE_SECTORS || (mode == MODE_PREFIX && draw(seed) % 2 == 0);
    if (op->kind == OP_SIZE || !torn) {
        if (mode != MODE_WHOLE || draw(seed) % 2 == 0)
            apply_bytes(op, 0, op->bytes);
        return;
    }
    for (uint64_t at = 0; at < op->bytes; at += SECTOR_BYTES)
        if (draw(seed) % 2 == 0)
            apply_bytes(op, at, SECTOR_BYTES);
}

static void apply_all(uint64_t time, uint64_t *seed)
{
    enum mode mode = (enum mode)(draw(seed) % MODES);
    bool names_in_order = draw(seed) % 2 == 0;
    bool names_go_on = true; /* in order: until the first that is lost */
    uint64_t until = time == 0 ? 0 : draw(seed) % time;
    for (const struct op *op = ops; op < ops + op_count && op->begin < time; op++) {
        bool certain = is_certain(op, time);
        if (is_name(op)) {
            bool kept = certain ||
                        (names_in_order ? names_go_on && draw(seed) % 4 != 0 : draw(seed) % 2 == 0);
            names_go_on &= kept;
            if (kept)
                apply_name(op);
        } else if (op->kind == OP_WRITE || op->kind == OP_SIZE) {
            if (certain || mode == MODE_ALL)
                apply_bytes(op, 0, op->bytes);
            else if (mode >= MODE_WHOLE || (mode == MODE_PREFIX && op->begin < until))
                apply_part(op, mode, seed);
        }
    }
}

/* ---- Laying out ---- */

static void copy_start(void)
{
    state.file_count = state.entry_count = 0;
    for (unsigned i = 0; i < start.file_count; i++) {
        struct file *file = find_file(&state, start.files[i].inode);
        file->size = start.files[i].size;
        memcpy(file->bytes, start.files[i].bytes, SEGMENT_BYTES_MIN);
    }
    for (unsigned i = 0; i < start.entry_count; i++)
        put_entry(&state, start.entries[i].name, start.entries[i].inode);
}

static int remove_name(void *context, const char *name)
{
    (void)context;
    return unlinkat(directory, name, 0);
}

static void write_file(const struct entry *entry)
{
    const struct file *file = find_file(&state, entry->inode);
    int fd = openat(directory, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t held = file->size < SEGMENT_BYTES_MIN ? file->size : SEGMENT_BYTES_MIN;
    if (fd < 0 || pwrite(fd, file->bytes, held, 0) != (ssize_t)held ||
        ftruncate(fd, (off_t)file->size) < 0) {
        perror("crash: laying out a state");
        exit(1);
    }
    close(fd);
}

uint64_t model_lay_out(uint64_t *seed)
{
    uint64_t time = draw(seed) % (now + 1), lsn = 0;
    copy_start();
    apply_all(time, seed);
    sys_list(directory, remove_name, NULL);
    for (unsigned i = 0; i < state.entry_count; i++)
        write_file(&state.entries[i]);
    for (unsigned i = 0; i < acknowledged_count && acknowledged[i].time < time; i++)
        lsn = acknowledged[i].lsn;
    return lsn;
}

/* ---- Beginning and ending ---- */

static int note_start(void *context, const char *name)
{
    (void)context;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    struct file *file = find_file(&start, status.st_ino);
    file->size = (uint64_t)status.st_size;
    ssize_t got = pread(fd, file->bytes, SEGMENT_BYTES_MIN, 0);
    close(fd);
    put_entry(&start, name, status.st_ino);
    return got < 0 ? -errno : 0;
}

void model_begin(int directory_fd)
{
    directory = directory_fd;
    directory_inode = inode_of(directory_fd);
    start.file_count = start.entry_count = 0;
    if (sys_list(directory, note_start, NULL) < 0)
        abort();
    running = true;
}

void model_end(void)
{
    running = false;
    directory = fcntl(directory, F_DUPFD_CLOEXEC, 0); /* the store's will be closed */
}

void model_forget(void)
{
    for (unsigned i = 0; i < op_count; i++)
        free(ops[i].data);
    op_count = acknowledged_count = 0;
    now = 0;
    close(directory);
}

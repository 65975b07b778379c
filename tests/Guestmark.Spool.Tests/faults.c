// Fails the n-th call of one kind that makes data durable, and with "sticky" every one after it. Loaded by LD_PRELOAD into a process that then
// arms it (Child.cs). Compiled by the test: gcc -shared -fPIC faults.c -o faults.so -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { WRITE, FLUSH, FOLDER_FLUSH, CUT, RESERVE, KINDS };
enum { FAIL, SHORT };

static int armed = -1, armed_at, armed_error, armed_sticky, armed_how;
static int seen[KINDS];

void faults_arm(int kind, int at, int error, int sticky, int how) {
    armed_at = at;
    armed_error = error;
    armed_sticky = sticky;
    armed_how = how;
    for (int i = 0; i < KINDS; i++) seen[i] = 0;
    armed = kind;
}

// How many calls of the kind there were since it was armed.
int faults_seen(int kind) { return __atomic_load_n(&seen[kind], __ATOMIC_SEQ_CST); }

static int fails(int kind) {
    int n = __atomic_add_fetch(&seen[kind], 1, __ATOMIC_SEQ_CST);
    return armed == kind && (armed_sticky ? n >= armed_at : n == armed_at);
}

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

#define WRITER(name)                                                                                   \
    ssize_t name(int fd, const void *data, size_t size, off_t offset) {                                \
        ssize_t (*real)(int, const void *, size_t, off_t) =                                            \
            REAL(ssize_t (*)(int, const void *, size_t, off_t), #name);                                \
        if (fails(WRITE)) {                                                                            \
            if (armed_how == SHORT && size > 1) return real(fd, data, size / 2, offset);               \
            real(fd, data, size / 3, offset);                                                          \
            errno = armed_error;                                                                       \
            return -1;                                                                                 \
        }                                                                                              \
        return real(fd, data, size, offset);                                                           \
    }

WRITER(pwrite)
WRITER(pwrite64)

#define VECTOR_WRITER(name)                                                                            \
    ssize_t name(int fd, const struct iovec *parts, int count, off_t offset) {                         \
        ssize_t (*real)(int, const struct iovec *, int, off_t) =                                       \
            REAL(ssize_t (*)(int, const struct iovec *, int, off_t), #name);                           \
        if (fails(WRITE)) {                                                                            \
            if (armed_how == SHORT && count > 1) return real(fd, parts, count / 2, offset);            \
            errno = armed_error;                                                                       \
            return -1;                                                                                 \
        }                                                                                              \
        return real(fd, parts, count, offset);                                                         \
    }

VECTOR_WRITER(pwritev)
VECTOR_WRITER(pwritev64)

#define FLUSHER(name, kind)                                                                            \
    int name(int fd) {                                                                                 \
        if (fails(kind)) { errno = armed_error; return -1; }                                           \
        return REAL(int (*)(int), #name)(fd);                                                          \
    }

FLUSHER(fdatasync, FLUSH)
FLUSHER(fsync, FOLDER_FLUSH)

#define CUTTER(name)                                                                                   \
    int name(int fd, off_t length) {                                                                   \
        if (fails(CUT)) { errno = armed_error; return -1; }                                            \
        return REAL(int (*)(int, off_t), #name)(fd, length);                                           \
    }

CUTTER(ftruncate)
CUTTER(ftruncate64)

int fallocate(int fd, int mode, off_t offset, off_t length) {
    if (fails(RESERVE)) { errno = armed_error; return -1; }
    return REAL(int (*)(int, int, off_t, off_t), "fallocate")(fd, mode, offset, length);
}

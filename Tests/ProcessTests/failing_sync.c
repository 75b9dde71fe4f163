/* LD_PRELOAD: the next fsync or fdatasync of a file under FAIL_SYNC_UNDER fails with EIO once the file
   FAIL_SYNC_TRIGGER exists, which is removed: one failure per trigger, as a disk that drops dirty pages reports it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int descriptor) {
    const char *trigger = getenv("FAIL_SYNC_TRIGGER"), *under = getenv("FAIL_SYNC_UNDER");
    if (!trigger || !under || access(trigger, F_OK) != 0) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, under, strlen(under)) != 0) return 0;
    return unlink(trigger) == 0;
}

static int sync_by(const char *name, int descriptor) {
    if (fails(descriptor)) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(descriptor);
}

int fsync(int descriptor) { return sync_by("fsync", descriptor); }
int fdatasync(int descriptor) { return sync_by("fdatasync", descriptor); }

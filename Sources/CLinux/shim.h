// What `import Glibc` leaves out of Linux, and inline wrappers for the variadic calls that Swift cannot import.
#define _GNU_SOURCE 1
#include <features.h>
// Swift's Glibc module is built without X/Open names: `fd_set` must have the same member in both modules, or a file
// (or a target) that sees both does not compile.
#undef __USE_XOPEN
#include <sys/select.h>
#define __USE_XOPEN 1
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int clx_prctl(int op, unsigned long a) { return prctl(op, a, 0, 0, 0); }
static inline long clx_syscall3(long n, long a, long b, long c) { return syscall(n, a, b, c); }
static inline int clx_wifexited(int s) { return WIFEXITED(s); }
static inline int clx_wexitstatus(int s) { return WEXITSTATUS(s); }
static inline int clx_wifsignaled(int s) { return WIFSIGNALED(s); }
static inline int clx_wtermsig(int s) { return WTERMSIG(s); }
static inline int clx_open(const char *path, int flags, mode_t mode) { return open(path, flags | O_CLOEXEC, mode); }

// prlimit(2) and pidfd_send_signal(2) for another process. <sys/resource.h> can't be included beside Glibc's module.
static inline int clx_set_limit(pid_t pid, int resource, unsigned long long value) {
    unsigned long long limit[2] = { value, value };
    return (int)syscall(SYS_prlimit64, pid, resource, limit, 0);
}
// waitid(2) by pidfd, with the status as waitpid(2) gives it.
static inline int clx_wait_pidfd(int descriptor, int *status) {
    siginfo_t info = { 0 };
    int result = waitid(P_PIDFD, (id_t)descriptor, &info, WEXITED);
    if (result == 0) *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
    return result;
}
static inline int clx_pidfd_send_signal(int descriptor, int number) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, number, 0, 0);
}

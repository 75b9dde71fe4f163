import CLinux
import EnsembleBase
import Glibc

/// The wall clock.
enum WallClock {
    static var now: WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

extension ServerView.Descriptors {
    /// Read from /proc: no disk is touched.
    static var current: ServerView.Descriptors {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        var open = 0
        if let directory = opendir("/proc/self/fd") {
            while readdir(directory) != nil { open += 1 }
            closedir(directory)
        }
        // ".", ".." and the directory's own.
        return ServerView.Descriptors(open: max(open - 3, 0), limit: Int(clamping: limit.rlim_cur))
    }
}

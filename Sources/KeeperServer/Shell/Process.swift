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

/// The process's file descriptors.
enum Descriptors {
    /// What a server needs for itself: log, snapshots, directories, epochs; ports, election and quorum connections, and
    /// what is accepted before accepting stops.
    private static func reserve(members: Int) -> Int { 64 + 8 * members }

    /// How many connections clients may have.
    static func forClients(members: Int) -> Int {
        let now = ServerView.Descriptors.current
        return max(now.limit - now.open - reserve(members: members), now.limit / 4)
    }

    /// A shell's soft limit of 1024 is for programs that use select(2) (getrlimit(2)).
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

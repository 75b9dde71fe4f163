import CLinux
import Glibc

/// How long a thread runs at a time where others want its core.
///
/// A write passes through both of the server's threads and comes back, and each is woken for some microseconds' work.
/// Beside busy processes a woken thread by itself waits until the running one's slice is over, a millisecond or three; of
/// a shorter slice it is let in at once, and gets no more of the core than before (EEVDF since Linux 6.12; sched(7),
/// sched_setattr(2)). Older kernels ignore it. No privilege is needed, and a failure is no matter.
enum TimeSlice {
    /// The loop does up to this much between two waits while it isn't overloaded.
    static let loop = Duration.microseconds(500)
    /// The log's thread writes, and waits for the disk.
    static let log = Duration.microseconds(100)
    /// The kernel's own: a new thread otherwise has that of the thread that made it.
    static let usual = Duration.zero

    /// For the thread that calls. One with a policy that somebody chose for the process keeps it as it is.
    static func ask(_ slice: Duration) {
        guard sched_getscheduler(0) == SCHED_OTHER else { return }
        let nice = UInt64(UInt32(bitPattern: getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)))
        // struct sched_attr: size and policy, flags, nice and priority, runtime (here: the slice), deadline, period, clamps.
        var attributes: [UInt64] = [56 | UInt64(SCHED_OTHER) << 32, 0, nice, UInt64(slice.components.attoseconds / 1_000_000_000), 0, 0, 0]
        attributes.withUnsafeMutableBytes { bytes in
            _ = clx_syscall3(Int(SYS_sched_setattr), 0, Int(bitPattern: bytes.baseAddress), 0)
        }
    }
}

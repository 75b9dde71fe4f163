import EnsembleBase
import Glibc

/// `850ms`, `12s`, `3m12s`, `4h05m`, `2d03h`.
func spanText(_ milliseconds: Int64) -> String {
    let seconds = milliseconds / 1000
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch milliseconds {
    case ..<0: return "0s"
    case ..<1000: return "\(milliseconds)ms"
    case ..<60_000: return "\(seconds)s"
    case ..<3_600_000: return "\(seconds / 60)m\(two(seconds % 60))s"
    case ..<86_400_000: return "\(seconds / 3600)h\(two(seconds / 60 % 60))m"
    default: return "\(seconds / 86_400)d\(two(seconds / 3600 % 24))h"
    }
}

/// `512 B`, `3.2 KiB`, `18 MiB`.
func bytesText(_ bytes: Int64) -> String {
    var value = bytes
    var tenths = 0 as Int64
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024 || unit == "TiB" { return value < 10 && unit != "B" ? "\(value).\(tenths) \(unit)" : "\(value) \(unit)" }
        tenths = value % 1024 * 10 / 1024
        value /= 1024
    }
    return "\(bytes) B"
}

/// `3m12s ago`, or `in 12s`, seen from `now`.
func agoText(_ time: WallTime, now: WallTime) -> String {
    // Times come from elsewhere: a century is far enough, and far from overflow.
    let century: Int64 = 3_155_760_000_000
    let distance = min(max(now.milliseconds &- time.milliseconds, -century), century)
    return distance >= 0 ? spanText(distance) + " ago" : "in " + spanText(-distance)
}

func wallClock() -> WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
}

import CLinux
import Glibc

/// How much memory this process may count on.
enum SystemMemory {
    /// The smaller of the machine's memory and what its control groups allow (cgroups(7); version 2, then 1).
    static var available: Int {
        let machine = max(sysconf(Int32(_SC_PHYS_PAGES)), 1) * max(sysconf(Int32(_SC_PAGESIZE)), 1)
        return min(machine, groupLimit(groups: FileContent.read("/proc/self/cgroup") ?? []) { FileContent.read($0) })
    }

    /// The budget of a server whose configuration names none.
    static var budget: Int { max(min(MemoryBudget.standardLimit, available / 4), 16 << 20) }

    /// The least limit of the groups that `/proc/self/cgroup` names, and of those above them.
    static func groupLimit(groups: [UInt8], read: (String) -> [UInt8]?) -> Int {
        var least = Int.max
        for line in String(decoding: groups, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let (root, file): (String, String)
            if fields[0] == "0", fields[1].isEmpty {
                (root, file) = ("/sys/fs/cgroup", "memory.max")
            } else if fields[1].split(separator: ",").contains("memory") {
                (root, file) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            } else {
                continue
            }
            var parts = fields[2].split(separator: "/")
            while true {
                let path = ([Substring(root)] + parts + [Substring(file)]).joined(separator: "/")
                // "max" is no number: no limit.
                if let content = read(path), let limit = Int(String(decoding: content, as: UTF8.self).prefix { $0.isNumber }) {
                    least = min(least, limit)
                }
                if parts.popLast() == nil { break }
            }
        }
        return least
    }
}

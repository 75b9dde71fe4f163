import Glibc

/// Which file systems are mounted, and where. S10: an empty directory under which a disk should be is no lost one: seeded
/// there, a member would fill the disk above and be two members when the disk comes back.
///
/// A unit's sandbox mounts directories over themselves (`ReadWritePaths=`, systemd.exec(5)). Such a mount shows nothing but
/// what is there without it, and is none here: else a daemon that is started by hand would miss it.
package enum MountTable {
    /// The mount points that `paths` lie on, in their order, each once; the root's is left out. Nil: it can't be told.
    package static func points(of paths: [String]) -> [String]? {
        guard let mounted else { return nil }
        var found: [String] = []
        for path in paths {
            guard let real = canonical(path) else { return nil }
            if let point = point(of: real, in: mounted), point != "/", !found.contains(point) { found.append(point) }
        }
        return found
    }

    /// The first of `points` where nothing is mounted now. Nil: none, or it can't be told.
    package static func missing(of points: [String]) -> String? {
        guard let mounted else { return nil }
        return points.first { point in !mounted.contains { $0.point == point } }
    }

    struct Mount: Hashable {
        var point: String
        /// The file system's device, `8:1`.
        var device: String
        /// The directory of that file system that is shown there.
        var root: String
    }

    private static var mounted: [Mount]? { ProcessTable.small("/proc/self/mountinfo").map(mounts) }

    /// Of lines as /proc/self/mountinfo has them (proc_pid_mountinfo(5)): the third field is the device, the fourth the root, the
    /// fifth the mount point; spaces and the like are written in octal.
    static func mounts(_ bytes: [UInt8]) -> [Mount] {
        bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count > 4 else { return nil }
            func text(_ field: ArraySlice<UInt8>) -> String { String(decoding: unescaped(field), as: UTF8.self) }
            return Mount(point: text(fields[4]), device: text(fields[2]), root: text(fields[3]))
        }
    }

    /// The deepest mount point above a path that shows something else than what is beneath it.
    static func point(of path: String, in mounts: [Mount]) -> String? {
        func isBelow(_ path: String, _ point: String) -> Bool { path == point || path.hasPrefix(point == "/" ? "/" : point + "/") }
        // Of several at one place the last shows.
        let above = Dictionary(mounts.filter { isBelow(path, $0.point) }.map { ($0.point, $0) }, uniquingKeysWith: { $1 })
            .values.sorted { $0.point.utf8.count > $1.point.utf8.count }
        for (index, mount) in above.enumerated() {
            guard index + 1 < above.count else { return mount.point }
            let outer = above[index + 1]
            let inside = mount.point.dropFirst(outer.point == "/" ? 0 : outer.point.utf8.count)
            let shown = (outer.root == "/" ? "" : outer.root) + inside
            if mount.device != outer.device || mount.root != shown { return mount.point }
        }
        return nil
    }

    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var (result, rest): ([UInt8], ArraySlice<UInt8>) = ([], field)
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
                result.append(value)
                rest = rest.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return result
    }

    /// Without symbolic links. Blocks. Nil: it isn't there, or can't be told.
    static func canonical(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }
}

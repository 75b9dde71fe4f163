import Glibc

/// Which file systems are mounted, and where. S10: an empty directory under which a disk should be is no lost one: seeded
/// there, a member would fill the disk above and be two members when the disk comes back.
package enum MountTable {
    /// The mount points that `paths` lie on, in their order, each once; the root's is left out. Nil: it can't be told.
    package static func points(of paths: [String]) -> [String]? {
        guard let mounted else { return nil }
        var found: [String] = []
        for path in paths {
            guard let real = canonical(path) else { return nil }
            let point = mounted.filter { real == $0 || real.hasPrefix($0 == "/" ? "/" : $0 + "/") }.max { $0.utf8.count < $1.utf8.count }
            if let point, point != "/", !found.contains(point) { found.append(point) }
        }
        return found
    }

    /// The first of `points` where nothing is mounted now. Nil: none, or it can't be told.
    package static func missing(of points: [String]) -> String? {
        guard let mounted else { return nil }
        return points.first { !mounted.contains($0) }
    }

    /// The fifth field of each line of /proc/self/mountinfo (proc(5)); spaces and the like are written in octal.
    private static var mounted: Set<String>? {
        guard let bytes = ProcessTable.small("/proc/self/mountinfo") else { return nil }
        return Set(
            bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
                let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
                return fields.count > 4 ? String(decoding: unescaped(fields[4]), as: UTF8.self) : nil
            })
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

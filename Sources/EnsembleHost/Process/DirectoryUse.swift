import CLinux
import Glibc
import KeeperStorage

/// S3: whether a process serves from a member's directories, whoever started it. The supervisor's word is about the
/// processes that it knows; a person may have started a server by hand, with a configuration of its own.
///
/// Three things are looked for, because none is always to be seen: the bundled server's lock (/proc/locks, which anybody may
/// read), a file of the directories that is open for writing (not of a process with more rights than this daemon has, as
/// under its unit), and an Apache server whose configuration names them (it locks nothing, and opens no log before its first
/// write). Paths alone prove nothing: another container has its own file of that name.
package enum DirectoryUse {
    package struct Server: Hashable, Sendable, CustomStringConvertible {
        package var pid: Int32
        package var program: String
        /// By what it is known.
        package var file: String

        package var description: String { "process \(pid) (\(program)) has \(file)" }
    }

    /// The first that is found. Blocks; reads /proc and, of other servers, their configurations.
    ///
    /// - Parameter directories: the data directory and the log directory.
    package static func find(_ directories: [String]) -> Server? {
        let real = Set(directories.compactMap(MountTable.canonical)).sorted()
        guard !real.isEmpty else { return nil }
        let locked = lockHolder(in: real)
        for pid in ((try? Directory.names("/proc")) ?? []).compactMap({ Int32($0) }).sorted() where pid != getpid() {
            let lock = locked?.pid == pid ? locked?.file : nil
            if let file = lock ?? fileWritten(by: pid, in: real) ?? configuration(of: pid, naming: real) {
                let program = ProcessTable.arguments(of: pid).first.map { String($0.split(separator: "/").last ?? "") } ?? ""
                return Server(pid: pid, program: program, file: file)
            }
        }
        return nil
    }

    // MARK: A lock

    /// Lines of /proc/locks (proc_locks(5)): `1: FLOCK  ADVISORY  WRITE 1234 fe:00:131073 0 EOF`.
    private static func lockHolder(in directories: [String]) -> (pid: Int32, file: String)? {
        let files = directories.compactMap { directory -> (key: String, file: String)? in
            let file = directory + "/server.lock"
            return identity(of: file).map { ($0.inLocks, file) }
        }
        guard !files.isEmpty, let bytes = ProcessTable.small("/proc/locks") else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[1] == "FLOCK", let pid = Int32(fields[4]) else { continue }
            // Members on disks of their own have the same inode for it. btrfs and overlays tell another device here than
            // stat(2) does, and their locks aren't seen.
            if let found = files.first(where: { $0.key == fields[5] }), pid != getpid() { return (pid, found.file) }
        }
        return nil
    }

    // MARK: A file that is open

    private static func fileWritten(by pid: Int32, in directories: [String]) -> String? {
        for name in (try? Directory.names("/proc/\(pid)/fd")) ?? [] {
            let link = "/proc/\(pid)/fd/\(name)"
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink(link, &buffer, buffer.count)
            guard count > 0 else { continue }
            let path = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let directory = directories.first { path.hasPrefix($0 + "/version-2/") || path == $0 + "/server.lock" }
            if let directory, isOpenForWriting(pid, name), isSame(link, path, in: directory) { return path }
        }
        return nil
    }

    /// Backups and people read.
    private static func isOpenForWriting(_ pid: Int32, _ descriptor: String) -> Bool {
        guard let bytes = ProcessTable.small("/proc/\(pid)/fdinfo/\(descriptor)") else { return false }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("flags:") }
        guard let flags = line.flatMap({ Int32($0.dropFirst(6).drop { $0 == "\t" || $0 == " " }, radix: 8) }) else { return false }
        return flags & O_ACCMODE != O_RDONLY
    }

    /// The file that is open is the one of this name here; of one that was removed the file system must do.
    private static func isSame(_ link: String, _ path: String, in directory: String) -> Bool {
        guard let open = identity(of: link) else { return false }
        if path.hasSuffix(" (deleted)") { return identity(of: directory)?.device == open.device }
        return identity(of: path).map { $0 == open } ?? false
    }

    // MARK: A configuration

    private static func configuration(of pid: Int32, naming directories: [String]) -> String? {
        let arguments = ProcessTable.arguments(of: pid)
        let names = ["QuorumPeerMain", "ZooKeeperServerMain"]
        guard let main = arguments.firstIndex(where: { argument in names.contains { argument.hasSuffix("." + $0) } }),
            let file = arguments[arguments.index(after: main)...].first
        else { return nil }
        // What the process sees is below its root, where this daemon may look there.
        let root = identity(of: "/proc/\(pid)/root/") == nil ? "" : "/proc/\(pid)/root"
        guard let bytes = (try? Directory.content(of: root + file)) ?? nil else { return nil }
        let own = directories.compactMap(identity)
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            for key in ["dataDir=", "dataLogDir="] where line.hasPrefix(key) {
                if let found = identity(of: root + line.dropFirst(key.count)), own.contains(where: { $0 == found }) { return file }
            }
        }
        return nil
    }

    private struct Identity: Equatable {
        var device: UInt64
        var inode: UInt64

        /// `fe:00:131073`: major and minor number (makedev(3)) in hexadecimal, of two digits at least.
        var inLocks: String {
            let major = (device >> 8) & 0xfff | (device >> 32) & ~0xfff
            let minor = device & 0xff | (device >> 12) & ~0xff
            let parts = [major, minor].map { number in
                let digits = String(number, radix: 16)
                return digits.utf8.count < 2 ? "0" + digits : digits
            }
            return "\(parts[0]):\(parts[1]):\(inode)"
        }
    }

    private static func identity(of path: String) -> Identity? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}

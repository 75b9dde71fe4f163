import Glibc
import KeeperStorage

/// S3: whether a process serves from a member's directories, whoever started it. The supervisor's word is about the
/// processes that it knows; a person may have started a server by hand, with a configuration of its own.
///
/// What is looked for: a file of the directories that is open for writing (a log, the bundled server's lock), and an
/// Apache server whose configuration names them, because it opens no log before its first write. A process whose
/// descriptors this daemon may not see (another user's, without CAP_SYS_PTRACE) is known by the second only.
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
        let real = Set(directories.compactMap(MountTable.canonical))
        guard !real.isEmpty else { return nil }
        for pid in ((try? Directory.names("/proc")) ?? []).compactMap({ Int32($0) }).sorted() where pid != getpid() {
            if let file = fileWritten(by: pid, in: real) ?? configuration(of: pid, naming: real) {
                let program = ProcessTable.arguments(of: pid).first.map { String($0.split(separator: "/").last ?? "") } ?? ""
                return Server(pid: pid, program: program, file: file)
            }
        }
        return nil
    }

    private static func fileWritten(by pid: Int32, in directories: Set<String>) -> String? {
        for name in (try? Directory.names("/proc/\(pid)/fd")) ?? [] {
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/\(pid)/fd/\(name)", &buffer, buffer.count)
            guard count > 0 else { continue }
            let path = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let isOurs = directories.contains { path.hasPrefix($0 + "/version-2/") || path == $0 + "/server.lock" }
            if isOurs, isOpenForWriting(pid, name) { return path }
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

    private static func configuration(of pid: Int32, naming directories: Set<String>) -> String? {
        let arguments = ProcessTable.arguments(of: pid)
        let names = ["QuorumPeerMain", "ZooKeeperServerMain"]
        guard let main = arguments.firstIndex(where: { argument in names.contains { argument.hasSuffix("." + $0) } }),
            let file = arguments[arguments.index(after: main)...].first, let bytes = (try? Directory.content(of: file)) ?? nil
        else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            for key in ["dataDir=", "dataLogDir="] where line.hasPrefix(key) {
                if let path = MountTable.canonical(String(line.dropFirst(key.count))), directories.contains(path) { return file }
            }
        }
        return nil
    }
}

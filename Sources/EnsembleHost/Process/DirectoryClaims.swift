import CLinux
import EnsembleControl
import Glibc
import NIOConcurrencyHelpers

/// S3: one daemon at a time runs the members of a directory, whatever state directory it has (issue 9, B16). Two would restart,
/// move and seed what is the other's.
///
/// A claim is a name in the kernel, made of the directory's device and inode: a socket in the abstract namespace (unix(7)). It
/// goes with the daemon, however that ends; no file of the directory is open for it, so that a disk can be unmounted; and
/// whatever path leads to the directory, it is the same name. Another daemon in another network namespace is not seen.
package final class DirectoryClaims: Sendable {
    private struct Claim {
        var name: String
        var descriptor: Int32
    }

    /// By path.
    private let claims = NIOLockedValueBox<[String: Claim]>([:])

    package init() {}

    deinit { for claim in claims.withLockedValue({ $0 }).values { close(claim.descriptor) } }

    /// Claims those of `directories` that are there. What was made anew since it was claimed is claimed anew. Blocks.
    ///
    /// - Returns: the descriptors that hold them: whoever has a copy of one holds the claim as well.
    /// - Throws: when another daemon has one of them.
    @discardableResult
    package func take(_ directories: [String], of member: MemberID) throws(HostError) -> [Int32] {
        var held: [Int32] = []
        for path in directories {
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            let name = "ensembled-" + String(UInt64(status.st_dev), radix: 16) + "-" + String(UInt64(status.st_ino), radix: 16)
            // Log and data may be one directory, by two paths.
            if let taken = claims.withLockedValue({ claims in claims.values.first { $0.name == name } }) {
                held.append(taken.descriptor)
                continue
            }
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard descriptor >= 0 else { continue }
            guard Self.withAddress(of: name, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 1) == 0 else {
                close(descriptor)
                if let holder = Self.holder(of: name) { throw Self.error(path, member, holder) }
                continue
            }
            let former = claims.withLockedValue { $0.updateValue(Claim(name: name, descriptor: descriptor), forKey: path) }
            if let former { close(former.descriptor) }
            held.append(descriptor)
        }
        return held
    }

    private static func error(_ path: String, _ member: MemberID, _ holder: Int32) -> HostError {
        HostError(
            path, "is the directory of member \(member), and another daemon runs it: process \(holder)",
            remedy: "stop that daemon, or give each cluster directories of its own", exitStatus: 75)
    }

    /// The daemon that has it; nil: nobody, or somebody without the right to keep a daemon from anything. Anybody may take a
    /// name.
    private static func holder(of name: String) -> Int32? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // A full backlog is said as EAGAIN: somebody listens, and does not say who he is.
        guard withAddress(of: name, { connect(descriptor, $0, $1) }) == 0 else { return nil }
        var peer = PeerCredentials()
        var length = socklen_t(MemoryLayout<PeerCredentials>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0, peer.uid == 0 || peer.uid == geteuid() else { return nil }
        return peer.pid
    }

    private static func withAddress(of name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // The first byte is NUL, and the name has no end but its length.
        let bytes = Array(name.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            for (index, byte) in bytes.enumerated() where index + 1 < path.count { path[index + 1] = byte }
        }
        let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + 1 + bytes.count)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}

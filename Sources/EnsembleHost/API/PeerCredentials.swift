import Glibc

/// `struct ucred` of socket(7).
struct PeerCredentials: Sendable {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0

    /// Root and the daemon's own user may change; others if their group is the one that the manifest names. Whoever
    /// reaches the socket at all may read.
    var isTrusted: Bool { uid == 0 || uid == geteuid() }

    /// Blocks.
    func belongs(to group: gid_t) -> Bool { gid == group || groupsOfUser.contains(group) }

    /// The kernel's word is the peer's own group only; whoever "joined the group" has it beside that one, in the
    /// host's group database.
    private var groupsOfUser: [gid_t] {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(uid, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name else {
            return []
        }
        var groups = [gid_t](repeating: 0, count: 256)
        var count = Int32(groups.count)
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return [] }
        return Array(groups.prefix(Int(count)))
    }
}

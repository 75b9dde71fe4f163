import CLinux
import EnsembleBase
import EnsembleControl
import Glibc
import KeeperStorage

/// Whether the members' disks can take what a restore writes: a cluster that is down because one of them is full, or read-only,
/// was well before (issue 9, B10). Asked of the disks themselves, by writing.
extension EffectRunner {
    func checkRoom(for backup: String) async throws {
        let cluster = cluster
        let size = try await lanes.catalog.run("the size of \(backup)", within: .seconds(20)) { [self] in
            try worker.run(SizeBackup(effects: effects, backup: backup), wanted)
        }
        var room = RestoreRoom()
        for member in cluster.members {
            let demands = member.logDirectory == member.dataDirectory
                ? [(member.dataDirectory, size.snapshots + size.logs)]
                : [(member.dataDirectory, size.snapshots), (member.logDirectory, size.logs)]
            let found = try await lanes.member(member.id).run("a look at its disks", within: .seconds(20)) { [self] in
                try requireMounted(member)
                try RestoreRoom.tryWriting(in: cluster.backups.quarantinePath, of: member.id)
                return try demands.map { path, bytes in
                    try RestoreRoom.tryWriting(in: path, of: member.id)
                    return (try RestoreRoom.disk(of: path), bytes)
                }
            }
            for (disk, bytes) in found { try room.demand(bytes, of: member.id, on: disk) }
        }
    }
}

/// What is asked of each disk, of all members that are on it.
package struct RestoreRoom {
    package struct Disk: Hashable, Sendable {
        package var device: UInt64
        /// Where it was looked at.
        package var path: String
        /// Bytes that may still be written there.
        package var free: Int64

        package init(device: UInt64, path: String, free: Int64) {
            self.device = device
            self.path = path
            self.free = free
        }
    }

    /// What a server needs beside its data before it has taken its first snapshot: a preallocated log.
    package static let slack: Int64 = 64 << 20

    private var demanded: [UInt64: Int64] = [:]

    package init() {}

    /// - Throws: where all that was demanded so far is more than there is. What goes to quarantine stays on the disk (S6).
    package mutating func demand(_ bytes: Int64, of member: Int, on disk: Disk) throws(HostError) {
        let total = demanded[disk.device, default: 0] + bytes + RestoreRoom.slack
        demanded[disk.device] = total
        guard total > disk.free else { return }
        throw HostError(
            disk.path, "has \(disk.free >> 20) MiB free, and the members up to \(member) that are on it need \(total >> 20) MiB",
            remedy: "make room on that disk; what the members have now is kept in quarantine")
    }

    /// Blocks.
    static func disk(of path: String) throws -> Disk {
        let place = existing(path)
        var (status, room) = (stat(), statvfs())
        guard stat(place, &status) == 0, statvfs(place, &room) == 0 else {
            throw HostError(place, "can't be looked at: \(String(cString: strerror(errno)))", remedy: "look at the disk that it is on")
        }
        // What is kept for root is not counted on: the members may run as somebody else.
        return Disk(device: UInt64(status.st_dev), path: place, free: Int64(clamping: UInt64(room.f_bavail) * UInt64(room.f_frsize)))
    }

    /// Rights, read-only mounts, quotas and a lack of inodes are found by doing it. Blocks.
    package static func tryWriting(in path: String, of member: Int) throws {
        let file = existing(path) + "/.ensembled-\(member).probe"
        do throws(StorageError) {
            try Directory.replace(file: file, with: [0])
            try Directory.remove(file: file)
        } catch {
            try? Directory.remove(file: file)
            throw HostError(path, "can't be written for member \(member): \(error.description)", remedy: "mend that first")
        }
    }

    /// The nearest directory above that is there: what is missing is made in it.
    private static func existing(_ path: String) -> String {
        var path = path
        while !Directory.exists(path), Directory.parent(of: path) != path { path = Directory.parent(of: path) }
        return path
    }
}

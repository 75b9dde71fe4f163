import EnsembleBase

/// Where data goes that a reseed or a restore replaces (S6): moved, never copied, never deleted here.
package enum Quarantine {
    /// Why, for whoever looks at it later.
    package struct Reason: Hashable, Sendable, Codable {
        package var cluster: String
        package var member: Int64
        /// Where it came from.
        package var path: String
        /// One sentence.
        package var cause: String
        package var movedAt: WallTime

        package init(cluster: String, member: Int64, path: String, cause: String, movedAt: WallTime) {
            self.cluster = cluster
            self.member = member
            self.path = path
            self.cause = cause
            self.movedAt = movedAt
        }
    }

    package struct Entry: Hashable, Sendable {
        /// The directory that holds `reason.json` and the data.
        package var path: String
        /// Nil if the reason cannot be read.
        package var reason: Reason?
    }

    /// Most entries of one second in one root.
    private static let collisionLimit = 1000

    /// Moves `reason.path` to `<root>/<time>/<its name>` by one rename, after the reason is durable beside it.
    ///
    /// - Returns: where it is now.
    /// - Throws: `.otherFileSystem` if `root` is on another one than the data, `.inputOutput` for what else goes wrong;
    ///   the data is then untouched, and nothing is left in `root`.
    package static func move(_ reason: Reason, into root: String, disk: Disk = .real) throws(BackupError) -> String {
        guard fileKind(reason.path) != .absent, let slash = reason.path.lastIndex(of: "/") else {
            throw BackupError(
                .missing, file: reason.path, problem: "is not there to be moved", remedy: "give the full path of what exists")
        }
        try disk.makeDirectories(root)
        let holder = try newHolder(in: root, at: reason.movedAt, disk: disk)
        let target = holder + reason.path[slash...]
        do throws(BackupError) {
            try disk.publish(try CatalogJSON.encode(reason), as: holder + "/reason.json")
            // S6: rename or fail. EXDEV says so; copying and deleting could lose both.
            try disk.rename(reason.path, to: target)
        } catch {
            // Whoever moves again and again must not fill the disk with reasons for what never moved. If the rename
            // itself was done, the holder is not empty and stays.
            if fileKind(target) == .absent {
                for path in [holder + "/reason.json.tmp", holder + "/reason.json", holder] { try? disk.remove(path) }
            }
            throw error
        }
        return target
    }

    /// The newest `limit` entries, newest first. Directories whose move never happened are not entries.
    package static func list(_ root: String, limit: Int = 100) throws(BackupError) -> [Entry] {
        guard fileKind(root) == .directory else { return [] }
        var entries: [Entry] = []
        for name in try directoryEntries(root).reversed() where CivilTime(compact: name.prefix(16)) != nil {
            if entries.count == limit { break }
            let path = "\(root)/\(name)"
            guard try directoryEntries(path).contains(where: { !$0.hasPrefix("reason.json") }) else { continue }
            let file = path + "/reason.json"
            let bytes = try readSmallFile(file, limit: 1 << 20)
            entries.append(Entry(path: path, reason: bytes.flatMap { try? CatalogJSON.decode(Reason.self, $0, file: file) }))
        }
        return entries
    }

    private static func newHolder(in root: String, at time: WallTime, disk: Disk) throws(BackupError) -> String {
        for number in 0..<collisionLimit {
            let digits = String(number)
            let suffix = String(repeating: "0", count: 3 - digits.count) + digits
            let path = "\(root)/\(CivilTime(time).compact)-\(suffix)"
            if try disk.makeNewDirectory(path) { return path }
        }
        throw BackupError(
            .refused, file: root, problem: "holds \(collisionLimit) entries of this second", remedy: "see what moves data so often")
    }
}

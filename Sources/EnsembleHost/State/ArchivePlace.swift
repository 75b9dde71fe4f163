/// Where the archive is, as it was seen last: `archive.json` of the state directory.
package struct ArchivePlace: Hashable, Sendable, Codable {
    package var path: String
    /// The mount points that it lay on.
    package var mounts: [String]

    package static let fileName = "archive.json"

    /// S6, S10: under a mount point whose disk is gone there is no archive, whatever lies there: retention would count what is
    /// put there as all that there is, and nobody would miss the backups of years.
    func requireMounted() throws(HostError) {
        guard let point = MountTable.missing(of: mounts) else { return }
        throw HostError(
            point, "nothing is mounted there, and the archive \(path) was on what was",
            remedy: "mount it; if the archive is to be where it is now, remove \(Self.fileName) from the daemon's state directory")
    }
}

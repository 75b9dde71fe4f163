/// The directories that a restore fills: `version-2` by way of `version-2.restoring`.
struct RestoreTarget {
    let dataDirectory: String
    let logDirectory: String
    let disk: Disk

    var dataStaging: String { dataDirectory + "/version-2.restoring" }
    var logStaging: String { logDirectory + "/version-2.restoring" }
    /// One or two.
    var stagings: [String] { dataDirectory == logDirectory ? [dataStaging] : [dataStaging, logStaging] }

    /// Never overwrites: S6 makes moving the remains aside a step of its own.
    func requireEmpty() throws(BackupError) {
        for directory in Set([dataDirectory, logDirectory]).sorted() {
            let path = directory + "/version-2"
            let kind = fileKind(path)
            if kind == .absent { continue }
            guard kind == .directory, try directoryEntries(path).isEmpty else {
                throw BackupError(
                    .refused, file: path, problem: "is not empty, and a restore never overwrites",
                    remedy: "move it to quarantine first")
            }
        }
    }

    /// What an earlier restore left when it died: copies of the archive, made by nobody else.
    func clearStaging() throws(BackupError) {
        for staging in stagings where fileKind(staging) != .absent { try disk.removeTree(staging) }
    }

    func begin() throws(BackupError) {
        for staging in stagings { try disk.makeDirectories(staging) }
    }

    /// Gives the directories their names. With two of them the logs come first: logs without a snapshot are refused by
    /// every server (reference/zookeeper.md, 2.5, item 4), whereas a snapshot without its logs would pass for an older,
    /// whole state.
    func finish() throws(BackupError) {
        for staging in stagings { try disk.syncDirectory(staging) }
        if dataDirectory != logDirectory { try disk.rename(logStaging, to: logDirectory + "/version-2") }
        try disk.rename(dataStaging, to: dataDirectory + "/version-2")
    }
}

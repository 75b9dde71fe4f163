import KeeperCore

/// S6: files that something has replaced are moved out of sight, not removed.
enum SetAside {
    /// Moves files of `directory` into its `set-aside`. Durable on return.
    static func move(
        _ superseded: [NumberedFile], of directory: String, in files: any FileSystem
    ) throws(StorageError) {
        if superseded.isEmpty { return }
        let target = directory + "/" + DataLayout.setAsideName
        try files.createDirectory(target)
        for file in superseded {
            var path = target + "/" + file.name
            var number = 1
            while try files.exists(path) {
                path = target + "/" + file.name + "-\(number)"
                number += 1
            }
            try files.move(file.path, to: path)
        }
        try files.syncDirectory(target)
        try files.syncDirectory(directory)
    }
}

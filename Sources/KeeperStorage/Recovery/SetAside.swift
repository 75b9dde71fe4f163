import KeeperCore

/// S6: files that something has replaced are moved out of sight, not removed.
enum SetAside {
    /// Moves files of `directory` into its `set-aside`. Durable on return.
    static func move(_ files: [NumberedFile], of directory: String) throws(StorageError) {
        if files.isEmpty { return }
        let target = directory + "/" + DataLayout.setAsideName
        try Directory.create(target)
        for file in files {
            var path = target + "/" + file.name
            var number = 1
            while Directory.exists(path) {
                path = target + "/" + file.name + "-\(number)"
                number += 1
            }
            try Directory.move(file.path, to: path)
        }
        try Directory.sync(target)
        try Directory.sync(directory)
    }
}

import Glibc

/// Operations on directories and whole files, by path.
package enum Directory {
    /// The names in it, sorted, without "." and "..".
    package static func names(_ path: String) throws(StorageError) -> [String] {
        guard let stream = opendir(path) else { throw .system("open directory", path) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw .system("read directory", path) }
        return names.sorted()
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes the directory and those above it, each durably.
    package static func create(_ path: String) throws(StorageError) {
        if exists(path) { return }
        let parent = self.parent(of: path)
        if parent != path { try create(parent) }
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else { throw .system("make directory", path) }
        try sync(parent)
    }

    /// Makes creations, renames and removals in it durable.
    package static func sync(_ path: String) throws(StorageError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open directory", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("fsync of directory", path) }
    }

    /// Not durable before `sync` of both directories.
    package static func move(_ source: String, to target: String) throws(StorageError) {
        guard rename(source, target) == 0 else { throw .system("rename to \(target)", source) }
    }

    /// Not durable before `sync`. A file that isn't there is no error.
    package static func remove(file path: String) throws(StorageError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove", path) }
    }

    /// Replaces a small file as a whole: at every moment, also after a crash, it holds the old content or the new.
    package static func replace(file path: String, with bytes: [UInt8]) throws(StorageError) {
        let temporary = path + ".tmp"
        let file = try File.replace(temporary)
        try file.write(bytes, at: 0)
        try file.sync()
        try move(temporary, to: path)
        try sync(parent(of: path))
    }

    /// The content of a small file; nil if there is none. S10: one that can't be reached is an error, not absent.
    package static func content(of path: String) throws(StorageError) -> [UInt8]? {
        let file: File
        do throws(StorageError) {
            file = try File.openForReading(path)
        } catch {
            if case .system(_, ENOENT) = error.cause { return nil }
            throw error
        }
        return try file.readAll()
    }

    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

import Glibc
import KeeperStorage

/// An open file of a `FaultyDisk`: goes on to lead to its content when the name is gone.
package final class FaultyFile: OpenFile {
    /// What needs no name.
    static let operations: Set<String> = ["seek", "read", "write", "truncate", "fsync", "fdatasync", "sync_file_range"]

    package let path: String
    private let disk: FaultyDisk
    private let number: Int
    private let isLog: Bool

    package init(_ disk: FaultyDisk, _ path: String, number: Int) {
        isLog = DiskNames.name(of: path).hasPrefix("log.")
        self.disk = disk
        self.path = path
        self.number = number
    }

    package func size() throws(StorageError) -> Int {
        try run("seek") { state throws(StorageError) in state.files[number]!.size }
    }

    package func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
        try run("read") { state throws(StorageError) in
            guard let bytes = state.files[number]!.read(count: count, at: offset) else { throw .disk("read", path, EIO) }
            let isWhole = state.faults.lies.contains(.wholeReads)
            state.faults.read(isWhole ? state.files[number]!.size : bytes.count, of: path)
            return bytes
        }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        try run("write") { state throws(StorageError) in
            if state.faults.failsNextWrite {
                state.faults.failWrite()
                state.files[number]!.write(UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count / 2)]), at: offset)
                throw .disk("write", path, EIO)
            }
            if state.faults.isFull, offset + bytes.count > state.files[number]!.size { throw state.faults.full("write", path) }
            state.files[number]!.write(bytes, at: offset)
            if isLog { state.wrote(bytes, toLog: number, path) }
        }
    }

    package func truncate(to size: Int) throws(StorageError) {
        try run("truncate") { state throws(StorageError) in
            if isLog { state.cut(log: number, to: size, path) }
            state.files[number]!.truncate(to: size)
        }
    }

    package func reserve(upTo size: Int) {}

    package func sync() throws(StorageError) { try sync("fsync") }

    package func syncData() throws(StorageError) { try sync("fdatasync") }

    package func writeBack(_ range: Range<Int>) throws(StorageError) { try run("sync_file_range") { _ in } }

    private func sync(_ operation: String) throws(StorageError) {
        try run(operation) { state throws(StorageError) in
            do throws(StorageError) { try state.faults.beginSync(operation, path) } catch {
                // The kernel gives up the pages that it could not write, and says so once.
                state.files[number]!.cutPower(using: &state.random)
                if state.faults.lies.contains(.failures) { return }
                throw error
            }
            if !state.faults.lies.isDisjoint(with: DiskLies.sync(of: path)) { return }
            state.files[number]!.sync()
        }
    }

    private func run<Result>(
        _ operation: String, _ body: (inout FaultyDisk.State) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        try disk.run(operation, path) { state throws(StorageError) in
            // Its process has ended, and with it what it had open.
            guard state.files[number] != nil else { throw .disk(operation, path, EBADF) }
            return try body(&state)
        }
    }
}

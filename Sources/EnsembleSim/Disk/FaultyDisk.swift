import EnsembleBase
import Glibc
import KeeperStorage
import NIOConcurrencyHelpers

/// One member's disk, in memory: everything that real storage asks of a file system, and the ways in which it fails.
///
/// Deterministic: what is left to chance follows from the seed. A path is what storage makes of it; the root exists.
package final class FaultyDisk: FileSystem {
    struct State: Sendable {
        var random: SeededRandom
        var names = DiskNames()
        var files: [Int: DiskFile] = [:]
        var fileCount = 0
        var faults = DiskFaults()
        var view = DurableView()
        var lock = LockState()
        /// The first operation that breaks a rule (`DiskRules`), in words.
        var offence: String?
    }

    let state: NIOLockedValueBox<State>

    package init(seed: UInt64) { state = NIOLockedValueBox(State(random: SeededRandom(seed: seed))) }

    /// The first operation that storage must not have asked for, in words.
    package var offence: String? { state.withLockedValue { $0.offence } }

    /// What goes wrong.
    package var faults: DiskFaults {
        get { state.withLockedValue { $0.faults } }
        set { state.withLockedValue { $0.faults = newValue } }
    }

    /// Every operation begins here: whoever crashes in the midst of a job does so between two of them.
    func run<Result>(
        _ operation: String, _ path: String, _ body: (inout State) throws(StorageError) -> Result
    ) throws(StorageError) -> Result {
        let outcome = state.withLockedValue { state -> Swift.Result<Result, StorageError> in
            do throws(StorageError) {
                try state.faults.begin(operation, path)
                return .success(try body(&state))
            } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    // MARK: Names

    package func names(_ directory: String) throws(StorageError) -> [String] {
        try run("open directory", directory) { state throws(StorageError) in
            guard state.names[directory] == .directory else { throw .disk("open directory", directory, ENOENT) }
            return state.names.names(in: directory)
        }
    }

    package func exists(_ path: String) throws(StorageError) -> Bool {
        try run("look for", path) { state in state.names[path] != nil }
    }

    package func open(_ path: String, _ mode: OpenMode) throws(StorageError) -> any OpenFile {
        switch mode {
        case .reading, .writing: FaultyFile(self, path, number: try openExisting(path))
        case .creating: FaultyFile(self, path, number: try create(path, isNew: true))
        case .replacing, .replacingPrivately: FaultyFile(self, path, number: try create(path, isNew: false))
        }
    }

    package func makeDirectory(_ path: String) throws(StorageError) {
        try run("make directory", path) { state throws(StorageError) in
            if state.names[path] != nil { return }
            guard state.names[DiskNames.parent(of: path)] == .directory else { throw .disk("make directory", path, ENOENT) }
            if state.faults.isFull { throw state.faults.full("make directory", path) }
            state.names.add(path, .directory)
        }
    }

    package func syncDirectory(_ path: String) throws(StorageError) {
        try run("fsync of directory", path) { state throws(StorageError) in
            guard state.names[path] == .directory else { throw .disk("open directory", path, ENOENT) }
            try state.faults.beginSync("fsync of directory", path)
            if !state.faults.lies.contains(.directorySyncs) { state.names.sync(path) }
        }
    }

    package func move(_ source: String, to target: String) throws(StorageError) {
        try run("rename to \(target)", source) { state throws(StorageError) in
            if !state.faults.lies.isDisjoint(with: DiskLies.name(target)) { return state.names.remove(source) }
            guard state.names[source] != nil, state.names[DiskNames.parent(of: target)] == .directory else {
                throw .disk("rename to \(target)", source, ENOENT)
            }
            state.named(source, as: target)
            state.names.move(source, to: target)
        }
    }

    package func remove(_ path: String) throws(StorageError) {
        try run("remove", path) { state throws(StorageError) in
            guard state.names[path] != nil else { return }
            state.removes(path)
            state.names.remove(path)
        }
    }

    /// One process at a time has the member's directories. It is the kernel's memory, not the disk's: gone with the process.
    package func lock(_ directories: [String]) throws(StorageError) -> any DirectoryLock {
        try run("flock", directories.first ?? "") { state throws(StorageError) in
            guard !state.lock.isHeld else {
                throw StorageError(path: directories.first ?? "", cause: .held(by: nil), remedy: "none: the disk is simulated")
            }
            return FaultyLock(self, number: state.lock.take())
        }
    }

    fileprivate func unlock(_ number: Int) { state.withLockedValue { $0.lock.release(number) } }

    // MARK: Files

    /// The number of the file's content.
    package func openExisting(_ path: String) throws(StorageError) -> Int {
        try run("open", path) { state throws(StorageError) in
            guard case .file(let number)? = state.names[path] else { throw .disk("open", path, ENOENT) }
            return number
        }
    }

    /// - Parameter isNew: fails where there is one.
    package func create(_ path: String, isNew: Bool) throws(StorageError) -> Int {
        try run("create", path) { state throws(StorageError) in
            if case .file(let number)? = state.names[path] {
                if isNew { throw .disk("create", path, EEXIST) }
                state.files[number]!.truncate(to: 0)
                return number
            }
            guard state.names[DiskNames.parent(of: path)] == .directory else { throw .disk("create", path, ENOENT) }
            if state.faults.isFull { throw state.faults.full("create", path) }
            state.fileCount += 1
            state.files[state.fileCount] = DiskFile()
            state.names.add(path, .file(state.fileCount))
            return state.fileCount
        }
    }

    // MARK: Ends

    /// The process is gone, and the machine runs on: what was written is there.
    package func endProcess() {
        state.withLockedValue { state in
            state.faults.ended()
            state.lock.release()
            state.dropUnreachable()
        }
    }

    /// A machine that runs on writes everything back in its time.
    package func writeBack() {
        state.withLockedValue { state in
            state.names.settle()
            for number in state.files.keys { state.files[number]!.sync() }
        }
    }

    /// The machine is gone: of what was not synced something is left.
    package func cutPower() {
        state.withLockedValue { state in
            state.faults.ended()
            state.lock.release()
            state.names.cutPower(using: &state.random)
            state.dropUnreachable()
            for number in state.files.keys.sorted() { state.files[number]!.cutPower(using: &state.random) }
        }
    }
}

/// Who has the directories.
struct LockState: Sendable {
    private var holder: Int?
    private var count = 0

    var isHeld: Bool { holder != nil }

    mutating func take() -> Int {
        count += 1
        holder = count
        return count
    }

    /// - Parameter number: whose; another's stays as it is. nil: whoever has it.
    mutating func release(_ number: Int? = nil) {
        if number == nil || number == holder { holder = nil }
    }
}

private final class FaultyLock: DirectoryLock {
    private let disk: FaultyDisk
    private let number: Int

    init(_ disk: FaultyDisk, number: Int) {
        self.disk = disk
        self.number = number
    }

    deinit { disk.unlock(number) }
}

extension FaultyDisk.State {
    mutating func dropUnreachable() {
        let reachable = names.reachable
        files = files.filter { reachable.contains($0.key) }
    }
}

/// What goes wrong on a disk from now on.
package struct DiskFaults: Sendable {
    /// The process ends before the operation after so many more: that one and all later ones fail without effect.
    package var operationsLeft: Int?
    /// The same, of operations that change something.
    package var changesLeft: Int?
    /// Nothing grows.
    package var isFull = false
    /// The next sync fails, and the kernel gives up what it was for.
    package var failsNextSync = false
    /// The next write fails, of which a part may be there.
    package var failsNextWrite = false
    /// The directory is no longer in its place: what is open is written on, and no name leads anywhere.
    package var isGone = false
    package var lies: DiskLies = []
    /// So far.
    package private(set) var operations = 0
    /// The most of a log that was handed out at once since the process began.
    package private(set) var mostReadOfLog = 0
    /// Something has failed since the process began.
    package private(set) var hasFailed = false

    mutating func begin(_ operation: String, _ path: String) throws(StorageError) {
        operations += 1
        if isGone, !FaultyFile.operations.contains(operation) { throw .disk(operation, path, ENOENT) }
        if let left = operationsLeft {
            if left <= 0 { throw .disk(operation, path, EIO) }
            operationsLeft = left - 1
        }
        if let left = changesLeft, !DiskFaults.readings.contains(operation) {
            if left <= 0 { throw .disk(operation, path, EIO) }
            changesLeft = left - 1
        }
    }

    private static let readings: Set<String> = ["open", "open directory", "look for", "seek", "read", "flock"]

    mutating func read(_ count: Int, of path: String) {
        if DiskNames.name(of: path).hasPrefix("log.") { mostReadOfLog = max(mostReadOfLog, count) }
    }

    mutating func beginSync(_ operation: String, _ path: String) throws(StorageError) {
        guard failsNextSync else { return }
        failsNextSync = false
        hasFailed = true
        throw .disk(operation, path, EIO)
    }

    mutating func failWrite() {
        failsNextWrite = false
        hasFailed = true
    }

    mutating func full(_ operation: String, _ path: String) -> StorageError {
        hasFailed = true
        return .disk(operation, path, ENOSPC)
    }

    mutating func ended() {
        operationsLeft = nil
        changesLeft = nil
        failsNextSync = false
        failsNextWrite = false
        hasFailed = false
        mostReadOfLog = 0
    }
}

/// Deliberate bugs: a disk that lies, or storage that does not ask it.
package struct DiskLies: OptionSet, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Syncs of these files, or of any directory, do nothing.
    package static let logSyncs = DiskLies(rawValue: 1)
    package static let epochSyncs = DiskLies(rawValue: 2)
    package static let snapshotSyncs = DiskLies(rawValue: 4)
    package static let directorySyncs = DiskLies(rawValue: 8)
    /// A failed sync passes for one that succeeded.
    package static let failures = DiskLies(rawValue: 16)
    /// A file never gets this name.
    package static let acceptedEpochNames = DiskLies(rawValue: 32)
    package static let currentEpochNames = DiskLies(rawValue: 64)
    /// Whoever reads a piece of a file reads all of it.
    package static let wholeReads = DiskLies(rawValue: 128)

    /// Which of them is about the syncs of this file.
    static func sync(of path: String) -> DiskLies {
        let name = DiskNames.name(of: path)
        // Also before they have it.
        if name.hasPrefix("log.") || name.hasPrefix("writing.log.") { return .logSyncs }
        if name.hasPrefix("snapshot.") || name.hasPrefix("writing.snapshot.") { return .snapshotSyncs }
        return name.hasPrefix("acceptedEpoch") || name.hasPrefix("currentEpoch") ? .epochSyncs : []
    }

    static func name(_ path: String) -> DiskLies {
        switch DiskNames.name(of: path) {
        case "acceptedEpoch": .acceptedEpochNames
        case "currentEpoch": .currentEpochNames
        default: []
        }
    }
}

extension StorageError {
    static func disk(_ operation: String, _ path: String, _ code: Int32) -> StorageError {
        StorageError(path: path, cause: .system(operation: operation, errno: code), remedy: "none: the disk is simulated")
    }
}

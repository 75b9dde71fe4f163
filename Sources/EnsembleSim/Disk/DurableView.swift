import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers

/// What a power cut would surely leave of a member's history, read from the disk and not from what the product says.
///
/// It trusts the bytes: whether they rot is for the product to find out. Logs are read on from where they were read last.
struct DurableView: Sendable {
    private var generation = -1
    /// By content, oldest first.
    private var logs: [Int] = []
    private var newestSnapshot = Zxid.zero
    private var tails: [Int: LogTail] = [:]
    /// They change with a name.
    private var epochs: (generation: Int, value: EpochFiles.Epochs)?

    mutating func end(_ names: DiskNames, _ files: [Int: DiskFile]) -> Zxid {
        if generation != names.generation { list(names) }
        for number in logs.reversed() {
            guard let file = files[number] else { continue }
            if let last = read(number, file) { return max(last, newestSnapshot) }
        }
        return newestSnapshot
    }

    mutating func epochs(_ names: DiskNames, _ files: [Int: DiskFile]) -> EpochFiles.Epochs {
        if let epochs, epochs.generation == names.generation { return epochs.value }
        let directory = SimDisk.dataDir + "/version-2/"
        func numbers(_ name: String) -> [Int64] {
            guard case .file(let number)? = names.durable[directory + name], let file = files[number] else { return [] }
            return String(decoding: file.durable.bytes.prefix(80), as: UTF8.self).split(separator: " ").compactMap { Int64($0) }
        }
        let pending = numbers("installation")
        let value = pending.count == 2
            ? EpochFiles.Epochs(accepted: pending[0], current: pending[1])
            : EpochFiles.Epochs(accepted: numbers("acceptedEpoch").first ?? 0, current: numbers("currentEpoch").first ?? 0)
        epochs = (names.generation, value)
        return value
    }

    private mutating func list(_ names: DiskNames) {
        generation = names.generation
        let directory = SimDisk.dataDir + "/version-2"
        // Files that replace all others count from the record on, wherever they are by then (`Installation`).
        let isPending = names.durable[directory + "/installation"] != nil
        let incoming = directory + "/incoming"
        let newSnapshots = isPending ? DurableView.numbered("snapshot.", in: incoming, names) : []
        let newLogs = isPending ? DurableView.numbered("log.", in: incoming, names) : []
        let snapshots = newSnapshots.isEmpty ? DurableView.numbered("snapshot.", in: directory, names) : newSnapshots
        logs = ((newSnapshots.isEmpty ? DurableView.numbered("log.", in: directory, names) : []) + newLogs).map(\.number)
        newestSnapshot = snapshots.last?.zxid ?? .zero
        tails = tails.filter { logs.contains($0.key) }
    }

    private static func numbered(_ prefix: String, in directory: String, _ names: DiskNames) -> [(zxid: Zxid, number: Int)] {
        var found: [(zxid: Zxid, number: Int)] = []
        for name in names.names(in: directory, isDurable: true) where name.hasPrefix(prefix) {
            // Apache's server may pack its snapshots.
            let digits = name.dropFirst(prefix.count)
            guard let zxid = Int64(digits.hasSuffix(".gz") ? digits.dropLast(3) : digits, radix: 16),
                case .file(let number)? = names.durable[directory + "/" + name]
            else { continue }
            found.append((Zxid(rawValue: zxid), number))
        }
        return found.sorted { $0.zxid < $1.zxid }
    }

    private mutating func read(_ number: Int, _ file: DiskFile) -> Zxid? {
        let end = min(file.unchangedEnd, file.bytes.count)
        var tail = tails[number] ?? LogTail()
        if tail.position > end { tail = LogTail() }
        tail.read(file.bytes, upTo: end)
        tails[number] = tail
        return tail.last
    }
}

extension FaultyDisk {
    var durableEnd: Zxid { state.withLockedValue { $0.view.end($0.names, $0.files) } }

    var durableEpochs: EpochFiles.Epochs { state.withLockedValue { $0.view.epochs($0.names, $0.files) } }

    var isDurablyMarked: Bool {
        state.withLockedValue { $0.names.durable[SimDisk.dataDir + "/version-2/recovering"] != nil }
    }

    /// As a process sees it, without asking the disk.
    func sees(_ path: String) -> Bool { state.withLockedValue { $0.names[path] != nil } }

    var seesHistory: Bool {
        state.withLockedValue { state in
            let directory = SimDisk.dataDir + "/version-2/"
            return state.names.current.keys.contains {
                $0.hasPrefix(directory + "snapshot.") || $0.hasPrefix(directory + "log.")
            }
        }
    }

    /// Bytes that a server reads are not what was written, or can't be read.
    var hasRot: Bool {
        state.withLockedValue { state in
            guard state.files.values.contains(where: \.isRotten) else { return false }
            let aside = SimDisk.dataDir + "/version-2/" + DataLayout.setAsideName
            return state.names.current.contains { path, node in
                guard case .file(let number) = node, !path.hasPrefix(aside) else { return false }
                return state.files[number]?.isRotten ?? false
            }
        }
    }

    func nextSeed() -> UInt64 { state.withLockedValue { $0.random.next() } }
}

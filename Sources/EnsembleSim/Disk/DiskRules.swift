import KeeperCodec
import KeeperCore
import KeeperStorage

/// What storage must never ask of a disk, whatever comes next (`Rule.files`). It is judged at the operation itself, so that no
/// seed has to wait for the one crash that would show it:
///
/// - A log's mark tells the truth: everything before it is durable, whichever version of it a power cut leaves (S1).
/// - What gets its final name is durable, and the record of an installation the last of it (S1).
/// - What is removed is superseded: `Purge.minimum` sound snapshots stay, and every log behind the oldest of them (S6).
extension FaultyDisk.State {
    private mutating func object(_ text: @autoclosure () -> String) { if offence == nil { offence = text() } }

    // MARK: Marks

    /// The field of a log's header in which its mark stands: it changes without the content changing.
    private static let headerMark = FileHeader.databaseOffset..<FileHeader.databaseOffset + 8

    mutating func wrote(_ bytes: UnsafeRawBufferPointer, toLog number: Int, _ path: String) {
        guard let mark = LogMark(atEndOf: bytes), mark.durableEnd > FileHeader.size else { return }
        let durable = files[number]!.unchangedEnd(besides: FaultyDisk.State.headerMark)
        guard mark.durableEnd > durable else { return }
        object("S1: \(path) says that it is durable up to \(mark.durableEnd), and it is up to \(durable)")
    }

    mutating func cut(log number: Int, to size: Int, _ path: String) {
        let file = files[number]!
        let marks = [file.durable, file].compactMap { LogMark(inHeader: $0.bytes) }
        guard let greatest = marks.map(\.durableEnd).max(), greatest > size else { return }
        object("S1: \(path) is cut at \(size), and a power cut may leave a mark of \(greatest) in it")
    }

    // MARK: Names

    mutating func named(_ source: String, as target: String) {
        guard DiskNames.name(of: source).hasPrefix("writing.") || source.hasSuffix(".tmp"), case .file(let number)? = names[source] else { return }
        if !files[number]!.isDurable { object("S1: \(target) gets its name before it is durable") }
        guard target == SimDisk.version2 + "/installation" else { return }
        let incoming = SimDisk.version2 + "/incoming"
        let snapshots = names.names(in: incoming, isDurable: true).filter { NumberedName($0)?.isSnapshot ?? false }
        if snapshots.count != 1 {
            object("S1: an installation counts, and \(snapshots.count) of its snapshots are there")
        }
    }

    // MARK: Removals

    mutating func removes(_ path: String) {
        guard DiskNames.parent(of: path) == SimDisk.version2, let removed = NumberedName(String(DiskNames.name(of: path))),
            case .file(let number)? = names[path]
        else { return }
        let snapshots = names.names(in: SimDisk.version2).compactMap { NumberedName($0) }
            .filter { $0.isSnapshot && $0 != removed }.sorted { $0.zxid < $1.zxid }
        if removed.isSnapshot {
            let sound = snapshots.count { isSound($0, among: snapshots) }
            if sound < Purge.minimum { object("S6: \(path) is removed, and \(sound) sound snapshots are left") }
        } else if !files[number]!.isRotten, let last = LogTail.last(of: files[number]!), last > snapshots.first?.zxid ?? .zero {
            let oldest = snapshots.first?.zxid ?? .zero
            object("S6: \(path) is removed, which goes up to \(last), and the oldest snapshot is at \(oldest)")
        }
    }

    /// What has rotten since the newest snapshot was begun, whoever removes others on account of that one can't know.
    private func isSound(_ snapshot: NumberedName, among snapshots: [NumberedName]) -> Bool {
        guard case .file(let number)? = names[snapshot.path], let rot = files[number]!.rottenSince,
            let newest = snapshots.last, case .file(let newestNumber)? = names[newest.path]
        else { return true }
        return newestNumber <= rot
    }
}

extension SimDisk { static let version2 = dataDir + "/version-2" }

/// A snapshot's or log's final name.
struct NumberedName: Hashable {
    var isSnapshot: Bool
    var zxid: Zxid
    var name: String
    var path: String { SimDisk.version2 + "/" + name }

    init?(_ name: String) {
        guard name.hasPrefix("snapshot.") || name.hasPrefix("log."), let dot = name.firstIndex(of: "."),
            let number = Int64(name[name.index(after: dot)...].dropLast(name.hasSuffix(".gz") ? 3 : 0), radix: 16)
        else { return nil }
        (isSnapshot, zxid, self.name) = (name.hasPrefix("s"), Zxid(rawValue: number), name)
    }
}

extension LogMark {
    /// A mark by itself, or a batch's trailer: the mark and a length of zero.
    fileprivate init?(atEndOf bytes: UnsafeRawBufferPointer) {
        let start = bytes.count == 8 ? 0 : bytes.count - LogFormat.trailerSize
        guard start >= 0, bytes[(start + 8)...].allSatisfy({ $0 == 0 }) else { return nil }
        self.init(UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
    }

    fileprivate init?(inHeader bytes: [UInt8]) {
        guard bytes.count >= FileHeader.databaseOffset + 8 else { return nil }
        self.init(bytes[...].bigEndian64(at: FileHeader.databaseOffset))
    }
}

/// A log's entries, by their lengths alone.
struct LogTail: Sendable {
    private(set) var position = FileHeader.size
    /// Where the last one begins.
    private(set) var lastStart = FileHeader.size
    private(set) var last: Zxid?

    static func last(of file: DiskFile) -> Zxid? {
        var tail = LogTail()
        tail.read(file.bytes, upTo: file.bytes.count)
        return tail.last
    }

    /// What its marks say: the header's, and that with which the data ends.
    static func durableEnd(of file: DiskFile) -> Int {
        let dataEnd = (file.bytes.lastIndex { $0 != 0 } ?? -1) + 1
        let marks = [FileHeader.databaseOffset, dataEnd - 8].compactMap { offset in
            offset >= 0 && offset + 8 <= file.bytes.count ? LogMark(file.bytes[...].bigEndian64(at: offset)) : nil
        }
        return marks.map(\.durableEnd).max() ?? 0
    }

    mutating func read(_ bytes: [UInt8], upTo end: Int) {
        bytes.withUnsafeBytes { bytes in
            while position + LogFormat.prefixSize < end {
                let length = Int(bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt32.self).bigEndian)
                let next = position + LogFormat.prefixSize + length + 1
                guard length > 20, next <= end else { return }
                // TxnHeader: client id, cxid, zxid.
                let payload = position + LogFormat.prefixSize
                last = Zxid(rawValue: bytes.loadUnaligned(fromByteOffset: payload + 12, as: Int64.self).bigEndian)
                (lastStart, position) = (position, next)
            }
        }
    }
}

extension DiskFile {
    /// What has rotten in this log can't be told from what a power cut leaves of its last batch.
    ///
    /// A file of ours says what was durable, and so does a whole entry behind a broken one. Without either the end of an
    /// entry may never have been written; a single byte is no such end.
    var mayPassForTorn: Bool {
        let altered = altered.filter { $0 >= FileHeader.size && $0 < bytes.count }
        guard let first = altered.min(), let last = altered.max() else { return false }
        if LogMark(inHeader: bytes) != nil { return first >= LogTail.durableEnd(of: self) }
        var tail = LogTail()
        tail.read(written, upTo: bytes.count)
        return altered.count > 1 && tail.lastStart <= last
    }
}

import EnsembleBase
import Glibc

/// A file's content: what readers see now, and what a power cut may make of it.
///
/// Kept once: what was changed since the last sync is remembered by what it replaced, which for a log's append is
/// nothing. Zeros at the end take no memory, so that a preallocated log costs what its records take.
struct DiskFile: Sendable {
    /// What a disk writes as a whole.
    static let sector = 512

    /// Behind its end, up to `size`, are zeros.
    private(set) var bytes: [UInt8] = []
    private(set) var size = 0
    /// Since the last sync, oldest first.
    private var undo: [Undo] = []
    /// Sectors that are not what was written, until they are written again.
    private var rotten: Set<Int> = []
    /// Those of them that can't be read.
    private var unreadable: Set<Int> = []
    /// Where in the others bytes are not what was written.
    private(set) var altered: Set<Int> = []
    /// The last file that had been made when a sector began to rot.
    private(set) var rottenSince: Int?

    private enum Undo: Sendable {
        /// `old`: what stood there; zeros behind its end.
        case write(offset: Int, count: Int, old: [UInt8], oldSize: Int)
        case shrink(to: Int, tail: [UInt8], oldSize: Int)
    }

    /// The same in the order of time, with what was written.
    private enum Change {
        case write(offset: Int, [UInt8], count: Int)
        case shrink(to: Int)
    }

    init() {}

    /// A file that is durable as it is.
    init(durable bytes: [UInt8], size: Int) {
        self.bytes = bytes
        self.size = size
    }

    var isDurable: Bool { undo.isEmpty }
    var isRotten: Bool { !rotten.isEmpty }
    /// What was written.
    var written: [UInt8] {
        var written = bytes
        for place in altered where place < written.count { written[place] ^= DiskFile.alteration }
        return written
    }

    /// Everything before it is durable as it stands.
    var unchangedEnd: Int { unchangedEnd(besides: 0..<0) }

    /// - Parameter field: what may have changed all the same.
    func unchangedEnd(besides field: Range<Int>) -> Int {
        undo.reduce(size) { end, change in
            switch change {
            case .write(let offset, let count, _, _) where field.contains(offset) && offset + count <= field.upperBound: end
            case .write(let offset, _, _, let oldSize): min(end, offset, oldSize)
            case .shrink(let to, _, _): min(end, to)
            }
        }
    }

    func isUnsynced(sector: Int) -> Bool {
        let start = sector * DiskFile.sector
        return undo.contains { change in
            switch change {
            case .write(let offset, let count, _, _): offset < start + DiskFile.sector && offset + count > start
            case .shrink(let to, _, let oldSize): to < start + DiskFile.sector && oldSize > start
            }
        }
    }

    // MARK: As a process sees it

    func read(count: Int, at offset: Int) -> [UInt8]? {
        let end = min(offset + count, size)
        guard offset < end else { return [] }
        if !unreadable.isEmpty, unreadable.contains(where: { $0 * DiskFile.sector < end && ($0 + 1) * DiskFile.sector > offset }) {
            return nil
        }
        return part(offset..<end)
    }

    /// With zeros where no bytes are kept.
    private func part(_ range: Range<Int>) -> [UInt8] {
        let kept = min(max(range.lowerBound, bytes.count), range.upperBound)
        var part = range.lowerBound < kept ? Array(bytes[range.lowerBound..<kept]) : []
        if part.count < range.count { part.append(contentsOf: repeatElement(0, count: range.count - part.count)) }
        return part
    }

    mutating func write(_ new: UnsafeRawBufferPointer, at offset: Int) {
        guard !new.isEmpty else { return }
        let end = offset + new.count
        let old = offset < bytes.count ? Array(bytes[offset..<min(end, bytes.count)]) : []
        undo.append(.write(offset: offset, count: new.count, old: old, oldSize: size))
        put(new, at: offset)
        size = max(size, end)
        if !altered.isEmpty { altered = altered.filter { $0 < offset || $0 >= end } }
        // What is left of a sector that is written in part is as bad as before (seed 1105).
        let first = (offset + DiskFile.sector - 1) / DiskFile.sector
        let behind = (end == size ? end + DiskFile.sector - 1 : end) / DiskFile.sector
        if !rotten.isEmpty, first < behind { heal(first...behind - 1) }
    }

    private mutating func heal(_ sectors: ClosedRange<Int>) {
        rotten.subtract(sectors)
        unreadable.subtract(sectors)
        altered = altered.filter { !sectors.contains($0 / DiskFile.sector) }
    }

    private mutating func put(_ new: UnsafeRawBufferPointer, at offset: Int) {
        if offset >= bytes.count {
            if DiskFile.isZero(new) { return }
            if offset > bytes.count { bytes.append(contentsOf: repeatElement(0, count: offset - bytes.count)) }
            bytes.append(contentsOf: new)
        } else {
            let inside = min(new.count, bytes.count - offset)
            bytes.withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + inside])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: new[..<inside]))
            }
            if inside < new.count { bytes.append(contentsOf: new[inside...]) }
        }
    }

    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, bytes[0] == 0 else { return false }
        return memcmp(start, start + 1, bytes.count - 1) == 0
    }

    mutating func truncate(to newSize: Int) {
        guard newSize != size else { return }
        if newSize < size {
            let tail = newSize < bytes.count ? Array(bytes[newSize...]) : []
            undo.append(.shrink(to: newSize, tail: tail, oldSize: size))
            cut(to: newSize)
        } else {
            undo.append(.write(offset: size, count: newSize - size, old: [], oldSize: size))
            size = newSize
        }
    }

    private mutating func cut(to newSize: Int) {
        if !rotten.isEmpty, let last = rotten.max(), last * DiskFile.sector >= newSize {
            heal((newSize + DiskFile.sector - 1) / DiskFile.sector...last)
        }
        if !altered.isEmpty { altered = altered.filter { $0 < newSize } }
        if newSize < bytes.count { bytes.removeSubrange(newSize...) }
        size = newSize
    }

    mutating func sync() { undo.removeAll(keepingCapacity: true) }

    // MARK: As the power leaves it

    /// Of what was not synced any subset of sectors lands; of several writes to one sector, any one version; of the sizes
    /// since then, any. What a truncation that did not land was followed by did not land either: blocks are freed in
    /// order.
    mutating func cutPower(using random: inout SeededRandom) {
        guard !undo.isEmpty else { return }
        let changes = rewind()
        let luck = Luck.drawn(using: &random)
        var rest = changes[...]
        while !rest.isEmpty {
            let writes = rest.prefix { if case .write = $0 { true } else { false } }
            land(writes, luck, using: &random)
            rest = rest[writes.endIndex...]
            guard case .shrink(let to)? = rest.popFirst() else { break }
            guard luck.favours(using: &random) else { break }
            cut(to: to)
        }
    }

    /// What a reader would find if nothing more landed.
    var durable: DiskFile {
        guard !undo.isEmpty else { return self }
        var file = self
        _ = file.rewind()
        return file
    }

    /// Goes back to what is durable; returns what was undone, oldest first.
    private mutating func rewind() -> [Change] {
        var changes: [Change] = []
        while let last = undo.popLast() {
            switch last {
            case .write(let offset, let count, let old, let oldSize):
                let kept = min(max(offset, bytes.count), offset + count)
                changes.append(.write(offset: offset, offset < kept ? Array(bytes[offset..<kept]) : [], count: count))
                if offset < bytes.count {
                    let end = min(offset + count, bytes.count)
                    for place in offset..<end { bytes[place] = place - offset < old.count ? old[place - offset] : 0 }
                }
                size = oldSize
                if bytes.count > size { bytes.removeSubrange(size...) }
            case .shrink(let to, let tail, let oldSize):
                changes.append(.shrink(to: to))
                if !tail.isEmpty {
                    if bytes.count < to { bytes.append(contentsOf: repeatElement(0, count: to - bytes.count)) }
                    bytes.append(contentsOf: tail)
                }
                size = oldSize
            }
        }
        return changes.reversed()
    }

    private mutating func land(_ writes: ArraySlice<Change>, _ luck: Luck, using random: inout SeededRandom) {
        guard !writes.isEmpty else { return }
        var sizes = [size]
        /// By sector: the writes that touch it.
        var touching: [Int: [Int]] = [:]
        for place in writes.indices {
            guard case .write(let offset, _, let count) = writes[place] else { continue }
            sizes.append(max(sizes.last!, offset + count))
            for sector in offset / DiskFile.sector...(offset + count - 1) / DiskFile.sector {
                touching[sector, default: []].append(place)
            }
        }
        let landedSize = luck.pick(from: sizes, using: &random)
        for sector in touching.keys.sorted() {
            let versions = touching[sector]!
            let count = luck.pick(from: Array(0...versions.count), using: &random)
            for place in versions.prefix(count) {
                guard case .write(let offset, let new, let count) = writes[place] else { continue }
                let start = max(offset, sector * DiskFile.sector)
                let end = min(offset + count, (sector + 1) * DiskFile.sector, landedSize)
                guard start < end else { continue }
                let part = (start..<end).map { $0 - offset < new.count ? new[$0 - offset] : 0 }
                part.withUnsafeBytes { put($0, at: start) }
            }
        }
        size = max(size, landedSize)
    }

    /// Bytes of a sector become others, or the sector can't be read.
    ///
    /// - Parameter place: of the only byte; nil: many do.
    mutating func rot(sector: Int, readably: Bool, at place: Int? = nil, among fileCount: Int) {
        let offset = sector * DiskFile.sector
        guard offset < bytes.count else { return }
        rotten.insert(sector)
        rottenSince = fileCount
        if !readably {
            unreadable.insert(sector)
            return
        }
        if let place { return alter(min(offset + place, bytes.count - 1)) }
        for place in stride(from: offset, to: min(offset + DiskFile.sector, bytes.count), by: 37) { alter(place) }
    }

    private static let alteration: UInt8 = 0x5a

    private mutating func alter(_ place: Int) {
        bytes[place] ^= DiskFile.alteration
        if altered.remove(place) == nil { altered.insert(place) }
    }
}

/// How a power cut treats what had not landed: most of what is legal is neither all nor nothing, but these two are what
/// real disks mostly do.
enum Luck: Sendable {
    case nothing, everything, anything

    static func drawn(using random: inout SeededRandom) -> Luck {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: .nothing
        case 1: .everything
        default: .anything
        }
    }

    func favours(using random: inout SeededRandom) -> Bool {
        switch self {
        case .nothing: false
        case .everything: true
        case .anything: Bool.random(using: &random)
        }
    }

    /// One of what was the case in turn.
    func pick<Value>(from values: [Value], using random: inout SeededRandom) -> Value {
        switch self {
        case .nothing: values[0]
        case .everything: values[values.count - 1]
        case .anything: values[Int.random(in: 0..<values.count, using: &random)]
        }
    }
}

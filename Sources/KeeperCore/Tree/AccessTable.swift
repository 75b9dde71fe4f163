import EnsembleBase

/// The access lists in use, each stored once under a key that nodes refer to (reference/zookeeper.md, 2.2, item 3).
///
/// Keys count up and are never used twice in a table's life: `SnapshotWalk` relies on it.
struct AccessTable: Sendable {
    /// world:anyone with all rights: not in the table, needs no reference.
    static let openKey: Int64 = -1

    private struct Entry: Sendable {
        var list: [AccessRight]
        var references: Int
    }

    private var entries: [Int64: Entry] = [:]
    private var keys: [[AccessRight]: Int64] = [:]
    /// Greater than every key ever used here.
    private(set) var nextKey: Int64 = 1

    init() {}

    /// Takes a reference. An empty list grants everything to everyone, as Apache's absent one does.
    mutating func retain(_ list: [AccessRight]) -> Int64 {
        if list.isEmpty || AccessTable.isOpen(list) { return AccessTable.openKey }
        if let key = keys[list] {
            entries[key]!.references += 1
            return key
        }
        let key = nextKey
        nextKey += 1
        keys[list] = key
        entries[key] = Entry(list: list, references: 1)
        return key
    }

    /// Takes a reference to a list that is in the table; false if it is not.
    mutating func retain(key: Int64) -> Bool {
        if key == AccessTable.openKey { return true }
        guard entries[key] != nil else { return false }
        entries[key]!.references += 1
        return true
    }

    mutating func release(_ key: Int64) {
        guard key != AccessTable.openKey, let entry = entries[key] else { return }
        if entry.references > 1 {
            entries[key]!.references -= 1
        } else {
            drop(key, entry.list)
        }
    }

    /// nil: open to all.
    func list(_ key: Int64) -> [AccessRight]? {
        key == AccessTable.openKey ? nil : entries[key]?.list
    }

    /// In the order of the keys.
    var all: [(key: Int64, list: [AccessRight])] {
        entries.map { (key: $0.key, list: $0.value.list) }.sorted { $0.key < $1.key }
    }

    /// For a snapshot's reader: a list under the key that the file gives it, without a reference. False: the key is
    /// reserved or taken. Two keys may hold equal lists in a file; new references go to the first.
    mutating func load(key: Int64, list: [AccessRight]) -> Bool {
        guard key >= 0, key < .max, entries[key] == nil else { return false }
        entries[key] = Entry(list: list, references: 0)
        if keys[list] == nil { keys[list] = key }
        nextKey = max(nextKey, key + 1)
        return true
    }

    /// After loading: lists that no node took.
    mutating func dropUnreferenced() {
        for (key, list) in all where entries[key]?.references == 0 { drop(key, list) }
    }

    private mutating func drop(_ key: Int64, _ list: [AccessRight]) {
        entries[key] = nil
        if keys[list] == key { keys[list] = nil }
    }

    static func isOpen(_ list: [AccessRight]) -> Bool {
        list.count == 1 && list[0].permissions == .all && list[0].identity == .anyone
    }
}

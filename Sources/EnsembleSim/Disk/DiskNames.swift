import EnsembleBase

/// The names on a disk: as processes see them, and what a power cut may make of them.
///
/// A creation, a renaming or a removal is durable once the directory that it changed is synced. Before that it survives
/// or not, each by itself. A renaming lands as a whole within one directory; between two, the new name may be there
/// beside the old one, and never neither.
struct DiskNames: Sendable {
    enum Node: Hashable, Sendable {
        case directory
        /// By the number of its content.
        case file(Int)
    }

    private struct Change: Sendable {
        var added: (path: String, node: Node)?
        var removed: String?
    }

    /// The root has two spellings here, since nobody moves or removes it.
    private(set) var current: [String: Node] = ["": .directory, "/": .directory]
    private(set) var durable: [String: Node] = ["": .directory, "/": .directory]
    private var pending: [Change] = []
    /// Changes with every change of what is durable.
    private(set) var generation = 0

    init() {}

    subscript(path: String) -> Node? { current[path] }

    static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    }

    static func name(of path: String) -> Substring {
        path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path[...]
    }

    /// The names in a directory, sorted.
    func names(in directory: String, isDurable: Bool = false) -> [String] {
        DiskNames.names(in: directory, of: isDurable ? durable : current)
    }

    private static func names(in directory: String, of all: [String: Node]) -> [String] {
        let prefix = directory + "/"
        return all.keys.filter { $0.hasPrefix(prefix) && !$0.utf8.dropFirst(prefix.utf8.count).contains(UInt8(ascii: "/")) }
            .map { String(DiskNames.name(of: $0)) }.sorted()
    }

    /// The numbers of all contents that some name may still lead to.
    var reachable: Set<Int> {
        var numbers: Set<Int> = []
        for case .file(let number) in current.values { numbers.insert(number) }
        for case .file(let number) in durable.values { numbers.insert(number) }
        for change in pending { if case .file(let number)? = change.added?.node { numbers.insert(number) } }
        return numbers
    }

    // MARK: Changes

    mutating func add(_ path: String, _ node: Node) {
        current[path] = node
        pending.append(Change(added: (path, node)))
    }

    mutating func remove(_ path: String) {
        current[path] = nil
        pending.append(Change(removed: path))
    }

    mutating func move(_ source: String, to target: String) {
        guard let node = current[source], source != target else { return }
        current[target] = node
        current[source] = nil
        pending.append(Change(added: (target, node), removed: source))
    }

    mutating func sync(_ directory: String) {
        guard !pending.isEmpty else { return }
        generation += 1
        var rest: [Change] = []
        let directory = directory == "/" ? "" : directory
        for var change in pending {
            let target = change.added.map { DiskNames.parent(of: $0.path) }
            let source = change.removed.map(DiskNames.parent)
            // A name that has left the synced directory has arrived, or it would be lost.
            if target == directory || source == directory, let added = change.added {
                durable[added.path] = added.node
                change.added = nil
            }
            if source == directory, let removed = change.removed {
                durable[removed] = nil
                change.removed = nil
            }
            if change.added != nil || change.removed != nil { rest.append(change) }
        }
        pending = rest
    }

    mutating func cutPower(using random: inout SeededRandom) {
        generation += 1
        let luck = Luck.drawn(using: &random)
        for change in pending where luck.favours(using: &random) {
            if let added = change.added { durable[added.path] = added.node }
            guard let removed = change.removed else { continue }
            let isWithin = change.added.map { DiskNames.parent(of: $0.path) == DiskNames.parent(of: removed) } ?? true
            if isWithin || luck.favours(using: &random) { durable[removed] = nil }
        }
        pending = []
        dropOrphans()
        current = durable
    }

    /// A directory whose name did not survive takes along what was in it.
    private mutating func dropOrphans() {
        for path in durable.keys.sorted() where path != "" && path != "/" && durable[DiskNames.parent(of: path)] == nil { durable[path] = nil }
    }

    /// Everything becomes durable as it stands.
    mutating func settle() {
        generation += 1
        durable = current
        pending = []
    }
}

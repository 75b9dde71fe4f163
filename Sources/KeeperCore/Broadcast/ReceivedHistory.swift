/// What a leader sends to a member whose own history is of no use to it: a tree, and the proposals and commits behind it
/// until NEWLEADER. In memory only; it becomes the member's history as a whole, or not at all.
struct ReceivedHistory: Sendable {
    private(set) var tree: DataTree
    var history: History

    init(_ tree: DataTree, windowCount: Int) {
        self.tree = tree
        history = History(recent: [], last: tree.lastProcessedZxid, capacity: windowCount)
    }

    mutating func commit(upTo zxid: Zxid) {
        var changes: [TreeChange] = []
        while let entry = history.commitNext(upTo: zxid) {
            changes.removeAll(keepingCapacity: true)
            _ = tree.apply(entry, changes: &changes)
        }
    }
}

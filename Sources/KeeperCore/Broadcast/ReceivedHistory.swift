/// What a leader sends to a member whose own history is of no use to it: a tree, and the proposals and commits behind it
/// until NEWLEADER. In memory only; it becomes the member's history as a whole, or not at all.
struct ReceivedHistory: Sendable {
    private(set) var tree: DataTree
    var history: History
    /// Of a tree that was built from nothing. One that a leader sent is fuzzy: there is nothing to judge before UPTODATE.
    private(set) var judgement: DigestJudgement?

    /// Behind SNAP.
    init(_ tree: DataTree, windowCount: Int) {
        self.tree = tree
        history = History(recent: [], last: tree.lastProcessedZxid, capacity: windowCount)
    }

    /// Of a member that begins with nothing: DIFF from the very beginning is as good as SNAP then.
    init(windowCount: Int) {
        self.init(DataTree(), windowCount: windowCount)
        judgement = DigestJudgement()
    }

    /// Nothing has come yet.
    var isUntouched: Bool { history.lastAppended == .zero && tree.lastProcessedZxid == .zero }

    mutating func commit(upTo zxid: Zxid) {
        var changes: [TreeChange] = []
        while let entry = history.commitNext(upTo: zxid) {
            changes.removeAll(keepingCapacity: true)
            _ = tree.apply(entry, changes: &changes)
            _ = judgement?.judge(entry, in: tree)
        }
    }
}

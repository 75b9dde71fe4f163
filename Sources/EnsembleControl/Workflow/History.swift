import EnsembleBase

/// What people asked for, and the daemon began by itself, and what came of it: kept over the daemon's end, so that whoever
/// asked is answered by the next one.
package struct History: Sendable, Hashable, Codable {
    /// Ended ones that are kept.
    package static let limit = 256

    /// In the order of asking.
    package private(set) var records: [OperationRecord] = []

    package init() {}

    package subscript(id: String) -> OperationRecord? { records.last { $0.id == id } }

    mutating func began(_ id: String, _ title: String, by user: UInt32?, at now: WallTime) {
        guard self[id] == nil else { return }
        records.append(OperationRecord(id: id, title: title, by: user, began: now))
    }

    /// It was refused after all.
    mutating func forget(_ id: String) { records.removeAll { $0.id == id } }

    mutating func ended(_ id: String, _ title: String, _ ending: Ending, at now: WallTime) {
        began(id, title, by: nil, at: now)
        guard let index = records.lastIndex(where: { $0.id == id }) else { return }
        records[index].ended = now
        records[index].isCancelled = ending.isCancelled
        records[index].failure = ending.isCancelled ? ending.textOfCancelled : ending.failure
        records[index].result = ending.isCancelled ? "" : ending.result
        records[index].backup = ending.backup
        let over = records.count { $0.ended != nil } - Self.limit
        guard over > 0 else { return }
        var left = over
        records.removeAll { record in
            guard left > 0, record.ended != nil else { return false }
            left -= 1
            return true
        }
    }
}

/// One operation, from its asking to its end.
package struct OperationRecord: Sendable, Hashable, Codable {
    /// Given by the hands; unique over the daemon's restarts.
    package var id: String
    package var title: String
    /// The user id of who asked, by the kernel's word; nil: the daemon began it by itself, or it is not known.
    package var by: UInt32?
    package var began: WallTime
    /// Nil: it is at work.
    package var ended: WallTime?
    /// Nil: it has succeeded, or is at work.
    package var failure: String?
    /// `failure` says so as well.
    package var isCancelled = false
    /// The backup that was made, verified or restored.
    package var backup: String?
    /// A sentence on what came of it; empty when the title says it all.
    package var result = ""

    package init(id: String, title: String, by: UInt32?, began: WallTime) {
        self.id = id
        self.title = title
        self.by = by
        self.began = began
    }
}

extension OperatorMachine {
    /// Finished operations, oldest first.
    package var outcomes: [OperationRecord] { history.records.filter { $0.ended != nil } }

    mutating func record(
        _ id: String, _ title: String, _ ending: Ending, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        history.ended(id, title, ending, at: wallTime(now))
        actions.append(.saveHistory(history))
    }

    /// What an earlier daemon was asked for, and did not write down as a step of its own: a backup that takes nobody out of
    /// service, a start.
    mutating func concludeInterrupted(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        let working = works.compactMap(\.id)
        for record in history.records where record.ended == nil && !working.contains(record.id) {
            self.record(record.id, record.title, Ending(failure: "the daemon ended before it did; ask again"), at: now, into: &actions)
        }
    }
}

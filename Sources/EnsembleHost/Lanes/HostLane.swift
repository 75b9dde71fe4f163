import EnsembleBase
import KeeperStorage
import NIOConcurrencyHelpers

/// Work on one thing that may hang (a member's directories, the archive, the daemon's own state), one piece after the
/// other in the order asked. What hangs there keeps only those waiting who need the same thing, and it can be said what
/// it is (`occupation`).
///
/// There is a thread only while there is work: most lanes of a daemon have none for hours.
package final class HostLane: Sendable {
    /// What a lane is at.
    package struct Occupation: Hashable, Sendable {
        package var lane: String
        package var work: String
        /// For how long it has been under way.
        package var lasting: Duration
        /// How many pieces of work wait behind it.
        package var waiting: Int
        /// It may take hours, and its operation says how far it is.
        package var isLong: Bool
    }

    package enum Failure: Error, Hashable, CustomStringConvertible {
        /// As much as the lane takes waits already.
        case full(Occupation)
        /// Not done in the time that the one who asked could wait. The work itself goes on.
        case slow(Occupation)
        /// The daemon ends.
        case closed

        package var description: String {
            switch self {
            case .full(let it), .slow(let it):
                "\(it.lane): \(it.work) has been under way for \(it.lasting.inMilliseconds / 1000) s"
                    + (it.waiting > 0 ? ", and \(it.waiting) more wait" : "")
            case .closed: "the daemon is stopping"
            }
        }
    }

    private struct Work {
        var name: String
        var isLong: Bool
        var run: @Sendable () -> Void
        /// Tells the one who asked that it will not be heard of.
        var giveUp: @Sendable (any Error) -> Void
    }

    private struct State {
        var waiting = FIFO<Work>()
        var current: (work: Work, since: Instant)?
        var hasThread = false
        var isClosed = false
    }

    package let name: String
    private let limit: Int
    private let now: @Sendable () -> Instant
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - name: what it is the lane of, as people call it.
    ///   - limit: how much may wait.
    package init(_ name: String, limit: Int = 32, now: @escaping @Sendable () -> Instant) {
        self.name = name
        self.limit = limit
        self.now = now
    }

    /// Returns what `body` returned, or threw, on the lane's thread.
    ///
    /// - Parameters:
    ///   - work: what it is, for people: "start of its server".
    ///   - isLong: whether it may take hours without anything being wrong.
    ///   - patience: how long the one who asks can wait; nil: for as long as it takes.
    /// - Throws: what `body` throws; `Failure`.
    package func run<Result: Sendable>(
        _ work: String, isLong: Bool = false, within patience: Duration? = nil, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            let answer = Answer(continuation)
            enqueue(
                Work(
                    name: work, isLong: isLong, run: { answer.give(Swift.Result(catching: body)) }, giveUp: { answer.give(.failure($0)) }))
            guard let patience else { return }
            Task { [self] in
                try? await Task.sleep(for: patience)
                let own = Occupation(lane: name, work: work, lasting: patience, waiting: 0, isLong: isLong)
                answer.give(.failure(Failure.slow(occupation ?? own)))
            }
        }
    }

    /// Work that nobody waits for. It is left out while as much waits as the lane takes.
    package func post(_ work: String, _ body: @escaping @Sendable () -> Void) {
        enqueue(Work(name: work, isLong: false, run: body, giveUp: { _ in }))
    }

    /// What is under way; nil: nothing.
    package var occupation: Occupation? {
        state.withLockedValue(occupation)
    }

    private func occupation(_ state: inout State) -> Occupation? {
        state.current.map {
            Occupation(lane: name, work: $0.work.name, lasting: now() - $0.since, waiting: state.waiting.count,
                isLong: $0.work.isLong)
        }
    }

    /// Whoever waits is told that the daemon ends, also for what is under way: it may hang for ever, and the daemon does not.
    package func close() {
        let left = state.withLockedValue { state -> [Work] in
            state.isClosed = true
            var left = state.current.map { [$0.work] } ?? []
            while let work = state.waiting.popFirst() { left.append(work) }
            return left
        }
        for work in left { work.giveUp(Failure.closed) }
    }

    private func enqueue(_ work: Work) {
        enum Next { case wait, startThread, refuse(Failure) }
        let next = state.withLockedValue { state -> Next in
            if state.isClosed { return .refuse(.closed) }
            if state.waiting.count >= limit, let occupation = occupation(&state) { return .refuse(.full(occupation)) }
            state.waiting.append(work)
            defer { state.hasThread = true }
            return state.hasThread ? .wait : .startThread
        }
        switch next {
        case .wait: break
        case .refuse(let failure): work.giveUp(failure)
        case .startThread:
            do throws(StorageError) {
                _ = try DedicatedThread(name: String(name.prefix(15))) { [self] in while let work = take() { work.run() } }
            } catch {
                withoutThread(error)
            }
        }
    }

    /// Nobody will work it off: who asked is told why, and the next who asks tries anew.
    private func withoutThread(_ error: StorageError) {
        let left = state.withLockedValue { state -> [Work] in
            state.hasThread = false
            var left: [Work] = []
            while let work = state.waiting.popFirst() { left.append(work) }
            return left
        }
        for work in left { work.giveUp(error) }
    }

    /// The next piece of work; nil: none, and the thread goes.
    private func take() -> Work? {
        state.withLockedValue { state in
            let work = state.waiting.popFirst()
            state.current = work.map { ($0, now()) }
            state.hasThread = work != nil
            return work
        }
    }
}

/// The continuation of one who waits, resumed once: by the work, by impatience or by the lane's end.
private final class Answer<Result: Sendable>: Sendable {
    private let continuation: NIOLockedValueBox<CheckedContinuation<Result, any Error>?>

    init(_ continuation: CheckedContinuation<Result, any Error>) { self.continuation = NIOLockedValueBox(continuation) }

    func give(_ result: Swift.Result<Result, any Error>) {
        continuation.withLockedValue { $0.take() }?.resume(with: result)
    }
}

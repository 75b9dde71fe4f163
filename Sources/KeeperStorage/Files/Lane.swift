import NIOConcurrencyHelpers

/// A place where work that blocks is done, one piece after the other in the order asked, away from the event loop. The
/// server's is a thread; a simulated world's is a list that the world works off when it likes.
package protocol Lane: AnyObject, Sendable {
    /// Returns at once (`CallingThread` apart). Work may ask for more work on its own lane.
    func run(_ work: @escaping @Sendable () -> Void)

    /// Returns when everything asked is done, also what that asked in turn. Nothing may be asked afterwards. Never from
    /// the lane itself.
    func end()
}

/// A lane of one thread.
package final class ThreadLane: Lane {
    private final class Queue: Sendable {
        struct State: Sendable {
            var work: [@Sendable () -> Void] = []
            /// The thread sleeps, or is about to.
            var isIdle = false
            var isEnded = false
        }

        let state = NIOLockedValueBox(State())
        let wakeUp: WakeUp

        init() throws(StorageError) { wakeUp = try WakeUp() }

        func run() {
            while let work = take() {
                for piece in work { piece() }
            }
        }

        /// Waits for work; nil once ended and empty.
        private func take() -> [@Sendable () -> Void]? {
            while true {
                let (work, isEnded) = state.withLockedValue { state in
                    defer { state.work.removeAll(keepingCapacity: false) }
                    state.isIdle = state.work.isEmpty
                    return (state.work, state.isEnded)
                }
                if !work.isEmpty { return work }
                if isEnded { return nil }
                wakeUp.wait()
            }
        }
    }

    private let queue: Queue
    private let thread: DedicatedThread

    /// - Parameter name: at most 15 bytes; shown by `top -H`.
    package init(name: String) throws(StorageError) {
        let queue = try Queue()
        self.queue = queue
        thread = try DedicatedThread(name: name) { queue.run() }
    }

    /// The thread does what was asked, and goes.
    deinit { close() }

    package func run(_ work: @escaping @Sendable () -> Void) {
        let mustWake = queue.state.withLockedValue { state in
            defer { state.isIdle = false }
            state.work.append(work)
            return state.isIdle
        }
        if mustWake { queue.wakeUp.signal() }
    }

    package func end() {
        close()
        thread.join()
    }

    private func close() {
        queue.state.withLockedValue { $0.isEnded = true }
        queue.wakeUp.signal()
    }
}

/// The lane for who waits anyway: work is done before `run` returns.
package final class CallingThread: Lane {
    package init() {}
    package func run(_ work: @escaping @Sendable () -> Void) { work() }
    package func end() {}
}

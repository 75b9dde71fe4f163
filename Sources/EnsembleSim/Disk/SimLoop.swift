import Dispatch
import EnsembleBase
import NIOConcurrencyHelpers
import NIOCore

/// The event loop of a simulated server: tasks and timers that run when the world says so, at the world's time.
final class SimLoop: EventLoop {
    private struct Timer: Sendable {
        var deadline: NIODeadline
        var number: Int
        var fire: @Sendable () -> Void
        var fail: @Sendable () -> Void
    }

    private struct State: Sendable {
        var now = NIODeadline.uptimeNanoseconds(0)
        var tasks = FIFO<@Sendable () -> Void>()
        /// In the order of their deadlines.
        var timers: [Timer] = []
        var timerCount = 0
    }

    private let state = NIOLockedValueBox(State())

    var inEventLoop: Bool { true }

    var now: NIODeadline { state.withLockedValue { $0.now } }

    func set(_ now: Instant) { state.withLockedValue { $0.now = .uptimeNanoseconds(UInt64(clamping: now.nanoseconds)) } }

    var hasTasks: Bool { state.withLockedValue { !$0.tasks.isEmpty } }

    var nextDeadline: Instant? {
        state.withLockedValue { $0.timers.first.map { Instant(nanoseconds: Int64($0.deadline.uptimeNanoseconds)) } }
    }

    /// Runs what is due. What that asks for in turn waits for the next time.
    func run() {
        var due: [@Sendable () -> Void] = []
        state.withLockedValue { state in
            while let timer = state.timers.first, timer.deadline <= state.now {
                state.timers.removeFirst()
                due.append(timer.fire)
            }
            while let task = state.tasks.popFirst() { due.append(task) }
        }
        for task in due { task() }
    }

    /// Its process has ended.
    func abandon() {
        let timers = state.withLockedValue { state in
            state.tasks.removeAll()
            defer { state.timers.removeAll() }
            return state.timers
        }
        for timer in timers { timer.fail() }
    }

    // MARK: EventLoop

    func execute(_ task: @escaping @Sendable () -> Void) { state.withLockedValue { $0.tasks.append(task) } }

    func submit<T>(_ task: @escaping @Sendable () throws -> T) -> EventLoopFuture<T> {
        let promise = makePromise(of: T.self)
        execute { promise.assumeIsolated().completeWith(Result(catching: task)) }
        return promise.futureResult
    }

    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let number = state.withLockedValue { state in
            state.timerCount += 1
            let timer = Timer(
                deadline: deadline, number: state.timerCount, fire: { promise.assumeIsolated().completeWith(Result(catching: task)) },
                fail: { promise.fail(EventLoopError.cancelled) })
            let place = state.timers.firstIndex { $0.deadline > deadline } ?? state.timers.count
            state.timers.insert(timer, at: place)
            return timer.number
        }
        return Scheduled(promise: promise, cancellationTask: { [self] in
            state.withLockedValue { $0.timers.removeAll { $0.number == number } }
        })
    }

    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        abandon()
        queue.async { callback(nil) }
    }
}

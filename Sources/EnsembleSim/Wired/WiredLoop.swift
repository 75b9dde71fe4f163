import Dispatch
import EnsembleBase
import KeeperCore
import NIOConcurrencyHelpers
import NIOCore

/// The event loop of one simulated server: its tasks and timers run when the world gives it a turn.
///
/// As NIO's: what is ready on the sockets comes first, then due timers and tasks (SelectableEventLoop.run); how many
/// sockets one turn takes is the world's choice, since `epoll_wait` returns as many as its buffer holds.
final class WiredLoop: EventLoop {
    private struct State: Sendable {
        var tasks = FIFO<@Sendable () -> Void>()
        var timers = EventQueue<UInt64>()
        /// By number; one that is cancelled is gone.
        var armed: [UInt64: Timer] = [:]
        var nextTimer: UInt64 = 0
        /// The turn that the timeline knows of.
        var turnAt = Instant.distantFuture
        var isEnded = false
        /// For a deliberate bug: what the clock shows instead.
        var pretended: Instant?
    }

    private struct Timer: Sendable {
        var run: @Sendable () -> Void
        /// Fails what waits for it, so that nothing is left over when the process is dead.
        var abandon: @Sendable () -> Void
    }

    let server: ServerID
    let incarnation: Int
    private let timeline: Timeline
    private let clock: WiredClock
    private let state = NIOLockedValueBox(State())

    init(server: ServerID, incarnation: Int, timeline: Timeline, clock: WiredClock) {
        self.server = server
        self.incarnation = incarnation
        self.timeline = timeline
        self.clock = clock
    }

    // MARK: What the world does with it

    /// A turn is due, at the latest `delay` from now.
    func wake(in delay: Duration = .zero) {
        let time = timeline.now + delay
        let isNews = state.withLockedValue { state -> Bool in
            guard !state.isEnded, time < state.turnAt else { return false }
            state.turnAt = time
            return true
        }
        if isNews { timeline.schedule(.turn(server, incarnation: incarnation), at: time) }
    }

    /// Whether a turn begins: one that was asked for earlier has taken the place of a later one.
    func turnBegins() -> Bool {
        let now = timeline.now
        return state.withLockedValue { state in
            guard state.turnAt == now else { return false }
            state.turnAt = .distantFuture
            return true
        }
    }

    /// Due timers and tasks, those that come meanwhile included, but no more than a batch: then the sockets' turn comes.
    func runTasks() {
        var left = WiredLoop.batch
        while left > 0, let task = nextTask() {
            task()
            left -= 1
        }
        if left == 0 { wake() }
        rearm()
    }

    private static let batch = 4096

    /// A deliberate bug's: each timer that is due runs as if it were its time, before anything is read.
    func runTimersAsIfInTime() {
        let local = clock.local(timeline.now)
        while let time = state.withLockedValue({ $0.timers.nextTime }), time < local {
            state.withLockedValue { $0.pretended = time }
            guard let task = nextTask() else { break }
            task()
        }
        state.withLockedValue { $0.pretended = nil }
    }

    private func nextTask() -> (@Sendable () -> Void)? {
        let shown = clock.local(timeline.now)
        return state.withLockedValue { state in
            let local = state.pretended ?? shown
            while let time = state.timers.nextTime, time <= local, let (_, number) = state.timers.popFirst() {
                if let timer = state.armed.removeValue(forKey: number) { return timer.run }
            }
            return state.tasks.popFirst()
        }
    }

    private func rearm() {
        guard let next = state.withLockedValue({ $0.timers.nextTime }) else { return }
        wake(in: max(.zero, clock.world(next) - timeline.now))
    }

    /// The process is dead: nothing of it runs any more.
    func end() {
        let left = state.withLockedValue { state -> [Timer] in
            state.isEnded = true
            state.tasks.removeAll()
            defer { state.armed = [:] }
            return state.armed.keys.sorted().compactMap { state.armed[$0] }
        }
        for timer in left { timer.abandon() }
    }

    // MARK: EventLoop

    /// There is one thread.
    var inEventLoop: Bool { true }

    var now: NIODeadline {
        let shown = state.withLockedValue { $0.pretended } ?? clock.local(timeline.now)
        return .uptimeNanoseconds(UInt64(clamping: shown.nanoseconds))
    }

    func execute(_ task: @escaping @Sendable () -> Void) {
        state.withLockedValue { if !$0.isEnded { $0.tasks.append(task) } }
        wake()
    }

    func submit<T>(_ task: @escaping @Sendable () throws -> T) -> EventLoopFuture<T> {
        let promise = makePromise(of: T.self)
        execute { promise.assumeIsolated().completeWith(Result { try task() }) }
        return promise.futureResult
    }

    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let timer = Timer(
            run: { promise.assumeIsolated().completeWith(Result { try task() }) },
            abandon: { promise.fail(EventLoopError.cancelled) })
        let number = state.withLockedValue { state -> UInt64? in
            guard !state.isEnded else { return nil }
            state.nextTimer += 1
            state.armed[state.nextTimer] = timer
            state.timers.schedule(state.nextTimer, at: Instant(nanoseconds: Int64(clamping: deadline.uptimeNanoseconds)))
            return state.nextTimer
        }
        guard let number else {
            promise.fail(EventLoopError.shutdown)
            return Scheduled(promise: promise, cancellationTask: {})
        }
        rearm()
        return Scheduled(
            promise: promise,
            cancellationTask: { [state] in _ = state.withLockedValue { $0.armed.removeValue(forKey: number) } })
    }

    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) { callback(nil) }
}

/// A server's monotonic clock: it runs at its own rate.
struct WiredClock: Hashable, Sendable {
    /// Its nanoseconds for a million of the world's.
    var rate: Int64 = 1_000_000

    func local(_ world: Instant) -> Instant { Instant(nanoseconds: world.nanoseconds / 1_000_000 * rate + world.nanoseconds % 1_000_000 * rate / 1_000_000) }

    /// The first instant of the world at which this clock shows `local`.
    func world(_ local: Instant) -> Instant {
        guard local.nanoseconds < .max / 2_000_000 * rate else { return .distantFuture }
        var world = local.nanoseconds / rate * 1_000_000 + local.nanoseconds % rate * 1_000_000 / rate
        while self.local(Instant(nanoseconds: world)) < local { world += 1 }
        return Instant(nanoseconds: world)
    }
}

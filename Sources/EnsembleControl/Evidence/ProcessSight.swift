import EnsembleBase

/// What the kernel says of a living process at one look (proc(5)): the strongest evidence there is, and no server can lie
/// in it.
package struct ProcessSight: Sendable, Hashable {
    package enum State: Sendable, Hashable {
        /// Running, or waiting for something that happens by itself.
        case runs
        /// Stopped by a signal (SIGSTOP, SIGTSTP), and nobody traces it.
        case stopped
        /// Somebody debugs it (ptrace(2)): that it stands still is wanted.
        case traced
        /// Waits for a device and takes no signal, not even SIGKILL.
        case waitsForDevice
    }

    package var state: State
    /// On processors, in and for this process since its start.
    package var processorTime: Duration
    /// Bytes that it has read since its start, from wherever.
    package var bytesRead: Int64

    package init(_ state: State = .runs, processorTime: Duration = .zero, bytesRead: Int64 = 0) {
        self.state = state
        self.processorTime = processorTime
        self.bytesRead = bytesRead
    }
}

/// What came of asking a member how it is, on its client port.
package enum Hearing: Sendable, Hashable {
    /// It was not asked yet.
    case nothing
    case answers
    /// No connection or no answer in time, since then. That is all that is known: it may serve its peers well.
    case silent(since: Instant)
    /// It closes the daemon's connections: it lives, and takes no more of this address.
    case turnedAway
    /// This side could not ask (no resolver, no descriptors, no right, no route), since then: nothing is known of the
    /// member, whatever it is.
    case notAsked(String, since: Instant)
}

/// Whether a server that does not answer yet is at work: it may be reading a large tree.
package struct Labour: Sendable, Hashable {
    /// When it was seen at work last.
    package private(set) var seenAt: Instant?
    private var mark: Mark?

    private struct Mark: Sendable, Hashable {
        var at: Instant
        var sight: ProcessSight
    }

    package init() {}

    /// A tenth of a processor, or a quarter of a MiB each second: less is what an idle JVM does.
    package mutating func saw(_ sight: ProcessSight, at now: Instant) {
        guard let mark else { return self.mark = Mark(at: now, sight: sight) }
        let passed = now - mark.at
        guard passed >= .seconds(1) else { return }
        let isComputing = (sight.processorTime - mark.sight.processorTime) * 10 >= passed
        let bytes = sight.bytesRead - mark.sight.bytesRead
        if isComputing || bytes >= passed.inMilliseconds * 256 { seenAt = now }
        self.mark = Mark(at: now, sight: sight)
    }
}

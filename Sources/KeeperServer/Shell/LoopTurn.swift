import EnsembleBase
import KeeperCore
import NIOCore

/// One turn of the event loop: events are stepped in the order in which they were raised, and what they caused (replies,
/// packets, log appends) leaves once, when the turn ends.
///
/// Loop-bound: legal only on `eventLoop`. An event raised while another is being performed waits its turn, so that the
/// machine is never entered twice.
package final class LoopTurn {
    package let eventLoop: any EventLoop
    /// What is held for others counts against it.
    package let budget: MemoryBudget
    /// Steps one event and performs what it asks for.
    package var step: (KeeperEvent, Instant) -> Void = { _, _ in }
    /// Called at the end of a turn, after everything was written to the peers and before the next turn: the proposals
    /// are on their way while the local disk writes.
    package var submit: () -> Void = {}

    private var events = FIFO<KeeperEvent>()
    private var isStepping = false
    private var endIsScheduled = false
    private var clients: [ClientConnection] = []
    private var spareClients: [ClientConnection] = []
    private var streams: [PacketStream] = []
    private var spareStreams: [PacketStream] = []

    package init(eventLoop: any EventLoop, budget: MemoryBudget = MemoryBudget()) {
        self.eventLoop = eventLoop
        self.budget = budget
    }

    package var now: Instant { Instant(nanoseconds: Int64(eventLoop.now.uptimeNanoseconds)) }

    package func raise(_ event: KeeperEvent) {
        guard !isStepping else { return events.append(event) }
        isStepping = true
        step(event, now)
        while let next = events.popFirst() { step(next, now) }
        isStepping = false
        scheduleEnd()
    }

    package func flushAtEnd(_ client: ClientConnection) {
        clients.append(client)
        scheduleEnd()
    }

    package func flushAtEnd(_ stream: PacketStream) {
        streams.append(stream)
        scheduleEnd()
    }

    /// Tasks of the loop run after all sockets of the turn have been read.
    private func scheduleEnd() {
        guard !endIsScheduled else { return }
        endIsScheduled = true
        eventLoop.assumeIsolated().execute { [self] in end() }
    }

    private func end() {
        endIsScheduled = false
        swap(&streams, &spareStreams)
        for stream in spareStreams { stream.flush() }
        spareStreams.removeAll(keepingCapacity: true)
        submit()
        swap(&clients, &spareClients)
        for client in spareClients { client.flush() }
        spareClients.removeAll(keepingCapacity: true)
    }
}

import EnsembleBase
import NIOCore

/// What hangs on one end of a cable: a server's channel, or a client.
protocol CableEnd: AnyObject {
    /// There are bytes, or an end, to be read.
    func becameReadable()
    /// The peer has read: there is room for more.
    func becameWritable()
}

/// One TCP connection: two directions, each an ordered stream of bytes through buffers of a bounded size, over a path that
/// has a delay and a bandwidth.
///
/// TCP's promises are kept, and none beyond them: what arrives is a prefix of what was sent, cut anywhere.
final class Cable {
    enum Side: Int, Hashable, Sendable {
        case dialler, acceptor
        var other: Side { self == .dialler ? .acceptor : .dialler }
    }

    private enum Freight {
        case bytes(ByteBuffer)
        case end
        case reset
    }

    private struct Direction {
        var onTheWay = FIFO<Freight>()
        /// At the receiver, unread.
        var arrived = ByteBuffer()
        /// Since when there is something unread.
        var unreadSince = Instant.origin
        /// Taken from the sender and not read by the receiver.
        var held = 0
        /// Nothing arrives before: a stream keeps its order, and the path its bandwidth.
        var free = Instant.origin
        var hasEnded = false
        var wasReset = false
        /// The sender has closed it.
        var isClosed = false
        /// The sender was told that there is no room.
        var isAwaited = false
    }

    let number: Int
    let dialler: Place
    let acceptor: Place
    private let timeline: Timeline
    let dialledAt: Instant
    /// Bytes that the sockets' buffers hold, in each direction.
    private let capacity: Int
    /// Nanoseconds for a byte.
    private let nanosecondsPerByte: Int64
    private var directions = [Direction(), Direction()]
    private weak var diallerEnd: (any CableEnd)?
    private weak var acceptorEnd: (any CableEnd)?

    init(number: Int, from dialler: Place, to acceptor: Place, timeline: Timeline) {
        self.number = number
        self.dialler = dialler
        self.acceptor = acceptor
        self.timeline = timeline
        dialledAt = timeline.now
        // Between servers it must carry more than what clients ask for, or a learner never catches up (seed 1796063628000012).
        let isOfServers = if case (.server, .server) = (dialler, acceptor) { true } else { false }
        capacity = [isOfServers ? 16 << 10 : 4 << 10, 64 << 10, 400 << 10][Int(timeline.draw(0...2))]
        // 1 Gbit/s, now and then 20 Mbit/s.
        nanosecondsPerByte = timeline.oneIn(12) ? 400 : 8
    }

    func place(_ side: Side) -> Place { side == .dialler ? dialler : acceptor }
    private func end(_ side: Side) -> (any CableEnd)? { side == .dialler ? diallerEnd : acceptorEnd }

    func attach(_ end: any CableEnd, as side: Side) {
        if side == .dialler { diallerEnd = end } else { acceptorEnd = end }
    }

    // MARK: The sender's side

    /// Takes as much as there is room for, and returns how much.
    func send(_ bytes: inout ByteBuffer, from side: Side) -> Int {
        let direction = directions[side.rawValue]
        guard !direction.isClosed, !direction.wasReset else { return 0 }
        let count = min(bytes.readableBytes, capacity - direction.held)
        guard count > 0 else {
            directions[side.rawValue].isAwaited = bytes.readableBytes > 0
            return 0
        }
        directions[side.rawValue].held += count
        var left = count
        while left > 0 {
            // Segments, and what a busy path makes of them.
            let piece = min(left, Int(timeline.oneIn(4) ? timeline.draw(1...1_448) : timeline.draw(1_448...65_536)))
            if let slice = bytes.readSlice(length: piece) { dispatch(.bytes(slice), size: piece, from: side) }
            left -= piece
        }
        if bytes.readableBytes > 0 { directions[side.rawValue].isAwaited = true }
        return count
    }

    /// A FIN behind what was sent; a reset where something that arrived was not read (as Linux does).
    func close(from side: Side) {
        guard !directions[side.rawValue].isClosed else { return }
        directions[side.rawValue].isClosed = true
        let isRude = directions[side.other.rawValue].arrived.readableBytes > 0
        dispatch(isRude ? .reset : .end, size: 40, from: side)
    }

    /// The process, or the path, is gone without a word for what was on its way.
    func reset(from side: Side) {
        guard !directions[side.rawValue].isClosed else { return }
        directions[side.rawValue].isClosed = true
        dispatch(.reset, size: 40, from: side)
    }

    private func dispatch(_ freight: Freight, size: Int, from side: Side) {
        directions[side.rawValue].onTheWay.append(freight)
        let arrival = max(directions[side.rawValue].free, timeline.now + timeline.pathDelay()) + .nanoseconds(Int64(size) * nanosecondsPerByte)
        directions[side.rawValue].free = arrival
        timeline.schedule(.delivery(cable: number, from: side), at: arrival)
    }

    // MARK: The world's

    /// The next piece from `side` is there.
    func deliver(from side: Side) {
        guard let freight = directions[side.rawValue].onTheWay.popFirst() else { return }
        switch freight {
        case .bytes(var bytes):
            if directions[side.rawValue].arrived.readableBytes == 0 { directions[side.rawValue].unreadSince = timeline.now }
            directions[side.rawValue].arrived.writeBuffer(&bytes)
        case .end: directions[side.rawValue].hasEnded = true
        case .reset:
            directions[side.rawValue].wasReset = true
            directions[side.rawValue].arrived.clear()
            directions[side.other.rawValue].wasReset = true
        }
        end(side.other)?.becameReadable()
    }

    func drained(from side: Side) { end(side)?.becameWritable() }

    // MARK: The receiver's side

    enum Reading {
        case bytes(ByteBuffer)
        /// Nothing now.
        case nothing
        case end
        case reset
    }

    /// Up to `limit` bytes of what has come to `side`.
    func read(at side: Side, limit: Int) -> Reading {
        let from = side.other
        if wasReset { return .reset }
        let count = min(limit, directions[from.rawValue].arrived.readableBytes)
        guard count > 0, let bytes = directions[from.rawValue].arrived.readSlice(length: count) else {
            return directions[from.rawValue].hasEnded ? .end : .nothing
        }
        if directions[from.rawValue].arrived.readableBytes == 0 { directions[from.rawValue].arrived = ByteBuffer() }
        directions[from.rawValue].held -= count
        if directions[from.rawValue].isAwaited {
            directions[from.rawValue].isAwaited = false
            timeline.schedule(.drained(cable: number, from: from), in: timeline.pathDelay())
        }
        return .bytes(bytes)
    }

    /// Everything that its peer has sent, and the end behind it, has come to `side`.
    func hasEnded(at side: Side) -> Bool { directions[side.other.rawValue].hasEnded }

    /// Since when bytes wait at `side`; nil if none do.
    func unreadSince(at side: Side) -> Instant? {
        unread(at: side) > 0 ? directions[side.other.rawValue].unreadSince : nil
    }

    func unread(at side: Side) -> Int { directions[side.other.rawValue].arrived.readableBytes }

    /// Whether the end there is neither closed nor broken.
    func isOpen(at side: Side) -> Bool { !directions[side.rawValue].isClosed && !wasReset }

    var wasReset: Bool { directions[0].wasReset || directions[1].wasReset }

    func hasNews(at side: Side) -> Bool {
        let direction = directions[side.other.rawValue]
        return direction.arrived.readableBytes > 0 || direction.hasEnded || direction.wasReset
    }
}

extension Timeline {
    /// Mostly a local network; now and then a queue somewhere.
    func pathDelay() -> Duration { .microseconds(oneIn(50) ? draw(1_000...60_000) : draw(30...1_200)) }
}

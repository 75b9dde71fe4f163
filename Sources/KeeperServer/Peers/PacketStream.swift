import KeeperCodec
import KeeperCore
import NIOCore

/// A connection between leader and learner, either end: packets in, packets out, coalesced per turn of the loop.
/// Loop-bound.
package final class PacketStream: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Bytes that may wait for a peer that doesn't read, before it is dropped.
    static let unsentLimit = 256 << 20

    /// A slice of a snapshot stops growing here, in bytes.
    private static let sliceSize = 128 << 10

    /// What a learner hears of the tree behind a SNAP packet.
    package enum TreeEvent {
        /// Some of it has come.
        case progressed
        case completed(DataTree)
    }

    private let turn: LoopTurn
    /// Bytes of one packet's data.
    private let dataLimit: Int
    /// nil once closed; both ends of the conversation hang on the stream.
    private var received: ((QuorumPacket) -> Void)?
    /// Set in a learner: the tree behind SNAP is its leader's to send.
    private var treeEvents: ((TreeEvent) -> Void)?
    /// Set in a leader: the connection has taken some of the tree that is being sent.
    private var treeTaken: (() -> Void)?
    /// Set in a leader: the connection has taken what `awaitRoom` waits for.
    private var hasRoom: (() -> Void)?
    private var closed: (() -> Void)?

    private var context: ChannelHandlerContext?
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    private var outputIsScheduled = false
    private var isRoomAwaited = false
    private var reader: TreeStreamReader?
    private var snapshot: (encoder: TreeEncoder, tree: () -> DataTree)?
    /// Why the stream was closed from here; nil if the peer did it.
    package private(set) var fault: String?

    package init(
        turn: LoopTurn, dataLimit: Int = QuorumPacket.dataLimit, received: @escaping (QuorumPacket) -> Void,
        treeEvents: ((TreeEvent) -> Void)? = nil, treeTaken: (() -> Void)? = nil,
        hasRoom: (() -> Void)? = nil, closed: @escaping () -> Void
    ) {
        self.turn = turn
        self.dataLimit = dataLimit
        self.received = received
        self.treeEvents = treeEvents
        self.treeTaken = treeTaken
        self.hasRoom = hasRoom
        self.closed = closed
    }

    // MARK: in

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func channelActive(context: ChannelHandlerContext) {
        // Refused while it was being accepted: nobody would take what it sends.
        if received == nil { context.close(promise: nil) }
        context.fireChannelActive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        finish()
        self.context = nil
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = buffer } else { input.writeBuffer(&buffer) }
        do {
            while received != nil, try decodeOne() {}
        } catch {
            close(because: "\(error)")
        }
        if input.readableBytes == 0 { input = ByteBuffer() } else if input.readerIndex > 65536 { input.discardReadBytes() }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset is as good as an end: it is reported at once (channelInactive follows).
        if fault == nil { fault = "\(error)" }
        context.close(promise: nil)
    }

    /// Whether something whole was there.
    private func decodeOne() throws(CodecError) -> Bool {
        if reader != nil {
            guard let tree = try reader?.feed(&input) else {
                treeEvents?(.progressed)
                return false
            }
            reader = nil
            treeEvents?(.completed(tree))
            return true
        }
        guard let packet = try QuorumPacket.next(from: &input, dataLimit: dataLimit) else { return false }
        // Before the event: what follows on the stream is no packet.
        if case .snap(let zxid) = packet, treeEvents != nil { reader = TreeStreamReader(zxid: zxid, itemLimit: 2 * dataLimit) }
        received?(packet)
        return true
    }

    // MARK: out

    package func send(_ packet: QuorumPacket) {
        guard context != nil else { return }
        output.write(packet)
        schedule()
    }

    /// Bytes of a packet that goes to several learners: encoded once.
    package func send(encoded: ByteBuffer) {
        guard context != nil else { return }
        output.writeImmutableBuffer(encoded)
        schedule()
    }

    /// Sends SNAP and the tree; packets sent from now on follow it. `tree` gives the tree as it is at that moment: the
    /// walk is fuzzy by design (reference/zookeeper.md, 2.5).
    package func send(snapshotAt zxid: Zxid, tree: @escaping () -> DataTree) {
        guard context != nil else { return }
        output.write(QuorumPacket.snap(at: zxid))
        flush()
        snapshot = (TreeEncoder(of: tree()), tree)
        continueSnapshot()
    }

    /// Has `hasRoom` called, once, when all that was sent so far is gone but for what the connection holds anyway.
    package func awaitRoom() {
        guard context != nil else { return }
        isRoomAwaited = true
        schedule()
    }

    private func tellOfRoom() {
        guard isRoomAwaited, snapshot == nil, output.readableBytes == 0, let context, context.channel.isWritable else { return }
        isRoomAwaited = false
        hasRoom?()
    }

    private func schedule() {
        guard !outputIsScheduled else { return }
        outputIsScheduled = true
        turn.flushAtEnd(self)
    }

    package func flush() {
        outputIsScheduled = false
        guard let context, snapshot == nil else { return }
        guard output.readableBytes > 0 else { return tellOfRoom() }
        // Out of the way first, as in `ClientConnection.flush`.
        var bytes = output
        output = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        if output.readableBytes == 0, bytes.capacity <= 1 << 20 {
            bytes.clear()
            output = bytes
        }
        if !context.channel.isWritable { return dropIfStuck(context) }
        tellOfRoom()
    }

    private func dropIfStuck(_ context: ChannelHandlerContext) {
        guard let unsent = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes),
            unsent > PacketStream.unsentLimit
        else { return }
        close(because: "\(unsent) bytes wait for a peer that doesn't read")
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            continueSnapshot()
            tellOfRoom()
        }
        context.fireChannelWritabilityChanged()
    }

    /// One slice of the snapshot per turn of the loop, well under a millisecond of its time, and none while the peer's
    /// window is full.
    private func continueSnapshot() {
        guard let context, context.channel.isWritable, let tree = snapshot?.tree else { return }
        var slice = ByteBuffer()
        var isLast = false
        while slice.readableBytes < PacketStream.sliceSize, !isLast, var next = snapshot?.encoder.next(from: tree(), nodeLimit: 64) {
            if slice.readableBytes == 0 { slice = next } else { slice.writeBuffer(&next) }
            isLast = snapshot?.encoder.isEnded ?? true
        }
        guard isLast else {
            context.writeAndFlush(wrapOutboundOut(slice), promise: nil)
            treeTaken?()
            return turn.eventLoop.assumeIsolated().execute { [self] in continueSnapshot() }
        }
        snapshot = nil
        TreeStream.writeSignature(to: &slice)
        context.writeAndFlush(wrapOutboundOut(slice), promise: nil)
        // What was sent since waits in `output`, and may be much: not to be copied.
        flush()
    }

    /// Stops and resumes reading: what the peer sends stays with it.
    package func read(_ isWanted: Bool) { try? context?.channel.syncOptions?.setOption(.autoRead, value: isWanted) }

    // MARK: end

    package func close(because reason: String) {
        if fault == nil { fault = reason }
        close()
    }

    package func close() {
        received = nil
        snapshot = nil
        context?.close(promise: nil)
    }

    private func finish() {
        received = nil
        treeEvents = nil
        treeTaken = nil
        hasRoom = nil
        snapshot = nil
        let closed = self.closed
        self.closed = nil
        closed?()
    }
}

import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// One client's connection: frames in, replies out, coalesced.
///
/// A plain handler over `ByteBuffer` with its own framing: a decoder and an encoder in the pipeline cost more than the
/// work (reference/swift-linux.md, section 2). Replies gather in one buffer until the turn of the loop ends.
package final class ClientConnection: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum State: Hashable {
        /// Nothing decoded yet. → connecting on a connect request, closing on a word or garbage.
        case opening
        /// The machine has the connect request; frames wait until it has answered. → serving, closing
        case connecting
        /// → closing
        case serving
        /// Nothing more is read; what was sent before is flushed.
        case closing
    }

    package let id: ConnectionID
    package let address: ByteString
    package let port: Int
    package let established: WallTime
    /// nil once the connection is closed.
    private var table: ClientTable?
    private var context: ChannelHandlerContext?
    private var state = State.opening
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    private var outputIsScheduled = false
    private var readsArePaused = false
    private var isDecoding = false
    private var isAnnounced = false
    private var unanswered = FIFO<Instant>()

    /// Replies of so many bytes don't wait for the turn's end, so that a socket which is full stops the decoding: a read
    /// of twenty bytes may ask for a megabyte.
    private static let outputMark = 256 << 10
    /// How long what was sent before a close may take to leave.
    private static let lingering = TimeAmount.seconds(10)

    /// What `cons` shows.
    package private(set) var record = ClientRecord()

    package init(id: ConnectionID, address: ByteString, port: Int, table: ClientTable) {
        self.id = id
        self.address = address
        self.port = port
        self.table = table
        established = table.wallTime
    }

    package var hasSession: Bool { state == .serving }
    package var outstanding: Int { unanswered.count }
    package func resetRecord() { record.reset() }

    // MARK: in

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    package func handlerRemoved(context: ChannelHandlerContext) {
        finish()
        self.context = nil
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closing else { return }
        var buffer = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = buffer } else { input.writeBuffer(&buffer) }
        decode()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Who has asked its word and ends its side (`nc -N`) still gets the answer; anybody else has gone.
        if let event = event as? ChannelEvent, event == .inputClosed, state != .closing { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { resume() } else { pauseReads() }
        context.fireChannelWritabilityChanged()
    }

    /// Takes frames from `input` as long as they may be taken.
    private func decode() {
        guard !isDecoding else { return }
        isDecoding = true
        defer { isDecoding = false }
        do {
            while let table, mayDecode(table), try decodeOne(table) {}
        } catch {
            table?.statistics.malformedFrames += 1
            close()
        }
        // The buffer that was read into goes back to the channel: keeping it would make every read allocate.
        if input.readableBytes == 0 { input = ByteBuffer() } else if input.readerIndex > 4096 { input.discardReadBytes() }
    }

    private func mayDecode(_ table: ClientTable) -> Bool {
        switch state {
        case .opening: return true
        case .connecting:
            if input.readableBytes > table.policy.maxFrame { pauseReads() }
            return false
        case .closing: return false
        case .serving:
            let isFull = isFull(table)
            if isFull { pauseReads() }
            return !isFull && context?.channel.isWritable == true
        }
    }

    /// Whether requests must be answered before the next is taken up. The global limit never stops a connection that has
    /// nothing outstanding: nothing would wake it.
    private func isFull(_ table: ClientTable) -> Bool {
        outstanding >= table.policy.outstandingPerConnection
            || (table.outstanding >= table.policy.outstandingGlobally && outstanding > 0)
    }

    /// Whether a whole frame was there.
    private func decodeOne(_ table: ClientTable) throws(CodecError) -> Bool {
        guard state == .opening else {
            guard let frame = try RequestFrame.next(from: &input, limit: table.policy.maxFrame) else { return false }
            received(frame, table)
            return true
        }
        if let bytes = input.getBytes(at: input.readerIndex, length: 4),
            let word = FourLetterWord(rawValue: String(decoding: bytes, as: UTF8.self))
        {
            answer(word, table)
            return false
        }
        guard let frame = try input.readFrame(limit: table.policy.maxFrame) else { return false }
        let request = try ConnectRequest(frame: frame)
        state = .connecting
        record.received(table.statistics)
        // The machine learns of a connection with its connect request: a four-letter word is none of its business.
        isAnnounced = true
        table.turn.raise(.clientConnected(id, address: address))
        table.turn.raise(.connectRequested(id, request))
        return true
    }

    private func received(_ frame: RequestFrame, _ table: ClientTable) {
        record.received(table.statistics)
        record.lastOperation = frame.request.op
        record.lastCxid = frame.xid
        if case .malformed = frame.request { table.statistics.malformedFrames += 1 }
        unanswered.append(table.turn.now)
        table.outstanding += 1
        guard case .auth(_, let scheme, let credential) = frame.request else {
            table.turn.raise(.requested(id, xid: frame.xid, frame.request))
            return
        }
        let identities = Credentials.identities(
            scheme: scheme, credential: credential, superDigest: table.policy.superDigest, address: address)
        if identities == nil { table.statistics.failedAuthentications += 1 }
        table.turn.raise(.authenticated(id, xid: frame.xid, identities))
    }

    private func answer(_ word: FourLetterWord, _ table: ClientTable) {
        state = .closing
        output.writeBytes(table.answer(word))
        flush()
        closeOnceFlushed()
    }

    // MARK: out

    package func send(_ reply: Reply) {
        guard let table, state == .serving else { return }
        let before = output.writerIndex
        output.writeFrame(reply)
        table.statistics.replySizes.add(output.writerIndex - before - 4)
        if let began = unanswered.popFirst() {
            table.outstanding -= 1
            record.answered(reply, in: table.turn.now - began, at: table.wallTime, table.statistics)
        }
        scheduleFlush(table)
    }

    package func send(_ event: WatchEvent) {
        guard let table, state == .serving else { return }
        output.writeFrame(event)
        record.sent(table.statistics)
        scheduleFlush(table)
    }

    package func send(_ response: ConnectResponse) {
        guard let table, state == .connecting else { return }
        output.writeFrame(response)
        record.sent(table.statistics)
        record.session = response.sessionID
        record.timeout = response.timeout
        state = .serving
        scheduleFlush(table)
    }

    /// Closes once everything sent before has left, or after a while if the client doesn't read it.
    package func close() {
        guard state != .closing else { return }
        state = .closing
        flush()
        closeOnceFlushed()
    }

    /// A channel that is closed drops what its socket hasn't taken yet.
    private func closeOnceFlushed() {
        guard let context else { return }
        let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        guard unsent > 0 else { return context.close(promise: nil) }
        let left = context.eventLoop.makePromise(of: Void.self)
        left.futureResult.assumeIsolated().whenComplete { [self] _ in self.context?.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: left)
        context.eventLoop.assumeIsolated().scheduleTask(in: ClientConnection.lingering) { [weak self] in
            self?.context?.close(promise: nil)
        }
    }

    private func scheduleFlush(_ table: ClientTable) {
        guard output.readableBytes < ClientConnection.outputMark else { return flush() }
        guard !outputIsScheduled else { return }
        outputIsScheduled = true
        table.turn.flushAtEnd(self)
    }

    /// Writes what has gathered as one buffer, then takes up requests that waited for replies.
    package func flush() {
        outputIsScheduled = false
        guard let context else { return }
        if output.readableBytes > 0 {
            context.writeAndFlush(wrapOutboundOut(output), promise: nil)
            // A large reply's memory isn't kept by an idle connection.
            if output.capacity > 4096 { output = ByteBuffer() } else { output.clear() }
            if !context.channel.isWritable { dropIfStuck(context) }
        }
        if state == .serving { resume() }
    }

    private func dropIfStuck(_ context: ChannelHandlerContext) {
        guard let table, let options = context.channel.syncOptions,
            let unsent = try? options.getOption(.bufferedWritableBytes), unsent > table.policy.unsentBytes
        else { return }
        table.statistics.slowReadersClosed += 1
        state = .closing
        context.close(promise: nil)
    }

    // MARK: backpressure

    private func pauseReads() {
        guard !readsArePaused, let context else { return }
        readsArePaused = true
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
    }

    private func resume() {
        decode()
        // While it is full nothing would take what is read out of `input`.
        guard readsArePaused, state == .serving, let context, context.channel.isWritable, let table, !isFull(table),
            outstanding <= table.policy.outstandingPerConnection / 2
        else { return }
        readsArePaused = false
        try? context.channel.syncOptions?.setOption(.autoRead, value: true)
    }

    private func finish() {
        guard let table else { return }
        state = .closing
        table.outstanding -= unanswered.count
        unanswered.removeAll()
        self.table = nil
        table.closed(self)
        if isAnnounced { table.turn.raise(.clientDisconnected(id)) }
    }
}

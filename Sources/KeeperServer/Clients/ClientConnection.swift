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
    private var unanswered = FIFO<Unanswered>()
    private var account = ClientAccount()
    private var takenAtLook = 0
    /// For the frame at the head of `input` whose end has not come.
    private(set) var room = FrameRoom.Share.none
    /// Whether the table looks after it: see `look`.
    var isLookedAfter = false

    private struct Unanswered {
        var began: Instant
        /// Bytes of the frame.
        var size: Int
        /// Bytes that its answer is expected to have.
        var answer: Int
    }

    /// Replies of so many bytes don't wait for the turn's end, so that a socket which is full stops the decoding: a read
    /// of twenty bytes may ask for a megabyte.
    static let outputMark = 256 << 10
    /// What was sent before a close leaves as long as the client goes on taking some of it within this.
    private static let lingering = TimeAmount.seconds(10)
    /// What a request occupies beside its bytes.
    private static let requestOverhead = 256

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
    /// Bytes that the budget counts for this client.
    package var held: Int { account.charged }
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
        if let table { considerInput(table) }
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
        compactInput()
        settle()
    }

    /// The buffer that was read into goes back to the channel: keeping it would make every read allocate, and hold all of
    /// it for the beginning of a frame.
    private func compactInput() {
        let readable = input.readableBytes
        if readable == 0 {
            input = ByteBuffer()
        } else if input.capacity > max(4 * readable, 1024), room == .none {
            var rest = ByteBufferAllocator().buffer(capacity: readable)
            rest.writeBuffer(&input)
            input = rest
        } else if input.readerIndex > 4096 {
            input.discardReadBytes()
        }
    }

    private func mayDecode(_ table: ClientTable) -> Bool {
        switch state {
        case .opening: return true
        case .connecting:
            if input.readableBytes > MemoryBudget.trifle { pauseReads() }
            return false
        case .closing: return false
        case .serving:
            let isFull = isFull(table)
            if isFull { pauseReads() }
            return !isFull && context?.channel.isWritable == true
        }
    }

    /// Whether requests must be answered before the next is taken up. What all share never stops a connection for which
    /// nothing is held: nothing would wake it, and a request of any size can be served alone.
    private func isFull(_ table: ClientTable) -> Bool {
        if outstanding >= table.policy.outstandingPerConnection || account.answers >= ClientConnection.outputMark { return true }
        if outstanding > 0, table.outstanding >= table.policy.outstandingGlobally { return true }
        guard table.turn.budget.isUnderPressure, outstanding > 0 || account.unsent > 0 else { return false }
        let mustWait = table.turn.budget.isExhausted || account.charged > table.turn.budget.fairShare
        // The reply to its own last request may come while others still hold all there is.
        if mustWait { table.lookAfter(self) }
        return mustWait
    }

    /// A large frame whose end has not come needs room for all of it before more of it is read.
    private func considerInput(_ table: ClientTable) {
        guard state != .closing, input.readableBytes > MemoryBudget.trifle, let size = unfinishedFrame else { return }
        account.inputGrew()
        guard room == .none else { return }
        guard !table.room.isWanted || table.room.mayWait else { return table.turnAway(self) }
        room = table.room.ask(self, size: size, begun: input.readableBytes)
        if room.isWaiting {
            pauseReads()
            table.scheduleLook()
        } else {
            gotRoom(size)
        }
    }

    /// The size of the frame at the head of `input`, if more of it is to come.
    private var unfinishedFrame: Int? {
        guard let length = input.getInteger(at: input.readerIndex, as: Int32.self) else { return nil }
        let size = Int(length) + 4
        return size > input.readableBytes ? size : nil
    }

    /// The rest of the frame may come.
    func gotRoom(_ size: Int) {
        room = .granted(size: size)
        account.gotRoom()
        input.reserveCapacity(minimumWritableBytes: size - input.readableBytes)
        settle()
        resume()
    }

    private func giveRoomBack(_ table: ClientTable) {
        guard room != .none else { return }
        let share = room
        room = .none
        table.room.give(back: share)
    }

    func lookedWhileOthersWait() {
        if room.size > 0, !readsArePaused { account.lookedWhileOthersWait() }
    }

    /// Whether it has room and, though it is read, sends nothing of its frame, or too little.
    var isIdle: Bool {
        guard case .granted(let size) = room, !readsArePaused, state != .closing else { return false }
        return account.looksSilent > FrameRoom.patience || account.looksWithRoom > FrameRoom.patience + size / FrameRoom.leastPace
    }

    /// Whether a whole frame was there.
    private func decodeOne(_ table: ClientTable) throws(CodecError) -> Bool {
        guard state == .opening else {
            let before = input.readableBytes
            guard let frame = try RequestFrame.next(from: &input, limit: table.policy.maxFrame) else { return false }
            received(frame, size: before - input.readableBytes, table)
            giveRoomBack(table)
            return true
        }
        if let bytes = input.getBytes(at: input.readerIndex, length: 4),
            let word = FourLetterWord(rawValue: String(decoding: bytes, as: UTF8.self))
        {
            answer(word, table)
            return false
        }
        guard let frame = try input.readFrame(limit: table.policy.maxFrame) else { return false }
        giveRoomBack(table)
        let request = try ConnectRequest(frame: frame)
        state = .connecting
        record.received(table.statistics)
        // The machine learns of a connection with its connect request: a four-letter word is none of its business.
        isAnnounced = true
        table.turn.raise(.clientConnected(id, address: address))
        table.turn.raise(.connectRequested(id, request))
        return true
    }

    private func received(_ frame: RequestFrame, size: Int, _ table: ClientTable) {
        record.received(table.statistics)
        record.lastOperation = frame.request.op
        record.lastCxid = frame.xid
        if case .malformed = frame.request { table.statistics.malformedFrames += 1 }
        let answer = expectedAnswer(to: frame.request, table)
        let request = Unanswered(began: table.turn.now, size: size + ClientConnection.requestOverhead, answer: answer)
        unanswered.append(request)
        table.outstanding += 1
        account.asked(request.size, answer: answer)
        settle()
        guard case .auth(_, let scheme, let credential) = frame.request else {
            table.turn.raise(.requested(id, xid: frame.xid, frame.request))
            return
        }
        let identities = Credentials.identities(
            scheme: scheme, credential: credential, superDigest: table.policy.superDigest, address: address)
        if identities == nil { table.statistics.failedAuthentications += 1 }
        table.turn.raise(.authenticated(id, xid: frame.xid, identities))
    }

    /// What is read behind a write is answered together with it, whether or not the client takes it: so it counts before
    /// it is there, for as much as it has now or the greatest of the client's own writes may give it.
    private func expectedAnswer(to request: Request, _ table: ClientTable) -> Int {
        outstanding == 0 ? 0 : table.answerSize(request, record.session, account.largestRequest)
    }

    private func answer(_ word: FourLetterWord, _ table: ClientTable) {
        state = .closing
        guard let later = table.answerLater(word) else { return end(with: table.answer(word)) }
        later.assumeIsolated().whenComplete { [self] result in end(with: (try? result.get()) ?? []) }
    }

    private func end(with answer: [UInt8]) {
        output.writeBytes(answer)
        flush()
        closeOnceFlushed()
    }

    // MARK: out

    package func send(_ reply: Reply) {
        guard let table, state == .serving else { return }
        let before = output.writerIndex
        output.writeFrame(reply)
        table.statistics.replySizes.add(output.writerIndex - before - 4)
        if let request = unanswered.popFirst() {
            table.outstanding -= 1
            account.answered(request.size, answer: request.answer)
            record.answered(reply, in: table.turn.now - request.began, at: table.wallTime, table.statistics)
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
        measure(context)
        guard account.unsent > 0 else { return context.close(promise: nil) }
        let left = context.eventLoop.makePromise(of: Void.self)
        left.futureResult.assumeIsolated().whenComplete { [self] _ in self.context?.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: left)
        linger(context, taken: account.taken)
    }

    private func linger(_ context: ChannelHandlerContext, taken: Int) {
        context.eventLoop.assumeIsolated().scheduleTask(in: ClientConnection.lingering) { [weak self] in
            guard let self, let context = self.context else { return }
            measure(context)
            if account.taken > taken { linger(context, taken: account.taken) } else { context.close(promise: nil) }
        }
    }

    private func scheduleFlush(_ table: ClientTable) {
        settle()
        // What one transaction tells thousands of watchers may be more than all may hold.
        let mark = table.turn.budget.isUnderPressure ? MemoryBudget.trifle : ClientConnection.outputMark
        guard output.readableBytes < mark else { return flush() }
        guard !outputIsScheduled else { return }
        outputIsScheduled = true
        table.turn.flushAtEnd(self)
    }

    /// Writes what has gathered as one buffer, then takes up requests that waited for replies.
    package func flush() {
        outputIsScheduled = false
        guard let context else { return }
        if output.readableBytes > 0 {
            account.wrote(output.readableBytes)
            // Out of the way first: when the socket takes so much that the channel becomes writable again, that is told
            // before the write returns, and what is decoded then may be answered at once.
            var bytes = output
            output = ByteBuffer()
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            // A large reply's memory isn't kept by an idle connection.
            if output.readableBytes == 0, bytes.capacity <= 4096 {
                bytes.clear()
                output = bytes
            }
            if account.isUncertain { measure(context) }
            settle()
        }
        if state == .serving { resume() }
    }

    // MARK: what is held

    /// Asks how much the socket has not taken.
    private func measure(_ context: ChannelHandlerContext) {
        let unsent = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        account.measured(unsent: unsent)
        settle()
        if unsent > 0 { table?.lookAfter(self) }
    }

    /// Tells the budget what is held now.
    private func settle() {
        guard let table else { return }
        let isLess = account.settle(
            gathered: output.readableBytes, input: max(input.readableBytes, room.size), table.turn.budget)
        if isLess { table.room.admit() }
    }

    /// Called by the table now and then for a connection that has told it so, until it needs no more looking after.
    func look() -> Bool {
        guard table != nil, let context else { return false }
        if account.unsent > 0 {
            account.looked()
            measure(context)
        }
        noteProgress()
        if readsArePaused, state != .closing { resume() }
        return account.unsent > 0 || (readsArePaused && state != .closing)
    }

    /// A slow reader is not a silent client: what it says may wait until it has taken its replies, here unread or there
    /// unsaid.
    private func noteProgress() {
        let hasTaken = account.taken > takenAtLook
        takenAtLook = account.taken
        if hasTaken, state == .serving { table?.turn.raise(.clientTookReplies(id)) }
    }

    /// Whether the client has taken nothing of what waits for it for so many looks.
    func isStuck(for looks: Int) -> Bool { account.unsent > 0 && account.looksUntaken > looks }

    /// Bytes that wait behind the last write: a single answer may be of any size.
    var backlog: Int { account.backlog }

    /// Closes at once: it would not take what it is sent.
    func cutOff() {
        state = .closing
        context?.close(promise: nil)
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
        guard readsArePaused, state == .serving || state == .opening, let context, context.channel.isWritable, let table,
            !isFull(table), outstanding <= table.policy.outstandingPerConnection / 2, !room.isWaiting
        else { return }
        readsArePaused = false
        // While it wasn't read it could not show progress.
        account.gotRoom()
        try? context.channel.syncOptions?.setOption(.autoRead, value: true)
    }

    private func finish() {
        guard let table else { return }
        state = .closing
        table.outstanding -= unanswered.count
        unanswered.removeAll()
        account.close(table.turn.budget)
        giveRoomBack(table)
        self.table = nil
        table.closed(self)
        if isAnnounced { table.turn.raise(.clientDisconnected(id)) }
    }
}

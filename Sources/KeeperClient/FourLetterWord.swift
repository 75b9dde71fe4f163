import EnsembleBase
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

extension KeeperClient {
    /// Sends a four-letter word such as `srvr` or `mntr` to a server's client port and returns its answer.
    ///
    /// Throws `invalidArgument` unless the word has four letters, `notTried` if no attempt could be made, `unreachable` if
    /// the server could not be reached or did not answer in full in time, `connectionLost` if it took the connection and closed it without an answer (it
    /// does that to an address that has too many), `malformedReply` beyond 16 MiB. A word that the server does not allow is
    /// answered with a sentence that says so.
    public static func fourLetterWord(
        _ word: String, host: String, port: Int, timeout: Duration = .seconds(2)
    ) async throws -> String {
        guard word.utf8.count == 4, word.utf8.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }) else {
            throw KeeperClientError.invalidArgument("'\(word)' is not four lower-case letters")
        }
        let server = ConnectString.Server(host: host, port: port)
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let answer = loop.makePromise(of: String.self)
        let limit = TimeAmount.nanoseconds(timeout.inNanoseconds)
        // A channel is there once the name has led to an address.
        let isResolved = NIOLockedValueBox(false)
        let expiry = loop.scheduleTask(in: limit) {
            answer.fail(
                isResolved.withLockedValue { $0 }
                    ? KeeperClientError.unreachable("\(server): no answer to '\(word)' within \(timeout)")
                    : KeeperClientError.notTried("\(server): its name could not be resolved within \(timeout)"))
        }
        ClientBootstrap(group: loop)
            .connectTimeout(limit)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    isResolved.withLockedValue { $0 = true }
                    try channel.pipeline.syncOperations.addHandler(WordChannelHandler(word, server, answer))
                }
            }
            .connect(host: host, port: port)
            .whenComplete { result in
                switch result {
                case .success(let channel): answer.futureResult.whenComplete { _ in channel.close(promise: nil) }
                case .failure(let error): answer.fail(failure(of: server, error))
                }
            }
        answer.futureResult.whenComplete { _ in expiry.cancel() }
        return try await answer.futureResult.get()
    }
}

/// Whether the server, or its host, has been heard of at all decides: only a refusal, a reset and the time that has run
/// out are its doing (connect(2)).
private func failure(of server: ConnectString.Server, _ error: any Error) -> KeeperClientError {
    func isOurs(_ error: any Error) -> Bool {
        guard let error = error as? IOError else { return false }
        return ![ECONNREFUSED, ECONNRESET, ETIMEDOUT, EPIPE].contains(error.errnoCode)
    }
    guard let error = error as? NIOConnectionError else {
        return isOurs(error) ? .notTried("\(server): \(error)") : .unreachable("\(server): \(error)")
    }
    guard let first = error.connectionErrors.first else {
        return .notTried("\(server): its name can't be resolved: \(error.dnsAError ?? error.dnsAAAAError ?? error)")
    }
    let isNotTried = error.connectionErrors.allSatisfy { isOurs($0.error) }
    return isNotTried ? .notTried("\(server): \(first.error)") : .unreachable("\(server): \(first.error)")
}

/// Sends the word, collects everything up to the end of the stream.
private final class WordChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let answerLimit = 16 << 20

    private let word: String
    private let server: ConnectString.Server
    private let answer: EventLoopPromise<String>
    private var received = ByteBuffer()

    init(_ word: String, _ server: ConnectString.Server, _ answer: EventLoopPromise<String>) {
        self.word = word
        self.server = server
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: word)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        received.writeBuffer(&incoming)
        guard received.readableBytes <= Self.answerLimit else {
            answer.fail(KeeperClientError.malformedReply("\(server): more than \(Self.answerLimit) bytes for '\(word)'"))
            return
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if received.readableBytes == 0 {
            answer.fail(KeeperClientError.connectionLost(.unknown))
        } else {
            answer.succeed(String(buffer: received))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Handlers hear of errors only once they are connected: a reset, as a rule.
        answer.fail(KeeperClientError.connectionLost(.unknown))
    }
}

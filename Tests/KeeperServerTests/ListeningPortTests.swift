import EnsembleBase
import KeeperServer
import Logging
import NIOCore
import NIOPosix
import Testing

@Suite struct ListeningPortTests {
    /// What a port takes; says so.
    private final class Greeter: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(NIOAny(ByteBuffer(string: "hello")), promise: nil)
        }
    }

    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let heard: EventLoopPromise<String>
        init(_ heard: EventLoopPromise<String>) { self.heard = heard }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { heard.succeed(String(buffer: unwrapInboundIn(data))) }
        func channelInactive(context: ChannelHandlerContext) { heard.fail(ChannelError.eof) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { heard.fail(error) }
    }

    private let group = MultiThreadedEventLoopGroup.singleton
    private var loop: any EventLoop { group.any() }

    private func address(_ text: String, _ port: Int = 0) throws -> SocketAddress { try SocketAddress(ipAddress: text, port: port) }

    private func port(_ addresses: [SocketAddress], on loop: any EventLoop) throws -> NIOLoopBound<ListeningPort> {
        try loop.submit {
            let port = ListeningPort(
                eventLoop: loop, network: SocketNetwork(eventLoop: loop), addresses: addresses, backlog: 8, profile: .election,
                log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { _ in Greeter() }
            return NIOLoopBound(port, eventLoop: loop)
        }.wait()
    }

    private func opened(_ port: NIOLoopBound<ListeningPort>, on loop: any EventLoop) throws -> [SocketAddress] {
        try loop.flatSubmit { port.value.open() }.wait()
        return try loop.submit { port.value.localAddresses }.wait()
    }

    private func greeting(at address: SocketAddress) throws -> String {
        let heard = group.any().makePromise(of: String.self)
        do {
            let channel = try ClientBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Reader(heard)) }
                }
                .connect(to: address).wait()
            defer { channel.close(promise: nil) }
            return try heard.futureResult.wait()
        } catch {
            heard.fail(error)
            throw error
        }
    }

    /// Every host has these two addresses, with IPv6 or without.
    @Test func everyAddressIsListenedAtOnOnePort() throws {
        let loop = loop
        let port = try port([try address("127.0.0.1"), try address("127.0.0.2")], on: loop)
        let addresses = try opened(port, on: loop)
        #expect(addresses.map(\.ipAddress) == ["127.0.0.1", "127.0.0.2"])
        #expect(Set(addresses.map(\.port)).count == 1)
        for address in addresses { #expect(try greeting(at: address) == "hello") }
        try loop.submit { port.value.close() }.wait()
        #expect(throws: (any Error).self) { try greeting(at: addresses[1]) }
    }

    @Test func anAddressOfAnotherHostIsLeftOutAsLongAsThereIsOneOfThisHost() throws {
        let loop = loop
        // 240.0.0.0/4 is reserved (RFC 1112): unlike the addresses meant for documentation, which machines have been
        // given, no host has one of these.
        let port = try port([try address("240.0.0.1"), try address("127.0.0.1")], on: loop)
        let addresses = try opened(port, on: loop)
        #expect(addresses.map(\.ipAddress) == ["127.0.0.1"])
        try loop.submit { port.value.close() }.wait()
        let none = try self.port([try address("240.0.0.1"), try address("240.0.0.2")], on: loop)
        #expect(throws: ListeningFailure.self) { try opened(none, on: loop) }
    }

    @Test func aTakenAddressIsAnErrorAndLeavesNothingOpen() throws {
        let loop = loop
        let first = try port([try address("127.0.0.2")], on: loop)
        let taken = try #require(try opened(first, on: loop).first)
        let number = try #require(taken.port)
        let second = try port([try address("127.0.0.1", number), taken], on: loop)
        #expect(throws: ListeningFailure.self) { try opened(second, on: loop) }
        #expect(throws: (any Error).self) { try greeting(at: try address("127.0.0.1", number)) }
        try loop.submit { first.value.close() }.wait()
    }

    /// Apache's server takes either for both families.
    @Test(arguments: ["::", "0.0.0.0"]) func theWildcardIsOfBothFamilies(host: String) throws {
        let addresses = try HostAddresses.listening(host: host, port: 2181)
        #expect(addresses.map(\.protocol) == [.inet, .inet6])
        #expect(addresses.allSatisfy { $0.port == 2181 })
    }

    /// With a socket for both an IPv4 client would come from ::ffff:127.0.0.1, which no `ip` right for IPv4 matches.
    @Test func atTheWildcardIPv4StaysIPv4() throws {
        let loop = loop
        let port = try port(HostAddresses.everywhere(port: 0), on: loop)
        let addresses = try opened(port, on: loop)
        #expect(addresses.first?.ipAddress == "0.0.0.0")
        let number = try #require(addresses.first?.port)
        #expect(try greeting(at: try address("127.0.0.1", number)) == "hello")
        // A host without IPv6 has one of them.
        if addresses.count == 2 { #expect(try greeting(at: try address("::1", number)) == "hello") }
        try loop.submit { port.value.close() }.wait()
    }

    @Test func aNameWithoutAnAddressIsSaidSo() {
        let failure = #expect(throws: HostAddresses.Unresolved.self) {
            try HostAddresses.listening(host: "no-such-name.invalid", port: 2181)
        }
        #expect(failure?.host == "no-such-name.invalid")
    }
}

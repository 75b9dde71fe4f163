import Glibc
import Logging
import NIOCore

/// One port on every address that its name stands for. Loop-bound.
///
/// Who dials takes whichever address of a name it likes: Apache's server the IPv4 one, others the IPv6 one first. A port
/// that is open on one of them only is there for some and not for others.
package final class ListeningPort {
    private let eventLoop: any EventLoop
    private let network: any Network
    private let addresses: [SocketAddress]
    private let backlog: Int
    private let profile: ConnectionProfile
    private let log: Logger
    private let accept: (any Channel) throws -> any ChannelHandler
    private var channels: [any Channel] = []
    /// While it isn't, connections wait in the backlog.
    package var isAccepting = true {
        didSet { for channel in channels { ListeningPort.set(channel, isAccepting: isAccepting) } }
    }
    /// Addresses that this host doesn't have, or not yet: an IPv6 address is tentative for a second or two.
    private var absent: [SocketAddress] = []
    /// Counts `open` and `close`: what an earlier one began is told from what this one did.
    private var generation = 0

    private static let pause = TimeAmount.seconds(5)

    package init(
        eventLoop: any EventLoop, network: any Network, addresses: [SocketAddress], backlog: Int, profile: ConnectionProfile,
        log: Logger, accept: @escaping (any Channel) throws -> any ChannelHandler
    ) {
        self.eventLoop = eventLoop
        self.network = network
        self.addresses = addresses
        self.backlog = backlog
        self.profile = profile
        self.log = log
        self.accept = accept
    }

    /// Where it listens; the first is the one whose port the system chose, if it was to choose.
    package var localAddresses: [SocketAddress] { channels.compactMap(\.localAddress) }

    /// Fails, with nothing left open, if one address can't be had: it is taken, say. An address that isn't this host's is
    /// left out and tried again, as long as there is another.
    package func open() -> EventLoopFuture<Void> {
        close()
        return bind(addresses[...], generation)
    }

    package func close() {
        generation += 1
        for channel in channels { channel.close(promise: nil) }
        channels = []
        absent = []
    }

    private func bind(_ rest: ArraySlice<SocketAddress>, _ mine: Int) -> EventLoopFuture<Void> {
        guard var address = rest.first else {
            tryAbsentAgain(mine)
            return eventLoop.makeSucceededVoidFuture()
        }
        if address.port == 0 { address.port = channels.first?.localAddress?.port ?? 0 }
        let bound = NIOLoopBound((self, address), eventLoop: eventLoop)
        return network.listen(at: address, backlog: backlog, profile, accept: accept)
            .map { channel in bound.value.0.opened(channel, mine) }
            .flatMapErrorThrowing { error in
                let (port, address) = bound.value
                try port.failed(address, error, isLast: rest.count == 1, mine)
            }
            .flatMap { bound.value.0.bind(rest.dropFirst(), mine) }
    }

    private func opened(_ channel: any Channel, _ mine: Int) {
        // Closed while it was being bound.
        guard mine == generation else { return channel.close(promise: nil) }
        channels.append(channel)
        if !isAccepting { ListeningPort.set(channel, isAccepting: false) }
    }

    private func failed(_ address: SocketAddress, _ error: any Error, isLast: Bool, _ mine: Int) throws {
        guard mine == generation else { return }
        guard ListeningPort.isAbsence(error), !(isLast && channels.isEmpty) else {
            close()
            throw ListeningFailure(address: address, error: error)
        }
        // A host without IPv6 is no news.
        guard (error as? IOError)?.errnoCode != EAFNOSUPPORT else { return }
        log.warning("\(address) is not an address of this host, or not yet; listening without it and trying again")
        absent.append(address)
    }

    private func tryAbsentAgain(_ mine: Int) {
        guard !absent.isEmpty, mine == generation else { return }
        eventLoop.assumeIsolated().scheduleTask(in: ListeningPort.pause) { [weak self] in self?.openAbsent(mine) }
    }

    private func openAbsent(_ mine: Int) {
        guard mine == generation, let address = absent.first else { return }
        network.listen(at: address, backlog: backlog, profile, accept: accept)
            .assumeIsolated()
            .whenComplete { [self] result in
                guard case .success(let channel) = result else { return tryAbsentAgain(mine) }
                opened(channel, mine)
                guard mine == generation else { return }
                log.info("listening at \(address) as well")
                absent.removeFirst()
                tryAbsentAgain(mine)
            }
    }

    private static func set(_ channel: any Channel, isAccepting: Bool) {
        try? channel.syncOptions?.setOption(.autoRead, value: isAccepting)
    }

    private static func isAbsence(_ error: any Error) -> Bool {
        switch (error as? IOError)?.errnoCode {
        case EADDRNOTAVAIL, EAFNOSUPPORT: true
        default: false
        }
    }
}

/// Which address could not be listened at, and why.
package struct ListeningFailure: Error, CustomStringConvertible {
    package var address: SocketAddress
    package var error: any Error
    package var description: String { "\(address): \(error)" }
}

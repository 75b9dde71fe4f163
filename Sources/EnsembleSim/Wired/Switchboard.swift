import EnsembleBase
import KeeperCore
import KeeperServer
import NIOCore

/// Where a connection begins or ends.
enum Place: Hashable, Sendable {
    case server(ServerID)
    case client(Int)
}

/// Every port that is listened on, and every cable.
final class Switchboard {
    struct Listener {
        var server: ServerID
        var loop: WiredLoop
        var profile: ConnectionProfile
        var accept: (any Channel) throws -> any ChannelHandler
        /// What its owner closes, or forbids to accept.
        var channel: WiredChannel
        /// Connections that wait to be accepted. The kernel makes them, whether the process runs or stands still.
        var waiting = FIFO<Cable>()
    }

    let timeline: Timeline
    private var listeners: [Int: Listener] = [:]
    private(set) var cables: [Cable] = []
    /// Those who wait for a connection, by cable.
    private var diallers: [Int: (Bool) -> Void] = [:]
    private var ports: [Int] = []
    /// Directed pairs of servers between which nothing passes.
    var cuts = ServerPairs()

    init(timeline: Timeline) { self.timeline = timeline }

    /// Servers have an address each, ports of one world are all different: a port names its listener.
    func listen(on port: Int, _ listener: Listener) -> Bool {
        guard listeners[port] == nil else { return false }
        listeners[port] = listener
        ports.append(port)
        return true
    }

    func stopListening(on port: Int) {
        guard var listener = listeners.removeValue(forKey: port) else { return }
        ports.removeAll { $0 == port }
        while let cable = listener.waiting.popFirst() { cable.reset(from: .acceptor) }
    }

    /// The process is dead: the kernel closes what it had.
    func forget(_ server: ServerID) {
        for port in ports where listeners[port]?.server == server { stopListening(on: port) }
    }

    /// `answer` is told once: whether there is a connection.
    func dial(_ port: Int, from place: Place, answer: @escaping (Bool) -> Void) -> Cable {
        let target = Place.server(Switchboard.server(ofPort: port))
        let cable = Cable(number: cables.count, from: place, to: target, timeline: timeline)
        cables.append(cable)
        diallers[cable.number] = answer
        portOfCable[cable.number] = port
        timeline.schedule(.arrived(cable: cable.number), in: timeline.pathDelay())
        return cable
    }

    private var portOfCable: [Int: Int] = [:]

    func arrived(_ number: Int) {
        let cable = cables[number]
        // SYNs are repeated.
        guard !isCut(cable, from: .dialler), !isCut(cable, from: .acceptor) else {
            if diallers[number] != nil { timeline.schedule(.arrived(cable: number), in: .milliseconds(200)) }
            return
        }
        guard let port = portOfCable.removeValue(forKey: number), listeners[port] != nil else {
            return timeline.schedule(.answered(cable: number, isAccepted: false), in: timeline.pathDelay())
        }
        listeners[port]?.waiting.append(cable)
        listeners[port]?.loop.wake()
        timeline.schedule(.answered(cable: number, isAccepted: true), in: timeline.pathDelay())
    }

    func answered(_ number: Int, _ isAccepted: Bool) { diallers.removeValue(forKey: number)?(isAccepted) }

    /// The dialler waits no longer.
    func givesUp(_ number: Int) { diallers[number] = nil }

    func deliver(_ number: Int, from side: Cable.Side) {
        // TCP repeats what a cut swallows: it arrives when the cut is over.
        if isCut(cables[number], from: side) { return timeline.schedule(.delivery(cable: number, from: side), in: .milliseconds(50)) }
        cables[number].deliver(from: side)
    }

    private func isCut(_ cable: Cable, from side: Cable.Side) -> Bool {
        guard case .server(let sender) = cable.place(side), case .server(let receiver) = cable.place(side.other) else { return false }
        return cuts.contains(from: sender, to: receiver)
    }

    /// A connection that `server` has not accepted yet, with what its listener makes of it.
    func nextToAccept(at server: ServerID) -> (Cable, Listener)? {
        for port in ports {
            guard let listener = listeners[port], listener.server == server, listener.channel.isReading,
                let cable = listeners[port]?.waiting.popFirst()
            else { continue }
            return (cable, listener)
        }
        return nil
    }

    // MARK: Addresses

    static func clientPort(of server: ServerID) -> Int { 2_000 + Int(server) }
    static func quorumPort(of server: ServerID) -> Int { 3_000 + Int(server) }
    static func electionPort(of server: ServerID) -> Int { 4_000 + Int(server) }
    /// Where a connection comes from.
    static func clientPort(ofCable number: Int) -> Int { 1_024 + number % 64_000 }
    static func host(of server: ServerID) -> String { "10.0.0.\(server)" }
    private static func server(ofPort port: Int) -> ServerID { ServerID(port % 1_000) }
}

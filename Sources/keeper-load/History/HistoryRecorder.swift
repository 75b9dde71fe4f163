import EnsembleBase
import KeeperClient
import KeeperCore
import Synchronization

/// One client of a history. It makes one request after the other, drawn from its seed, with a new number in each write, so
/// that whatever is found later names the request that wrote it.
struct HistoryRecorder: Sendable {
    /// Set by SIGTERM.
    static let isEnding = Atomic<Bool>(false)

    let client: Int
    let servers: ConnectString
    let layout: HistoryLayout
    let pause: Duration
    let file: HistoryFile
    let tally: Tally
    private var random: SeededRandom
    private var number: Int
    /// Nodes of its own that were acknowledged, the newest last; of a session before, some.
    private var made: [String] = []
    /// Of the present session.
    private var session: Int64 = 0
    private var timeout = Duration.zero
    private var lastAcknowledged: Int64 = 0
    private var watch: OpenWatch?

    /// Nobody else writes these numbers: the time in milliseconds when it began, and its own number.
    private var nextNumber: Int {
        mutating get {
            number += 1
            return number * 1000 + client
        }
    }

    init(
        client: Int, servers: ConnectString, layout: HistoryLayout, pause: Duration, file: HistoryFile, tally: Tally, seed: UInt64
    ) {
        self.client = client
        self.servers = servers
        self.layout = layout
        self.pause = pause
        self.file = file
        self.tally = tally
        random = SeededRandom(seed: seed &* 1000 &+ UInt64(client))
        // Distinct from those of an earlier recording into the same ensemble.
        number = Int(WireGenerator.now() / 1_000_000)
    }

    mutating func run(until end: ContinuousClock.Instant) async throws {
        func isOver() -> Bool { ContinuousClock.now >= end || HistoryRecorder.isEnding.load(ordering: .relaxed) }
        while !isOver() {
            var configuration = KeeperClient.Configuration()
            configuration.sessionTimeout = .seconds(6)
            let connected = try? await KeeperClient.connect(to: servers, configuration: configuration, within: .seconds(5))
            guard let connected else { continue }
            session = try await connected.sessionID()
            timeout = try await connected.sessionTimeout()
            lastAcknowledged = 0
            while !isOver(), try await !connected.status().isFinal {
                try await act(connected)
                try await Task.sleep(for: pause)
                if Int.random(in: 0..<2000, using: &random) == 0 { break }
            }
            try await leave(connected)
        }
    }

    /// Ends the session, or records that it was ended.
    private mutating func leave(_ connection: KeeperClient) async throws {
        if let watch { try settle(watch) }
        watch = nil
        var record = blank(.close, layout.ephemeral(client))
        if try await connection.status() == .expired {
            record.action = .expired
            record.timeout = Int64(timeout / .milliseconds(1))
            record.start = lastAcknowledged
        } else {
            await connection.close()
            // Whether the servers answered is not told; the session is over either way, at the latest when it expires.
            record.outcome = .unknown
        }
        record.end = WireGenerator.now()
        // Without an acknowledged write there is nothing to count from.
        if record.action == .close || record.start > 0 { try file.append(record) }
    }

    private mutating func act(_ connection: KeeperClient) async throws {
        if let watch, watch.hasFired {
            try settle(watch)
            self.watch = nil
        }
        let anyone = Int.random(in: 0..<layout.clients, using: &random)
        let shared = layout.shared(Int.random(in: 0..<HistoryLayout.sharedRegisters, using: &random))
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<20: try await create(connection)
        case 20..<35: try await set(connection)
        case 35..<55: try await read(layout.register(anyone), connection)
        case 55..<60: try await read(layout.register(anyone), connection, synced: true)
        case 60..<70: try await swap(shared, connection)
        case 70..<74: try await read(shared, connection, synced: true)
        case 74..<80: try await sequence(connection)
        case 80..<85: try await ephemeral(connection)
        case 85..<88: try await read(layout.ephemeral(client), connection)
        case 88..<92: try await read(layout.ephemeral(anyone), connection, synced: true)
        case 92..<94: try await delete(connection)
        default: try await open(layout.register(anyone), connection)
        }
    }

    // MARK: Requests

    private func blank(_ action: HistoryRecord.Action, _ key: String, _ value: Int? = nil) -> HistoryRecord {
        HistoryRecord(
            client: client, session: session, action: action, key: key, value: value, start: WireGenerator.now(), end: 0,
            outcome: .ok)
    }

    private mutating func create(_ connection: KeeperClient) async throws {
        let value = nextNumber
        let path = "\(layout.register(client))/\(value)"
        let record = try await write(blank(.create, path, value), creation(path, value, flags: 0), connection)
        if record.outcome == .ok { made.append(path) }
    }

    private mutating func sequence(_ connection: KeeperClient) async throws {
        let value = nextNumber
        let path = "\(layout.sequence)/c\(client)-"
        _ = try await write(blank(.sequence, path, value), creation(path, value, flags: 2), connection)
    }

    private mutating func ephemeral(_ connection: KeeperClient) async throws {
        let value = nextNumber
        let path = layout.ephemeral(client)
        _ = try await write(blank(.ephemeral, path, value), creation(path, value, flags: 1), connection)
    }

    private func creation(_ path: String, _ value: Int, flags: Int32) -> Request {
        .create(CreateRequest(path: NodePath(path), data: Array(String(value).utf8), acl: AccessRight.openToAll, flags: flags))
    }

    /// One of its nodes, or its ephemeral.
    private mutating func delete(_ connection: KeeperClient) async throws {
        var path = layout.ephemeral(client)
        if !made.isEmpty, Int.random(in: 0..<4, using: &random) != 0 {
            path = made.remove(at: Int.random(in: 0..<made.count, using: &random))
            if made.count > 1000 { made.removeFirst(500) }
        }
        _ = try await write(blank(.delete, path), .delete(path: NodePath(path), version: -1), connection)
    }

    private mutating func set(_ connection: KeeperClient) async throws {
        let value = nextNumber
        let path = layout.register(client)
        let request = Request.setData(path: NodePath(path), data: Array(String(value).utf8), version: -1)
        _ = try await write(blank(.set, path, value), request, connection)
    }

    /// Replaces what it has just read.
    private mutating func swap(_ path: String, _ connection: KeeperClient) async throws {
        guard let expected = try await read(path, connection).version else { return }
        let value = nextNumber
        var record = blank(.swap, path, value)
        record.expected = expected
        let request = Request.setData(path: NodePath(path), data: Array(String(value).utf8), version: expected)
        _ = try await write(record, request, connection)
    }

    @discardableResult
    private mutating func read(_ path: String, _ connection: KeeperClient, synced: Bool = false) async throws -> HistoryRecord {
        var record = blank(.get, path)
        if synced {
            record.synced = true
            var sync = record
            guard try await ask(.sync(path: NodePath(path)), &sync, connection) != nil, sync.outcome == .ok else {
                sync.outcome = .fail
                try note(sync)
                return sync
            }
        }
        let reply = try await ask(.getData(path: NodePath(path), watch: false), &record, connection)
        if case .data(let bytes, let stat)? = reply?.body {
            record.value = Int(String(decoding: bytes ?? [], as: UTF8.self))
            record.zxid = stat.mzxid.rawValue
            record.version = stat.version
            record.owner = stat.ephemeralOwner
        } else if reply?.error == .noNode {
            record.outcome = .ok
            record.error = nil
        }
        try note(record)
        return record
    }

    private mutating func write(_ asked: HistoryRecord, _ request: Request, _ connection: KeeperClient) async throws -> HistoryRecord {
        var record = asked
        let reply = try await ask(request, &record, connection)
        if let reply, reply.error == nil {
            record.zxid = reply.zxid.rawValue
            lastAcknowledged = record.start
            switch reply.body {
            case .path(let path) where record.action == .sequence: record.key = path.description
            case .stat(let stat): record.version = stat.version
            default: break
            }
        }
        try note(record)
        return record
    }

    /// Sends and waits; nil if there was no reply.
    private func ask(_ request: Request, _ record: inout HistoryRecord, _ connection: KeeperClient) async throws -> Reply? {
        defer { record.end = WireGenerator.now() }
        do {
            let reply = try await connection.call(request, timeout: .seconds(5))
            record.header = reply.zxid.rawValue
            if let error = reply.error {
                record.outcome = .fail
                record.error = "\(error)"
            }
            return reply
        } catch let error as KeeperClientError {
            record.error = "\(error)"
            switch error {
            case .connectionLost(.unknown), .timedOut(.unknown), .cancelled(.unknown): record.outcome = .unknown
            default: record.outcome = .fail
            }
            return nil
        }
    }

    private func note(_ record: HistoryRecord) throws {
        tally.count(record.outcome)
        try file.append(record)
    }

    // MARK: Watches

    /// One at a time, on a register that others overwrite.
    private mutating func open(_ path: String, _ connection: KeeperClient) async throws {
        guard watch == nil else {
            // A read of what is watched: if it shows a change, the watch must have told of it before.
            try await read(watch?.record.key ?? path, connection)
            return
        }
        let opened = OpenWatch(record: blank(.watch, path))
        do {
            let (_, stat) = try await connection.getData(path, timeout: .seconds(5)) { event in
                if event.kind != .watchLost { opened.fire() }
            }
            var record = opened.record
            record.zxid = stat.modificationZxid
            record.end = WireGenerator.now()
            watch = OpenWatch(record: record, firing: opened.firing)
        } catch is KeeperClientError {
            // It was not set, or nobody can tell.
        }
    }

    private func settle(_ watch: OpenWatch) throws {
        var record = watch.record
        record.fired = watch.hasFired ? watch.firing.time.load(ordering: .acquiring) : nil
        try note(record)
    }
}

/// A watch that was left, and when it fired.
private struct OpenWatch: Sendable {
    final class Firing: Sendable {
        /// 0 until then.
        let time = Atomic<Int64>(0)
    }

    var record: HistoryRecord
    var firing = Firing()

    var hasFired: Bool { firing.time.load(ordering: .acquiring) != 0 }

    /// Called on the client's loop before any later reply is taken from the connection.
    func fire() { firing.time.store(WireGenerator.now(), ordering: .releasing) }
}

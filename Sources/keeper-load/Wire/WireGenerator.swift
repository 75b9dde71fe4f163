import CLinux
import Glibc
import KeeperClient

/// What a run showed.
struct LoadResult: Sendable, Codable {
    var operation: String
    var connections: Int
    var outstanding: Int
    var seconds: Double
    var requests: UInt64
    /// Requests per second.
    var throughput: Double
    /// Microseconds.
    var p50: Double
    var p99: Double
    var p999: Double
    var maximum: Double
    /// Replies that carried an error.
    var errors: UInt64
    /// Connections that broke during the run.
    var broken: Int
}

/// Drives all connections from one thread with epoll, each kept at its limit of outstanding requests.
struct WireGenerator {
    var servers: [ConnectString.Server]
    var connections: Int
    var outstanding: Int
    var seconds: Double
    /// Seconds before measuring begins.
    var warmUp: Double

    private struct Lane {
        let connection: WireConnection
        let creation: (frame: [UInt8], digits: Int)
        var made = 0
        var waitsToWrite = false
    }

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Makes the nodes, over one connection of its own.
    func prepare(_ workload: Workload) throws {
        let frames = workload.preparation(connections: connections)
        let connection = try WireConnection(to: servers[0], outstanding: frames.count + 1)
        var failed: Int32 = 0
        for frame in frames + [Workload.closing] {
            frame.withUnsafeBytes { _ = connection.enqueue($0, at: 0) }
        }
        while connection.outstanding > 0 {
            _ = try connection.flush()
            var poller = pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&poller, 1, 10_000) > 0 else { throw WireError("\(servers[0]): no answer within 10 s") }
            try connection.receive { _, error in if error != 0 { failed = error } }
        }
        if failed != 0 { throw WireError("\(servers[0]): preparing the nodes failed with error \(failed)") }
    }

    func run(_ prepared: Workload) throws -> LoadResult {
        var workload = prepared
        let poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw WireError.system("epoll_create1") }
        defer { close(poller) }
        var lanes: [Lane?] = []
        for index in 0..<connections {
            let connection = try WireConnection(to: servers[index % servers.count], outstanding: outstanding)
            lanes.append(Lane(connection: connection, creation: workload.creation(connection: index)))
            Self.register(connection.descriptor, index, EPOLL_CTL_ADD, writing: false, at: poller)
        }
        let begin = Self.now()
        for index in lanes.indices {
            for _ in 0..<outstanding {
                workload.enqueue(
                    on: lanes[index]!.connection, creation: lanes[index]!.creation, made: &lanes[index]!.made, at: begin)
            }
            _ = try lanes[index]!.connection.flush()
        }
        let measuredFrom = begin + Int64(warmUp * 1e9)
        let end = measuredFrom + Int64(seconds * 1e9)
        var histogram = LatencyHistogram()
        var errors: UInt64 = 0
        var broken = 0
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var now = begin
        while now < end {
            let ready = epoll_wait(poller, &events, Int32(events.count), 100)
            now = Self.now()
            guard ready > 0 else { continue }
            for event in events[..<Int(ready)] {
                let index = Int(event.data.u32)
                guard lanes[index] != nil else { continue }
                do {
                    let refill = lanes[index]!.connection.outstanding
                    try lanes[index]!.connection.receive { sentAt, error in
                        if now >= measuredFrom { histogram.record(nanoseconds: now - sentAt) }
                        if error != 0 { errors += 1 }
                    }
                    let answered = refill - lanes[index]!.connection.outstanding
                    for _ in 0..<answered {
                        workload.enqueue(
                            on: lanes[index]!.connection, creation: lanes[index]!.creation, made: &lanes[index]!.made,
                            at: now)
                    }
                    let isWritten = try lanes[index]!.connection.flush()
                    if isWritten == lanes[index]!.waitsToWrite {
                        lanes[index]!.waitsToWrite = !isWritten
                        let descriptor = lanes[index]!.connection.descriptor
                        Self.register(descriptor, index, EPOLL_CTL_MOD, writing: !isWritten, at: poller)
                    }
                } catch {
                    broken += 1
                    lanes[index] = nil
                    if broken == connections { throw error }
                }
            }
        }
        let measured = Double(now - measuredFrom) / 1e9
        return LoadResult(
            operation: workload.operation.rawValue, connections: connections, outstanding: outstanding,
            seconds: measured, requests: histogram.count, throughput: Double(histogram.count) / measured,
            p50: Double(histogram.value(at: 0.5)) / 1000, p99: Double(histogram.value(at: 0.99)) / 1000,
            p999: Double(histogram.value(at: 0.999)) / 1000, maximum: Double(histogram.maximum) / 1000, errors: errors,
            broken: broken)
    }

    private static func register(_ descriptor: Int32, _ index: Int, _ change: Int32, writing: Bool, at poller: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (writing ? EPOLLOUT.rawValue : 0)
        event.data.u32 = UInt32(index)
        epoll_ctl(poller, change, descriptor, &event)
    }
}

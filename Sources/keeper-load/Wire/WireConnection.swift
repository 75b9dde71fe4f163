import CLinux
import Glibc
import KeeperClient
import KeeperCodec
import KeeperCore
import NIOCore

/// One raw connection: a session, bytes waiting to be written, bytes not yet understood, and the sending times of what
/// is outstanding. No library stands between it and the socket, since a client library is slower than the servers that
/// are to be measured (reference/swift-linux.md, 2).
final class WireConnection {
    let descriptor: Int32
    let server: ConnectString.Server
    private(set) var sessionID: SessionID = 0
    private var nextXid: Int32 = 1
    private var awaitedXid: Int32 = 1

    private var output: UnsafeMutableRawBufferPointer
    private var outputStart = 0
    private var outputEnd = 0
    private var input: UnsafeMutableRawBufferPointer
    private var inputEnd = 0
    /// Sending times in nanoseconds, a ring as long as the outstanding limit.
    private var times: [Int64]
    private var oldest = 0
    private(set) var outstanding = 0

    /// Connects and opens a session, blocking. `outstanding` is the limit of requests without answers.
    init(to server: ConnectString.Server, outstanding: Int) throws {
        self.server = server
        times = [Int64](repeating: 0, count: max(outstanding, 1))
        output = .allocate(byteCount: 1 << 16, alignment: 16)
        input = .allocate(byteCount: 1 << 18, alignment: 16)
        descriptor = try Self.connect(to: server)
        try greet()
        guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else { throw WireError.system("fcntl") }
    }

    deinit {
        close(descriptor)
        output.deallocate()
        input.deallocate()
    }

    private static func connect(to server: ConnectString.Server) throws -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(server.host, String(server.port), &hints, &list) == 0, let list else {
            throw WireError("\(server): no such host")
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(list.pointee.ai_family, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw WireError.system("socket") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), 1 /* TCP_NODELAY */, &one, socklen_t(MemoryLayout<Int32>.size))
        guard Glibc.connect(descriptor, list.pointee.ai_addr, list.pointee.ai_addrlen) == 0 else {
            let error = WireError.system("\(server): connect")
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private func greet() throws {
        var frame = ByteBuffer()
        frame.writeFrame(ConnectRequest(timeout: 30_000))
        let bytes = Array(frame.readableBytesView)
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw WireError.system("\(server): write") }
        var answer = ByteBuffer()
        var chunk = [UInt8](repeating: 0, count: 64)
        while true {
            if let body = try answer.readFrame() {
                let response = try ConnectResponse(frame: body)
                guard response.timeout > 0 else { throw WireError("\(server): refused the session") }
                sessionID = response.sessionID
                return
            }
            let count = read(descriptor, &chunk, 41 - min(answer.readableBytes, 40))
            guard count > 0 else { throw WireError("\(server): closed the connection instead of granting a session") }
            answer.writeBytes(chunk[..<count])
        }
    }

    /// Queues a frame whose bytes 4..<8 are the place of its xid.
    func enqueue(_ frame: UnsafeRawBufferPointer, at now: Int64) -> UnsafeMutableRawPointer {
        reserve(frame.count)
        let place = output.baseAddress! + outputEnd
        place.copyMemory(from: frame.baseAddress!, byteCount: frame.count)
        (place + 4).storeBytes(of: nextXid.bigEndian, as: Int32.self)
        nextXid = nextXid == .max ? 1 : nextXid + 1
        outputEnd += frame.count
        times[(oldest + outstanding) % times.count] = now
        outstanding += 1
        return place
    }

    private func reserve(_ count: Int) {
        guard outputEnd + count > output.count else { return }
        let pending = outputEnd - outputStart
        let size = max(output.count, (pending + count) * 2)
        let grown = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        grown.copyMemory(from: UnsafeRawBufferPointer(rebasing: output[outputStart..<outputEnd]))
        output.deallocate()
        output = grown
        outputStart = 0
        outputEnd = pending
    }

    /// Writes what it can. True if nothing is left to write.
    func flush() throws -> Bool {
        while outputStart < outputEnd {
            let count = write(descriptor, output.baseAddress! + outputStart, outputEnd - outputStart)
            if count < 0 {
                if errno == EAGAIN { return false }
                if errno == EINTR { continue }
                throw WireError.system("\(server): write")
            }
            outputStart += count
        }
        outputStart = 0
        outputEnd = 0
        return true
    }

    /// Reads once and calls `body` for each whole reply with its sending time and error code.
    func receive(_ body: (_ sentAt: Int64, _ error: Int32) -> Void) throws {
        let count = read(descriptor, input.baseAddress! + inputEnd, input.count - inputEnd)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { throw WireError("\(server): closed the connection") }
        inputEnd += count
        var start = 0
        while inputEnd - start >= 4 {
            let length = Int(Int32(bigEndian: input.loadUnaligned(fromByteOffset: start, as: Int32.self)))
            guard length >= 16, length <= input.count - 4 else { throw WireError("\(server): a frame of \(length) bytes") }
            guard inputEnd - start - 4 >= length else { break }
            let xid = Int32(bigEndian: input.loadUnaligned(fromByteOffset: start + 4, as: Int32.self))
            let error = Int32(bigEndian: input.loadUnaligned(fromByteOffset: start + 16, as: Int32.self))
            guard xid == awaitedXid, outstanding > 0 else {
                throw WireError("\(server): reply \(xid) where \(awaitedXid) was due")
            }
            awaitedXid = awaitedXid == .max ? 1 : awaitedXid + 1
            let sentAt = times[oldest]
            oldest = (oldest + 1) % times.count
            outstanding -= 1
            body(sentAt, error)
            start += 4 + length
        }
        if start > 0 {
            memmove(input.baseAddress!, input.baseAddress! + start, inputEnd - start)
            inputEnd -= start
        }
    }
}

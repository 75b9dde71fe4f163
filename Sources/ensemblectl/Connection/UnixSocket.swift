import Glibc

/// One exchange with the daemon over its unix socket: connect, ask, read until it closes. Blocking, because the client
/// does one thing at a time; bounded in time and size.
struct UnixSocket {
    struct Failure: Error, Hashable {
        /// What could not be done.
        var step: String
        var code: Int32
        var reason: String { String(cString: strerror(code)) }
    }

    let path: String

    /// The answer's bytes. Silence of `patience` seconds is a failure with `EAGAIN`.
    func exchange(_ request: [UInt8], patience: Int = 30) throws(Failure) -> [UInt8] {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(step: "make a socket", code: errno) }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        try connect(descriptor)
        try send(request, to: descriptor)
        return try receive(from: descriptor)
    }

    private func connect(_ descriptor: Int32) throws(Failure) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        // The kernel's room for a path is 108 bytes, and one of them ends it.
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Failure(step: "connect to", code: ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else { throw Failure(step: "connect to", code: errno) }
    }

    private func send(_ bytes: [UInt8], to descriptor: Int32) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure(step: "ask", code: errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    private func receive(from descriptor: Int32) throws(Failure) -> [UInt8] {
        var answer: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = block.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if count == 0 { return answer }
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure(step: "hear from", code: errno)
            }
            answer += block[..<count]
            guard answer.count <= HTTPAnswer.maximumBytes else { throw Failure(step: "hear from", code: EMSGSIZE) }
        }
    }
}

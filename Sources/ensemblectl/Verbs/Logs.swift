import ArgumentParser
import EnsembleControl
import Glibc

struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what a member's server printed.")

    @OptionGroup var argument: MemberArgument
    @OptionGroup var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Go on with what it prints.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "Lines from the end, at most 100000.")
    var lines = 50

    func validate() throws {
        guard (0...100_000).contains(lines) else { throw ValidationError("--lines is a number from 0 to 100000.") }
    }

    func run() throws {
        let client = try connection.client()
        let status = try client.decode(StatusResponse.self, try client.ask(.status))
        guard let member = status.members.first(where: { $0.id == argument.member }) else {
            let ids = status.members.map { "\($0.id)" }.joined(separator: ", ")
            throw CommandFailure(.notFound, "\(status.cluster) has no member \(argument.member)", remedy: "its members are \(ids)")
        }
        var tail = try LogTail(path: member.logFile)
        defer { tail.close() }
        StandardStream.output.write(try tail.last(lines))
        while follow {
            usleep(250_000)
            StandardStream.output.write(try tail.more())
        }
    }
}

/// The end of a file that grows, and may be truncated or replaced by another of its name.
struct LogTail {
    /// No more than this is read to find the last lines.
    static let maximumTail: Int64 = 16 << 20

    private let path: String
    private var descriptor: Int32
    private var position: Int64 = 0

    init(path: String) throws(CommandFailure) {
        self.path = path
        descriptor = try Self.open(path)
    }

    func close() { _ = Glibc.close(descriptor) }

    private static func open(_ path: String) throws(CommandFailure) -> Int32 {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor < 0 else { return descriptor }
        let code = errno
        throw CommandFailure(
            code == ENOENT ? .notFound : .failure, "cannot open \(path): \(String(cString: strerror(code)))",
            remedy: code == ENOENT ? "the member has not been started yet, or it is on another host" : "use root")
    }

    /// The last `count` lines, from the first byte of the oldest.
    mutating func last(_ count: Int) throws(CommandFailure) -> [UInt8] {
        let size = try status().st_size
        let start = max(0, Int64(size) - Self.maximumTail)
        var bytes: [UInt8] = []
        position = Int64(size)
        var from = Int64(size)
        var found = 0
        while from > start, found <= count {
            let block = max(start, from - 65_536)
            let part = try read(at: block, count: Int(from - block))
            found += part.count { $0 == UInt8(ascii: "\n") }
            bytes = part + bytes
            from = block
        }
        return LogTail.lastLines(count, of: bytes)
    }

    static func lastLines(_ count: Int, of bytes: [UInt8]) -> [UInt8] {
        guard count > 0 else { return [] }
        var rest = count
        // A line feed at the very end closes the last line, it does not begin another.
        for index in bytes.indices.dropLast().reversed() where bytes[index] == UInt8(ascii: "\n") {
            rest -= 1
            if rest == 0 { return Array(bytes[(index + 1)...]) }
        }
        return bytes
    }

    /// What was added since; from the start again when the file was truncated or replaced.
    mutating func more() throws(CommandFailure) -> [UInt8] {
        var named = stat()
        let own = try status()
        if stat(path, &named) == 0, named.st_ino != own.st_ino || named.st_dev != own.st_dev {
            let rest = try readOn(to: Int64(own.st_size))
            let other = try Self.open(path)
            close()
            descriptor = other
            position = 0
            return rest
        }
        if Int64(own.st_size) < position { position = 0 }
        return try readOn(to: Int64(own.st_size))
    }

    private mutating func readOn(to end: Int64) throws(CommandFailure) -> [UInt8] {
        let bytes = try read(at: position, count: Int(min(max(end - position, 0), Self.maximumTail)))
        position += Int64(bytes.count)
        return bytes
    }

    private func status() throws(CommandFailure) -> stat {
        var result = stat()
        guard fstat(descriptor, &result) == 0 else { throw failure() }
        return result
    }

    private func read(at offset: Int64, count: Int) throws(CommandFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
        guard got >= 0 else { throw failure() }
        return Array(bytes[..<got])
    }

    private func failure() -> CommandFailure {
        CommandFailure("cannot read \(path): \(String(cString: strerror(errno)))", remedy: "name a member whose log is a file")
    }
}

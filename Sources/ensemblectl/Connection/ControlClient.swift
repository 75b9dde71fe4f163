import EnsembleControl
import FoundationEssentials
import Glibc

/// Asks the daemon and turns what goes wrong into a failure with an exit code and a remedy.
struct ControlClient {
    let socket: UnixSocket

    init(path: String) { socket = UnixSocket(path: path) }

    /// The body of a successful answer.
    func ask(_ route: ControlRoute) throws(CommandFailure) -> [UInt8] { try ask(route, body: []) }

    func ask(_ route: ControlRoute, _ request: some Encodable) throws(CommandFailure) -> [UInt8] {
        guard let body = try? JSONEncoder().encode(request) else {
            throw CommandFailure("the request cannot be written as JSON", remedy: "this is a defect of ensemblectl")
        }
        return try ask(route, body: Array(body))
    }

    func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws(CommandFailure) -> Value {
        do { return try JSONDecoder().decode(type, from: Data(body)) } catch {
            throw CommandFailure(
                "the daemon at \(socket.path) answered something that this program does not understand: \(error)",
                remedy: "use the ensemblectl of the daemon's version")
        }
    }

    private func ask(_ route: ControlRoute, body: [UInt8]) throws(CommandFailure) -> [UInt8] {
        var head = "\(route.method) \(route.target) HTTP/1.1\r\nHost: ensembled\r\nConnection: close\r\nAccept: application/json\r\n"
        if route.changes { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
        let bytes: [UInt8]
        do { bytes = try socket.exchange(Array((head + "\r\n").utf8) + body) } catch { throw unreachable(error) }
        guard let answer = HTTPAnswer(bytes) else {
            throw CommandFailure(
                .unreachable, "the daemon at \(socket.path) closed the connection before its answer was complete",
                remedy: "see its journal: journalctl -u 'ensembled@*'")
        }
        guard (200...299).contains(answer.status) else { throw refusal(answer) }
        return answer.body
    }

    private func unreachable(_ failure: UnixSocket.Failure) -> CommandFailure {
        let message = "cannot \(failure.step) the daemon at \(socket.path): \(failure.reason)"
        switch failure.code {
        case EACCES, EPERM:
            return CommandFailure(
                .unreachable, message, remedy: "use root, or a member of the group that the manifest names under operator.socketGroup")
        case EAGAIN:
            return CommandFailure(.unreachable, message, remedy: "it is there but does not answer: see its journal")
        case ENAMETOOLONG:
            return CommandFailure(.unreachable, message, remedy: "the path of a socket has at most 107 bytes")
        default:
            return CommandFailure(.unreachable, message, remedy: "start it (systemctl start ensembled@<cluster>), or name its socket with --socket")
        }
    }

    private func refusal(_ answer: HTTPAnswer) -> CommandFailure {
        guard let error = try? JSONDecoder().decode(ControlError.self, from: Data(answer.body)) else {
            return CommandFailure("the daemon answered with status \(answer.status)", remedy: "see its journal")
        }
        return CommandFailure(error)
    }
}

extension CommandFailure {
    init(_ error: ControlError) {
        var message = printable(error.message)
        if let condition = error.missingCondition { message += " (\(printable(condition)))" }
        self.init(error.code.exitStatus, message, remedy: printable(error.remedy))
        isBusy = error.code == .busy
    }
}

extension ControlError.Code {
    var exitStatus: CommandStatus {
        switch self {
        case .held, .busy: .held
        case .notFound: .notFound
        case .notReady: .unreachable
        case .badRequest, .wrongMethod, .tooLarge, .refused, .denied, .failed, .other: .failure
        }
    }
}

import ArgumentParser
import EnsembleControl
import Glibc
import NIOConcurrencyHelpers
import Testing

@testable import ensemblectl

@Suite struct ConnectionTests {
    @Test func answers() {
        func parse(_ text: String) -> HTTPAnswer? { HTTPAnswer(Array(text.utf8)) }
        #expect(parse("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?.body == Array("{}".utf8))
        #expect(parse("HTTP/1.1 409 Conflict\r\n\r\nabc")?.status == 409)
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(parse(chunked + "3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n")?.body == Array("abcd".utf8))
        for broken in [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", "HTTP/1.1 99 X\r\n\r\n", "FTP 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", chunked + "3\r\nab", chunked + "zz\r\n", chunked + "7fffffffffffffff\r\n",
            chunked + "3\r\nabc\r\n",
        ] {
            #expect(parse(broken) == nil, "\(broken)")
        }
    }

    @Test func socketIsFound() throws {
        func options(_ arguments: String...) throws -> ConnectionOptions { try ConnectionOptions.parse(arguments) }
        #expect(try options("--socket", "/s", "--cluster", "c").socketPath(variable: "/v", found: []) == "/s")
        #expect(try options("--cluster", "c").socketPath(variable: "/v", found: []) == "/run/ensembled/c/control.sock")
        #expect(try options().socketPath(variable: "/v", found: ["a"]) == "/v")
        #expect(try options().socketPath(variable: nil, found: ["a"]) == "/run/ensembled/a/control.sock")
        for found in [[], ["a", "b"]] {
            #expect { try options().socketPath(variable: "", found: found) } throws: {
                ($0 as? CommandFailure)?.status == .unreachable
            }
        }
    }

    @Test func codesOfTheAPIBecomeExitCodes() {
        let expected: [(ControlError.Code, CommandStatus)] = [
            (.badRequest, .failure), (.wrongMethod, .failure), (.tooLarge, .failure), (.notFound, .notFound), (.held, .held), (.refused, .failure), (.busy, .held),
            (.denied, .failure), (.failed, .failure), (.notReady, .unreachable), (.other, .failure),
        ]
        #expect(expected.map(\.0) == ControlError.Code.allCases)
        for (code, status) in expected { #expect(code.exitStatus == status) }
    }

    /// A schedule's backup must not fail a person's.
    @Test func whatIsBusyIsAskedAgain() throws {
        var refusals = 2
        var asked = 0
        var code = ControlError.Code.busy
        func ask() throws(CommandFailure) -> [UInt8] {
            asked += 1
            guard asked > refusals else { throw CommandFailure(ControlError(code, "a backup is under way", remedy: "wait for it")) }
            return [7]
        }
        #expect(try WaitingOptions.parse([]).inTurn(ask) == [7])
        #expect(asked == 3)

        (asked, refusals) = (0, .max)
        #expect(throws: CommandFailure.self) { try WaitingOptions.parse(["--no-wait"]).inTurn(ask) }
        #expect(asked == 1)
        #expect(throws: CommandFailure.self) { try WaitingOptions.parse(["--timeout", "100ms"]).inTurn(ask) }
        #expect(asked == 3)
        #expect(throws: CommandFailure.self) { try WaitingOptions.parse([]).inTurn(patience: .milliseconds(100), ask) }
        #expect(asked == 5)
        // What waits for a condition may wait for days.
        code = .held
        #expect(throws: CommandFailure.self) { try WaitingOptions.parse([]).inTurn(ask) }
        #expect(asked == 6)
    }

    @Test func daemonThatIsNotThere() {
        let client = ControlClient(path: "/nonexistent/control.sock")
        #expect {
            try client.ask(.status)
        } throws: {
            ($0 as? CommandFailure)?.message
                == "cannot connect to the daemon at /nonexistent/control.sock: No such file or directory"
                && ($0 as? CommandFailure)?.status == .unreachable
        }
        #expect { try ControlClient(path: String(repeating: "a", count: 200)).ask(.status) } throws: {
            ($0 as? CommandFailure)?.status == .unreachable
        }
    }

    @Test func anExchangeOverARealSocket() throws {
        let daemon = try OneShotDaemon(
            answer: "HTTP/1.1 409 Conflict\r\nContent-Length: 90\r\n\r\n"
                + #"{"code":"held","message":"not now","remedy":"wait","missingCondition":"a verified backup"}"#)
        let failure = #expect(throws: CommandFailure.self) {
            try ControlClient(path: daemon.path).ask(.restore, RestoreRequest(backup: "b", confirm: "c"))
        }
        #expect(failure == CommandFailure(.held, "not now (a verified backup)", remedy: "wait"))
        let request = daemon.request()
        #expect(request.hasPrefix("POST /v1/restore HTTP/1.1\r\nHost: ensembled\r\nConnection: close\r\n"))
        #expect(request.contains(#""confirm":"c""#))
    }

    @Test func anAnswerThatBreaksOff() throws {
        let daemon = try OneShotDaemon(answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        let failure = #expect(throws: CommandFailure.self) { try ControlClient(path: daemon.path).ask(.status) }
        #expect(failure?.status == .unreachable)
    }

    @Test(arguments: [
        ["status", "--watch"], ["start", "1", "--no-wait"], ["stop", "3"], ["restart", "2"], ["restart", "--rolling", "--dry-run"],
        ["backup", "create", "--mode", "cold"], ["backup", "list", "--json"], ["backup", "verify", "b1"],
        ["backup", "prune", "--dry-run"], ["reseed", "2", "--timeout", "10m"], ["restore", "b1", "--confirm", "c"],
        ["events", "--follow"], ["logs", "1", "-n", "5"], ["validate", "f"], ["validate", "--schema"], ["plan"], ["history"],
        ["completions", "bash"],
    ])
    func commandLinesThatAreRight(_ arguments: [String]) {
        #expect(throws: Never.self) { try Ensemblectl.parseAsRoot(arguments) }
    }

    @Test(arguments: [
        ["start"], ["start", "0"], ["start", "255"], ["restart"], ["restart", "1", "--rolling"], ["restart", "1", "--dry-run"],
        ["backup", "create", "--mode", "warm"], ["backup", "verify", "../x"], ["restore", "b1"], ["reseed", "1", "--timeout", "x"],
        ["logs", "1", "-n", "-1"], ["validate"], ["completions", "csh"], ["frobnicate"],
    ])
    func commandLinesThatAreWrong(_ arguments: [String]) {
        do {
            _ = try Ensemblectl.parseAsRoot(arguments)
            Issue.record("accepted")
        } catch {
            #expect(Ensemblectl.exitCode(for: error).rawValue == CommandStatus.usage.rawValue)
        }
    }

    @Test func exitCodesAreInTheHelp() {
        let help = Ensemblectl.helpMessage()
        for status in CommandStatus.allCases { #expect(help.contains("\(status.rawValue)\t")) }
    }
}

/// Accepts one connection on a unix socket, keeps what it reads, and answers.
private final class OneShotDaemon: Sendable {
    let path: String
    private let listener: Int32
    private let answer: [UInt8]
    private let received = NIOLockedValueBox<[UInt8]>([])

    init(answer: String) throws {
        path = "/tmp/ensemblectl-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        self.answer = Array(answer.utf8)
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = listener
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(listener, 1) == 0)
        var thread = pthread_t()
        let retained = Unmanaged.passRetained(self)
        pthread_create(&thread, nil, { @Sendable raw in
            if let raw { Unmanaged<OneShotDaemon>.fromOpaque(raw).takeRetainedValue().serve() }
            return nil
        }, retained.toOpaque())
        pthread_detach(thread)
    }

    deinit { unlink(path) }

    private func serve() {
        let connection = accept(listener, nil, nil)
        var block = [UInt8](repeating: 0, count: 4096)
        let count = recv(connection, &block, block.count, 0)
        received.withLockedValue { $0 = Array(block[..<max(count, 0)]) }
        _ = answer.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        close(connection)
        close(listener)
    }

    func request() -> String { String(decoding: received.withLockedValue { $0 }, as: UTF8.self) }
}

import EnsembleBase
import EnsembleControl
import EnsembleHost
import Glibc
import Testing

/// From a wait status and last words to a cause: the table that the crash policy rests on.
@Suite struct ExitCauseTests {
    private func cause(_ code: Int32?, _ words: String, _ engine: Engine) throws -> ExitCause {
        let scratch = Scratch()
        let output = scratch.path + "/server.log"
        let descriptor = open(output, O_WRONLY | O_CREAT, 0o600)
        defer { close(descriptor) }
        _ = Array((words + "\n").utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        return OutputFile(path: output).cause(of: code.map { $0 << 8 }, engine: engine, from: 0)
    }

    @Test(arguments: [
        (ServerExit.orderly, ExitCause.clean), (.usage, .configuration("m")), (.configuration, .configuration("m")),
        (.corruptData, .damagedData("m (/d/log.1, at offset 8)")), (.inputOutput, .storage("m")),
        (.temporaryFailure, .addressInUse("m")), (.internalError, .status(70)), (.systemRefused, .status(71)),
    ]) func theBundledServersReport(_ exit: ServerExit, _ expected: ExitCause) throws {
        let isDamage = exit == .corruptData
        let report = ServerExitReport(
            exit: exit, message: "m", file: isDamage ? "/d/log.1" : nil, offset: isDamage ? 8 : nil)
        #expect(try cause(exit.rawValue, "earlier\n" + report.line, .bundled) == expected)
        // Of an adopted server the status is not known; its words are.
        #expect(try cause(nil, report.line, .bundled) == expected)
    }

    @Test func theBundledServersStatusCountsWithoutWords() throws {
        guard case .damagedData = try cause(65, "", .bundled), case .configuration = try cause(78, "", .bundled),
            case .storage = try cause(74, "", .bundled)
        else {
            Issue.record("a status of the list says as much as the report")
            return
        }
        #expect(try cause(1, "", .bundled) == .status(1))
        #expect(try cause(0, "", .bundled) == .clean)
        #expect(try cause(nil, "", .bundled) == .untold)
    }
}

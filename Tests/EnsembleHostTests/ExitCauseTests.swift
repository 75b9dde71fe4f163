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

    // MARK: Real outputs (ExitFixtures/record)

    enum Kind: Sendable {
        case damagedData, configuration, addressInUse, storage, status
    }

    private func kind(of cause: ExitCause) -> Kind? {
        switch cause {
        case .damagedData: .damagedData
        case .configuration: .configuration
        case .addressInUse: .addressInUse
        case .storage: .storage
        case .status: .status
        case .clean, .launchFailed, .signalled, .untold: nil
        }
    }

    private func recorded(_ name: String) throws -> (status: Int32?, output: String) {
        let path = #filePath.dropLast("ExitCauseTests.swift".count) + "ExitFixtures/\(name).txt"
        let file = try #require(fopen(String(path), "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        let halves = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n", maxSplits: 1)
        return (Int32(halves[0]), String(halves[1]))
    }

    /// Each kind of damage as both engines report it: what they really said, and what of it a person is told.
    @Test(arguments: [
        ("log-flipped", Kind.damagedData, "CRC check failed", "offset 2920"),
        ("log-header-gone", .damagedData, "invalid magic number", "offset 0"),
        ("snapshots-flipped", .damagedData, "Not able to find valid snapshots", "checksum is"),
        ("snapshots-cut", .damagedData, "No snapshot found", "the bytes end inside it"),
        ("snapshots-gone", .damagedData, "No snapshot found", "no snapshot that they could be replayed on"),
        // The daemon wrote it.
        ("myid-missing", .damagedData, "myid file is missing", "myid is missing"),
        ("myid-wrong", .configuration, "serverid one is not a number", "found \"one\""),
        ("myid-of-another", .configuration, "My id 7 not in the peer list", "there is no server.7 line"),
        ("config-value", .configuration, "For input string: \"soon\"", "zoo.cfg:1: error: tickTime"),
        ("config-no-data", .configuration, "dataDir is not set", "dataDir is missing"),
        ("config-no-port-of-peer", .configuration, "127.0.0.1:nowhere does not have the form", "zoo.cfg:12"),
        ("config-missing", .configuration, "zoo.cfg file is missing", "cannot read /srv/member/zoo.cfg"),
        ("accepted-below-current", .damagedData, "is less than the current epoch", "epoch"),
        ("current-below-data", .damagedData, "The current epoch, 1, is older than the last zxid", "the current epoch is 1"),
        ("epoch-garbage", .damagedData, "Found soon in", "\"soon\" is no epoch"),
        ("client-port-taken", .addressInUse, "Address already in use", "Address already in use"),
        ("election-port-taken", .addressInUse, "Leaving listener thread", "Address already in use"),
        ("disk-full", .storage, "No space left on device", "No space left on device"),
        ("data-is-a-file", .configuration, "(Not a directory)", "Not a directory"),
    ]) func bothEnginesReallySay(_ name: String, _ expected: Kind, _ apache: String, _ bundled: String) throws {
        for (engine, words) in [(Engine.apache, apache), (.bundled, bundled)] {
            let (status, output) = try recorded("\(engine.rawValue)-\(name)")
            let found = try cause(status, output, engine)
            #expect(kind(of: found) == expected, "\(engine): \(found)")
            #expect(found.description.contains(words), "\(engine): \(found.description)")
            // Another daemon's child: the words alone.
            let adopted = try cause(nil, output, engine)
            #expect(kind(of: adopted) == expected, "\(engine): \(adopted)")
        }
    }

    @Test(arguments: [
        ("out-of-memory", Kind.status, "3"), ("unknown-option", .configuration, "Could not create the Java Virtual Machine"),
        ("no-program", .configuration, "ClassNotFoundException: org.apache.zookeeper"),
    ]) func javaReallySays(_ name: String, _ expected: Kind, _ words: String) throws {
        let (status, output) = try recorded("apache-\(name)")
        let found = try cause(status, output, .apache)
        #expect(kind(of: found) == expected, "\(found)")
        #expect(found.description.contains(words), "\(found.description)")
    }

    /// A server whose port for followers is taken goes on trying, with both engines: there is no end to explain.
    @Test func aTakenPortForFollowersIsNoEnd() throws {
        for engine in ["apache", "bundled"] { #expect(try recorded("\(engine)-quorum-port-taken").status == nil) }
    }

    /// What a client can make a healthy server log must not look like damage when it ends for another reason: that would
    /// be a reseed by anybody who reaches the port.
    @Test(arguments: [
        "java.io.IOException: Unreasonable length = 1195725856", "java.io.IOException: CRC check failed",
        "WARN Exception causing close of session: The current epoch, 1, is older", "java.net.BindException: Address already in use",
        "WARN org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException: asked for by a client",
    ]) func whatClientsCauseIsNoLastWord(_ line: String) throws {
        #expect(try cause(1, line, .apache) == .status(1))
        #expect(try cause(143, line, .apache) == .clean)
        #expect(try cause(nil, line, .apache) == .untold)
    }
}

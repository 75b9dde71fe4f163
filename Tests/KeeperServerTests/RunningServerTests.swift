import EnsembleBase
import Glibc
import KeeperCore
import KeeperServer
import KeeperStorage
import Logging
import NIOConcurrencyHelpers
import Testing

/// Whole servers in this process, over loopback and real files.
@Suite(.serialized) struct RunningServerTests {
    private final class Member: Sendable {
        let configuration: ServerConfiguration
        private let running = NIOLockedValueBox<RunningServer?>(nil)
        private let report = NIOLockedValueBox<ServerExitReport?>(nil)

        init(_ configuration: ServerConfiguration) { self.configuration = configuration }

        func start() throws {
            let server = try RunningServer.start(configuration, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) {
                [self] ended in report.withLockedValue { $0 = ended }
            }
            running.withLockedValue { $0 = server }
        }
        func stop() { running.withLockedValue { $0 }?.stop() }
        var mode: String { (try? running.withLockedValue { $0 }?.status())?.role.rawValue ?? "none" }
        var serving: Bool { (try? running.withLockedValue { $0 }?.status())?.serving ?? false }
        var port: Int? { running.withLockedValue { $0 }?.clientPort }
        var ended: ServerExitReport? { report.withLockedValue { $0 } }
    }

    private func temporaryDirectory() throws -> String {
        var template = Array("/tmp/keeper-server-tests-XXXXXX".utf8CString)
        return String(cString: try #require(mkdtemp(&template)))
    }

    private func configuration(_ text: String, myid: String) throws -> ServerConfiguration {
        let outcome = ConfigurationParser.parse(Array(text.utf8), file: "zoo.cfg") { _ in Array(myid.utf8) }
        return try #require(outcome.configuration, "\(outcome.problems)")
    }

    private func eventually(_ condition: () -> Bool) -> Bool {
        for _ in 0..<1500 {
            if condition() { return true }
            usleep(20_000)
        }
        return false
    }

    @Test func aStandaloneServerServesAndStopsInOrder() throws {
        let directory = try temporaryDirectory()
        let member = Member(
            try configuration("dataDir=\(directory)\nclientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\n", myid: ""))
        try member.start()
        #expect(eventually { member.serving && member.port != nil })
        #expect(member.mode == "standalone")
        member.stop()
        #expect(eventually { member.ended != nil })
        #expect(member.ended?.exit == .orderly)
    }

    /// The disk isn't mounted: an empty database in its place would be served, and lose what comes.
    @Test func aDirectoryThatIsNotToBeMadeMustBeThere() throws {
        let directory = try temporaryDirectory() + "/unmounted"
        let text = "dataDir=\(directory)\nclientPort=0\nclientPortAddress=127.0.0.1\ndatadir.autocreate=false\n"
        let member = Member(try configuration(text, myid: ""))
        let report = #expect(throws: ServerExitReport.self) { try member.start() }
        #expect(report?.exit == .temporaryFailure)
        #expect(report?.file == directory + "/version-2")
    }

    /// A stopping leader is silent in elections: its own vote, the highest id of equals, would elect it again.
    @Test func anEnsembleFormsAndOutlivesItsLeadersStop() throws {
        let members = try (1...3).map { id in
            let directory = try temporaryDirectory()
            let lines = (1...3).map { "server.\($0)=127.0.0.1:\(22150 + $0):\(22160 + $0)" }.joined(separator: "\n")
            let member = Member(
                try configuration(
                    """
                    tickTime=500
                    initLimit=10
                    syncLimit=10
                    dataDir=\(directory)
                    clientPort=0
                    clientPortAddress=127.0.0.1
                    preAllocSize=64
                    \(lines)
                    """, myid: "\(id)"))
            try InitializeFile(directory: directory).create()
            return member
        }
        for member in members { try member.start() }
        #expect(eventually { members.allSatisfy(\.serving) })
        let leader = try #require(members.first { $0.mode == "leading" })
        leader.stop()
        #expect(eventually { leader.ended != nil })
        #expect(leader.ended?.exit == .orderly)
        let others = members.filter { $0 !== leader }
        #expect(eventually { others.allSatisfy(\.serving) })
        #expect(others.map(\.mode).sorted() == ["following", "leading"])
        for member in others { member.stop() }
        #expect(eventually { others.allSatisfy { $0.ended != nil } })
    }

    /// Damage is a cause of its own (65), so that the daemon reseeds instead of restarting.
    @Test func damagedFilesEndTheServerNamingTheFile() throws {
        let directory = try temporaryDirectory()
        #expect(mkdir(directory + "/version-2", 0o755) == 0)
        let file = try #require(fopen(directory + "/version-2/snapshot.0", "w"))
        fputs("no snapshot", file)
        fclose(file)
        let member = Member(try configuration("dataDir=\(directory)\nclientPort=0\n", myid: ""))
        try member.start()
        #expect(eventually { member.ended != nil })
        #expect(member.ended?.exit == .corruptData)
        #expect(member.ended?.file?.hasPrefix(directory) == true)
    }
}

import CLinux
import EnsembleBase
import EnsembleControl
import EnsembleHost
import FoundationEssentials
import Glibc
import KeeperStorage
import Testing

/// What the hands do with what they can't tell (S10), and what they must not mistake.
@Suite struct HostDoubtTests {
    private func scratch() throws -> String {
        let path = FileManager.default.temporaryDirectory.path + "/ensemble-doubt-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private func member(_ root: String) -> RenderedMember {
        let declaration = MemberDeclaration(
            id: 1, host: "127.0.0.1", clientPort: 2181, quorumPort: 2881, electionPort: 3881, dataDirectory: root + "/data")
        let manifest = Manifest(cluster: "orders", dataDirectory: root, members: [declaration])
        return manifest.rendered(on: HostLayout(stateDirectory: root, bundledServer: "/usr/bin/ensemble-server"))[0]
    }

    /// S10: a file that can't be reached is not absent. Taken for absent, a ledger would be begun anew, a `recovering`
    /// mark ignored and a whole directory reseeded for want of its identity.
    @Test func whatCannotBeReachedIsNotAbsent() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        symlink("loop", root + "/loop")
        #expect(throws: StorageError.self) { try Directory.content(of: root + "/loop") }
        #expect(try Directory.content(of: root + "/nothing") == nil)

        let member = member(root)
        try FileManager.default.createDirectory(atPath: root + "/data/version-2", withIntermediateDirectories: true)
        symlink(DataProbe.identityName, root + "/data/" + DataProbe.identityName)
        #expect(DataProbe.glance(at: member, expected: "5f1c") == .untold)
        unlink(root + "/data/" + DataProbe.identityName)
        #expect(
            DataProbe.glance(at: member, expected: "5f1c") == .vanished(.otherIdentity(expected: "5f1c", found: nil)))
    }

    /// S2: between the look at a directory and the launch another one came into its place (operated seed 3009): the servers'
    /// own check asks for zxids and epochs, which a copy of another member's has.
    @Test func aDirectoryThatWasExchangedBehindTheLookIsNotLaunchedFrom() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let member = member(root)
        try FileManager.default.createDirectory(atPath: root + "/data/version-2", withIntermediateDirectories: true)
        try EffectRunner.identify(member, as: "5f1c", isAnew: false)
        #expect(try DataProbe.identity(of: member) == "5f1c")
        try EffectRunner.identify(member, as: "5f1c", isAnew: false)
        #expect(throws: HostError.self) { try EffectRunner.identify(member, as: "77aa", isAnew: false) }
        #expect(try DataProbe.identity(of: member) == "5f1c")
        // An empty one, where the ledger knows of no seed any more.
        try EffectRunner.identify(member, as: "77aa", isAnew: true)
        #expect(try DataProbe.identity(of: member) == "77aa")
    }

    /// A log directory of its own that was removed under its server: it acknowledged into deleted files, and nobody noticed.
    @Test func aLogDirectoryThatIsGoneIsMissed() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let declaration = MemberDeclaration(
            id: 1, host: "127.0.0.1", clientPort: 2181, quorumPort: 2881, electionPort: 3881, dataDirectory: root + "/data",
            logDirectory: root + "/log")
        let manifest = Manifest(cluster: "orders", dataDirectory: root, members: [declaration])
        let member = manifest.rendered(on: HostLayout(stateDirectory: root, bundledServer: "/usr/bin/ensemble-server"))[0]
        for name in ["data", "log"] {
            try FileManager.default.createDirectory(atPath: "\(root)/\(name)/version-2", withIntermediateDirectories: true)
        }
        #expect(DataProbe.glance(at: member, expected: nil) == .there)
        try FileManager.default.removeItem(atPath: root + "/log/version-2")
        #expect(DataProbe.glance(at: member, expected: nil) == .vanished(.missing))
        // S10: what can't be looked at is not empty.
        symlink("version-2", root + "/log/version-2")
        #expect(DataProbe.glance(at: member, expected: nil) == .untold)
        guard case .unreadable = DataProbe.inspect(member, .seals) else { return #expect(Bool(false), "unreadable") }
    }

    /// S2: a first start was prepared, and no server has begun: also where one has ended before it had a database.
    @Test func whereNobodyHasBegunIsNotLost() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let declaration = MemberDeclaration(
            id: 1, host: "127.0.0.1", clientPort: 2181, quorumPort: 2881, electionPort: 3881, dataDirectory: root + "/data")
        let manifest = Manifest(cluster: "orders", dataDirectory: root, members: [declaration])
        let member = manifest.rendered(on: HostLayout(stateDirectory: root, bundledServer: "/usr/bin/ensemble-server"))[0]
        let layout = DataLayout(dataDir: root + "/data", dataLogDir: root + "/data")
        #expect(DataProbe.inspect(member, .seals) == .missing)
        try FileManager.default.createDirectory(atPath: root + "/data", withIntermediateDirectories: true)
        #expect(DataProbe.inspect(member, .seals) == .empty)
        try EffectRunner.prepare(member, as: "first")
        #expect(DataProbe.inspect(member, .seals) == .unused(identity: "first"))
        // A server that ended before it had read anything has made its directories.
        try layout.create()
        try EffectRunner.prepare(member, as: "second")
        #expect(DataProbe.inspect(member, .seals) == .unused(identity: "second"))
        try layout.recoveringMark.set(reason: "test")
        #expect(DataProbe.inspect(member, .seals) == .empty)
        try layout.recoveringMark.clear()
        try layout.epochs.save(EpochFiles.Epochs(accepted: 1, current: 0))
        #expect(DataProbe.inspect(member, .seals) == .empty)
        // A daemon that was told so would prepare it without end.
        #expect(throws: HostError.self) { try EffectRunner.prepare(member, as: "promised") }
        try FileManager.default.removeItem(atPath: root + "/data/version-2")
        _ = try Recovery(layout: layout, isStandalone: false).recover()
        guard case .holding = DataProbe.inspect(member, .seals) else { return #expect(Bool(false), "begun") }
        #expect(throws: HostError.self) { try EffectRunner.prepare(member, as: "third") }
        #expect(try DataProbe.identity(of: member) == "promised")
    }

    /// Members that share a disk share its room (issue 9, B10).
    @Test func roomIsCountedByDisk() throws {
        let (first, second) = (RestoreRoom.Disk(device: 1, path: "/srv", free: 200 << 20), RestoreRoom.Disk(device: 2, path: "/log", free: 70 << 20))
        var room = RestoreRoom()
        try room.demand(30 << 20, of: 1, on: first)
        try room.demand(1 << 20, of: 1, on: second)
        do throws(HostError) {
            try room.demand(50 << 20, of: 2, on: first)
            Issue.record("208 MiB of 200")
        } catch {
            #expect("\(error)".contains("/srv: has 200 MiB free, and the members up to 2 that are on it need 208 MiB"))
        }
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        try RestoreRoom.tryWriting(in: root + "/not/there/yet", of: 1)
        #expect(try Directory.names(root) == [])
        // S10: also for root, whom no mode keeps out.
        try Directory.replace(file: root + "/file", with: [])
        #expect(throws: HostError.self) { try RestoreRoom.tryWriting(in: root + "/file", of: 1) }
        #expect(throws: HostError.self) { try RestoreRoom.tryWriting(in: "/proc", of: 1) }
    }

    /// S2: what is looked for right before Apache's server is launched.
    @Test func aDirectoryThatLostSomethingIsNotTheOneThatWasSeen() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let declaration = MemberDeclaration(
            id: 1, host: "127.0.0.1", clientPort: 2181, quorumPort: 2881, electionPort: 3881, dataDirectory: root + "/data")
        let manifest = Manifest(cluster: "orders", dataDirectory: root, members: [declaration])
        let member = manifest.rendered(on: HostLayout(stateDirectory: root, bundledServer: "/usr/bin/ensemble-server"))[0]
        #expect(!DataProbe.inspect(member, .seals).meets(DataFloor(zxid: 0, acceptedEpoch: 0)))
        _ = try Recovery(layout: DataLayout(dataDir: root + "/data", dataLogDir: root + "/data"), isStandalone: false).recover()
        #expect(DataProbe.inspect(member, .seals).meets(DataFloor(zxid: 0, acceptedEpoch: 0)))
        #expect(!DataProbe.inspect(member, .seals).meets(DataFloor(zxid: 1, acceptedEpoch: 0)))
        #expect(!DataProbe.inspect(member, .seals).meets(DataFloor(zxid: 0, acceptedEpoch: 1)))
    }

    /// The last words of a server whose output was cut after its start are at the beginning of what is left.
    @Test func lastWordsAreFoundInAFileThatWasCut() throws {
        let root = try scratch()
        defer { try? FileManager.default.removeItem(atPath: root) }
        let file = root + "/server.log"
        try Directory.replace(file: file, with: Array("its last words\n".utf8))
        #expect(OutputFile(path: file).tail(from: 1_000_000) == ["its last words"])
    }

    /// Terminals that run as services hand JOURNAL_STREAM on to what is started in them.
    @Test func aJournalIsKnownByItsStream() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe2(&ends, O_CLOEXEC) == 0)
        defer { for end in ends { close(end) } }
        var status = stat()
        fstat(ends[1], &status)
        #expect(Journal.isStream(ends[1], named: "\(status.st_dev):\(status.st_ino)"))
        #expect(!Journal.isStream(ends[1], named: "8:12345"))
        #expect(!Journal.isStream(ends[1], named: nil))
    }

    /// A watcher of each server that died would otherwise keep its stack, 8 MiB of addresses.
    @Test func threadsThatEndedGiveTheirStacksBack() throws {
        func addresses() throws -> Int {
            // Files of /proc have no size.
            let descriptor = clx_open("/proc/self/status", O_RDONLY, 0)
            defer { close(descriptor) }
            var bytes = [UInt8](repeating: 0, count: 8192)
            let count = read(descriptor, &bytes, bytes.count)
            let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VmSize:") })
            return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
        }
        let before = try addresses()
        for _ in 0..<300 {
            let done = WakeUpBox()
            _ = try DedicatedThread(name: "brief") { done.wakeUp?.signal() }
            done.wakeUp?.wait()
        }
        #expect(try addresses() - before < 1_200_000, "kB; 300 stacks are 2.4 GB")
    }

    private final class WakeUpBox: Sendable {
        let wakeUp = try? WakeUp()
    }

    /// A host has more names than hostname(1) says: production.yaml uses a full one.
    @Test func aNameThatLeadsHereIsOurs() {
        let nothing = Daemon.ownNames(among: ["nothing.invalid"])
        #expect(!nothing.names.contains("nothing.invalid"))
        // S10: nor is it another host's.
        #expect(nothing.unresolved.map(\.host) == ["nothing.invalid"])
        // Debian's /etc/hosts gives ip6-localhost to ::1, whose own name it is not.
        guard getaddrinfoWorks("ip6-localhost") else { return }
        #expect(Daemon.ownNames(among: ["ip6-localhost"]).names.contains("ip6-localhost"))
    }

    private func getaddrinfoWorks(_ host: String) -> Bool {
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, nil, &list) == 0 else { return false }
        freeaddrinfo(list)
        return true
    }

    /// S3: an adopted process is none of our children; its end is seen all the same, and its pid is not reaped.
    @Test func theEndOfAnotherStartTimeIsNotWaitedFor() throws {
        let launch = LaunchCommand(executable: "/bin/sh", arguments: ["-c", "exec sleep 600"], environment: [])
        let real = try ServerProcess.spawn(launch, directory: "/", outputFile: "/dev/null")
        var other = real
        other.startTime += 1
        // Returns at once, and leaves the living child alone.
        #expect(ServerProcess.waitForEnd(of: other) == nil)
        ServerProcess.signal(real, SIGKILL)
        let status = ServerProcess.waitForEnd(of: real)
        #expect(status.map { clx_wifsignaled($0) != 0 && clx_wtermsig($0) == SIGKILL } == true)
    }
}

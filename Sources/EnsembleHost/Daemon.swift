import CLinux
import EnsembleBase
import EnsembleControl
import Glibc
import KeeperStorage
import NIOCore
import NIOPosix

/// The daemon as a whole: state, reconciler, control socket, signals. What `ensembled run` composes.
package struct Daemon: Sendable {
    package struct Configuration: Sendable {
        package var manifestFile: String
        /// Nil: `STATE_DIRECTORY` of systemd, else `/var/lib/ensembled/<cluster>`.
        package var stateDirectory: String?
        package var serverBinary: String
        /// Nil: `control.sock` in `RUNTIME_DIRECTORY` of systemd, else in the state directory.
        package var socket: String?
        /// What SIGTERM means where systemd doesn't say.
        package var onTerminate: TerminationMode
        package var version: String

        package init(
            manifestFile: String, stateDirectory: String?, serverBinary: String, socket: String?,
            onTerminate: TerminationMode, version: String
        ) {
            self.manifestFile = manifestFile
            self.stateDirectory = stateDirectory
            self.serverBinary = serverBinary
            self.socket = socket
            self.onTerminate = onTerminate
            self.version = version
        }
    }

    package enum TerminationMode: String, Sendable, CaseIterable {
        case stop
        case leave
    }

    private let configuration: Configuration
    private let shell: OperatorShell
    private let state: StateDirectory
    private let socketPath: String

    /// - Throws: `ManifestError`, `ControlError` or `HostError`; nothing was started.
    package init(_ configuration: Configuration) async throws {
        self.configuration = configuration
        let wished = Result { try Self.readManifest(configuration.manifestFile) }
        let path =
            try configuration.stateDirectory ?? Self.environment("STATE_DIRECTORY") ?? "/var/lib/ensembled/\(wished.get().manifest.cluster)"
        state = try StateDirectory(path)
        let layout = HostLayout(stateDirectory: path, bundledServer: configuration.serverBinary)
        let saved = try state.loadLedger(cluster: (try? wished.get())?.manifest.cluster)
        let start = try ManifestAtStart(
            file: configuration.manifestFile, wished, hasRun: saved?.isBootstrapped ?? false, stateDirectory: path, on: layout)
        let (manifest, text) = (start.manifest, start.text)
        var ledger = saved ?? Ledger(cluster: manifest.cluster)
        try Self.checkHosts(of: manifest, isKnownHere: ledger.isBootstrapped)
        let archivePlace = try state.loadArchivePlace()
        if ledger.clusterIdentity.isEmpty {
            let path = manifest.archiveDirectory(on: layout)
            let place = archivePlace.flatMap { $0.path == path ? $0 : nil } ?? ArchivePlace(path: path, mounts: [])
            ledger.clusterIdentity = try await Self.identity(of: manifest.cluster, in: place) ?? RandomName.hex(words: 2)
            try state.save(ledger)
        }
        try state.save(manifestInForce: text)
        let desired = DesiredCluster(
            manifest: manifest, layout: layout, clusterIdentity: ledger.clusterIdentity, version: configuration.version)
        let (history, problem) = try state.loadHistory()
        shell = OperatorShell(
            state: state, desired: desired, manifestFile: configuration.manifestFile, textInForce: text, ledger: ledger,
            archivePlace: archivePlace, intents: try state.loadIntents(), history: history)
        try await shell.runner.claimDirectories()
        start.say(to: shell)
        if let problem { shell.log(Note(.warning, .operationFailed, problem)) }
        socketPath = configuration.socket ?? Self.environment("RUNTIME_DIRECTORY").map { $0 + "/control.sock" } ?? path + "/control.sock"
    }

    /// Runs until a signal ends it and everything that this asks for is done.
    package func run() async throws {
        let service = ControlService(shell: shell, version: configuration.version)
        let server = try await ControlServer.start(
            at: socketPath, access: shell.runner.cluster.manifest.operatorAccess, service: service,
            group: MultiThreadedEventLoopGroup.singleton)
        shell.whenAccessChanges { try server.apply($0) }
        let (signals, input) = AsyncStream.makeStream(of: Int32.self)
        _ = try DedicatedThread(name: "signals") {
            while true { input.yield(HostSignals.wait()) }
        }
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for await number in signals { await self.handle(number) } }
                group.addTask { try await self.shell.run() }
                // The shell's end, or its failure, is the daemon's.
                _ = try await group.next()
                group.cancelAll()
            }
        } catch {
            await server.stop()
            throw error
        }
        await shell.runner.link.release()
        await server.stop()
    }

    private func handle(_ number: Int32) async {
        switch number {
        case SIGHUP: await reload()
        case SIGTERM, SIGINT: await terminate()
        default: break
        }
    }

    /// `systemctl stop` stops the members; `systemctl restart` replaces only the daemon.
    private func terminate() async {
        var mode = configuration.onTerminate
        if shell.notifier.isUnderSystemd {
            // It answers within seconds, or not (S10).
            let job = (try? await shell.runner.lanes.bus.run("its answer", within: .seconds(10)) { UnitJob.current() }) ?? .unknown
            switch job {
            case .stop: mode = .stop
            case .restart: mode = .leave
            // S10: members that serve without a daemon are safe; members stopped by mistake are an outage.
            case .unknown: mode = .leave
            }
        }
        shell.notifier.stopping(mode == .stop ? "stopping the members, the leader last" : "leaving the members serving")
        shell.send(.terminationRequested(leaveMembers: mode == .leave))
    }

    private func reload() async {
        // What has not been ready yet doesn't become so by a reload.
        let isReady = shell.hasServed
        if isReady { shell.notifier.reloading() }
        // What is wrong with it has been said.
        _ = try? await shell.apply(nil, by: nil)
        if isReady { shell.notifier.ready(StatusLine.text(shell.view.machine, at: shell.clock.now())) }
    }

    /// What keeps a manifest from being applied to the cluster that lives; `ensembled check` says it before the daemon is
    /// asked to. Empty where no daemon has run.
    package static func refusals(of manifest: Manifest, stateDirectory: String) throws -> [String] {
        guard let inForce = try ManifestAtStart.inForce(stateDirectory)?.manifest else { return [] }
        let layout = HostLayout(stateDirectory: stateDirectory, bundledServer: "")
        return ManifestChange(from: inForce, to: manifest, on: layout).refusals.map(\.description)
    }

    package static func readManifest(_ file: String) throws -> (manifest: Manifest, text: [UInt8]) {
        guard let bytes = try Directory.content(of: file) else {
            throw HostError(
                file, "there is no such file", remedy: "write the manifest there, or name another with --manifest",
                exitStatus: 78)
        }
        return (try Manifest.decode(bytes, file: file).manifest, bytes)
    }

    private static func environment(_ name: String) -> String? {
        // Several directories are separated by colons (systemd.exec(5)); ours is the first.
        getenv(name).map { String(cString: $0) }?.split(separator: ":").first.map(String.init)
    }

    /// S10: a name that can't be resolved at this moment says nothing of whose it is. Members that were started here are
    /// here; for others the daemon waits to be started again, and is.
    private static func checkHosts(of manifest: Manifest, isKnownHere: Bool) throws {
        let own = ownNames(among: manifest.members.map(\.host))
        if let error = manifest.foreignMembersError(ownNames: own.names + own.unresolved.map(\.host)) { throw error }
        guard !isKnownHere, let first = own.unresolved.first else { return }
        throw HostError(
            "host \(first.host)", "can't be resolved, so it can't be told whether its members are on this host: \(first.reason)",
            remedy: "look at the resolver; systemd starts the daemon again", exitStatus: 71)
    }

    /// S10: of an archive that does not answer it isn't known whether it holds backups of this cluster.
    private static func identity(of cluster: String, in place: ArchivePlace) async throws -> String? {
        let clock = HostClock()
        let lane = HostLane("archive", now: { clock.now() })
        do {
            return try await lane.run("a look at whose backups it holds", within: .seconds(20)) {
                try Worker().run(FindIdentity(cluster: cluster, place: place))
            }
        } catch let failure as HostLane.Failure {
            throw HostError(
                place.path, "does not answer: \(failure)", remedy: "look at what it is mounted from; systemd starts the daemon again",
                exitStatus: 71)
        }
    }

    /// What this host is called, and what can't be told.
    package struct OwnNames {
        package var names: [String] = []
        /// They lead nowhere at this moment.
        package var unresolved: [(host: String, reason: String)] = []
    }

    /// The host's name, the addresses of its interfaces, and those of `hosts` that lead to these addresses only: a full
    /// name, or another that the host has in /etc/hosts or in DNS. Blocks for as long as the resolver takes.
    package static func ownNames(among hosts: [String]) -> OwnNames {
        var own = OwnNames()
        var names: [String] = []
        var buffer = [CChar](repeating: 0, count: 256)
        if gethostname(&buffer, buffer.count - 1) == 0 {
            names.append(String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        for device in (try? System.enumerateDevices()) ?? [] {
            if let address = device.address?.ipAddress, !names.contains(address) { names.append(address) }
        }
        for host in hosts where !HostName.isLocal(host, ownNames: names) {
            switch addresses(of: host) {
            case .success(let found):
                if found.allSatisfy({ HostName.isLocal($0, ownNames: names) }) { names.append(host) }
            case .failure(let failure):
                if !own.unresolved.contains(where: { $0.host == host }) { own.unresolved.append((host, failure.reason)) }
            }
        }
        own.names = names
        return own
    }

    private struct Unresolved: Error {
        var reason: String
    }

    private static func addresses(of host: String) -> Result<[String], Unresolved> {
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, nil, &list)
        guard code == 0 else { return .failure(Unresolved(reason: String(cString: gai_strerror(code)))) }
        defer { freeaddrinfo(list) }
        var found: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: 256)
            if getnameinfo(entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0 {
                found.append(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
            next = entry.pointee.ai_next
        }
        return found.isEmpty ? .failure(Unresolved(reason: "it has no address")) : .success(found)
    }
}

/// Signals go through a pipe to one thread that waits for them. Blocking them and sigwait(3) would not do: Dispatch
/// parks the main thread of an async program in sigsuspend(2) with nothing blocked, where SIGTERM would end the daemon
/// (measured).
package enum HostSignals {
    /// Before anything else, so that no signal meets the default.
    package static func catchAll() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { number in
            let saved = errno
            var byte = UInt8(truncatingIfNeeded: number)
            _ = write(signalPipe.write, &byte, 1)
            errno = saved
        }
        action.sa_flags = Int32(SA_RESTART)
        guard signalPipe.read >= 0 else { return }
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaction(number, &action, nil) }
        signal(SIGPIPE, SIG_IGN)
    }

    static func wait() -> Int32 {
        var byte: UInt8 = 0
        while read(signalPipe.read, &byte, 1) != 1 {}
        return Int32(byte)
    }
}

/// Made before the handler is installed (`catchAll` touches it), so that the handler only reads it.
private let signalPipe: (read: Int32, write: Int32) = {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { return (-1, -1) }
    return (ends[0], ends[1])
}()

import EnsembleBase
import EnsembleControl
import Glibc
import KeeperStorage
import NIOConcurrencyHelpers

/// Servers: files, spawning, adoption, signals, deaths.
extension EffectRunner {
    func launch(
        _ id: Int, _ mode: LaunchMode, identity: String?, floor: DataFloor?, _ background: @escaping Background
    ) async {
        guard let member = cluster.member(id) else { return }
        do {
            let record = try await lanes.member(id).run("the start of its server") {
                try self.start(member, mode, identity: identity, floor: floor)
            }
            servers.withLockedValue { $0.records[id] = record }
            emit(.launched(id, pid: record.process.pid, member.fingerprint))
            watch(id, record, member, background)
        } catch let error as StorageError {
            // A full disk is no mistake in the configuration: tried again, as if the server itself had met it.
            emit(.exited(id, .storage(error.description)))
        } catch let error as HostError where error.exitStatus == 74 {
            emit(.exited(id, .storage(error.description)))
        } catch {
            // What isn't known to last is tried again: too few processes or too little memory, a full disk, the former
            // server's last moments.
            let isLasting = (error as? HostError)?.isLasting ?? false
            emit(.launchFailed(id, isLasting ? .lasting("\(error)") : .passing("\(error)")))
        }
    }

    /// Blocks. The configuration and everything beside it is durable before the process exists, and the record of the
    /// process follows at once; a daemon that dies between the two finds the process by its argument.
    private func start(
        _ member: RenderedMember, _ mode: LaunchMode, identity: String?, floor: DataFloor?
    ) throws -> ServerRecord {
        // S3: never two servers on one directory, whatever became of the record.
        if let stray = ProcessTable.find(executable: member.launch.executable, argument: member.configurationFile).first {
            throw HostError(
                "process \(stray.pid)", "is a server of member \(member.id) already", remedy: "end it, or let the daemon adopt it by a restart")
        }
        try requireOurs(member)
        // S2: Apache's server can't be told what it should find, so a last look comes as late as can be.
        if member.engine == .apache, let floor, try !look(at: member, .seals).meets(floor) {
            throw HostError(
                member.dataDirectory, "is not what was looked at just now", remedy: "it is looked at again before the next launch")
        }
        for path in [member.home, member.dataDirectory, member.logDirectory] { try StateDirectory.createParents(path) }
        try Directory.replace(file: member.configurationFile, with: Array(member.configuration.utf8))
        try Directory.replace(file: member.identityFile, with: Array(member.identity.utf8))
        // S2: without anything that it must hold it is to be empty, and the launch makes another directory of it.
        let isToBeEmpty = mode == .recovering && floor == nil
        if isToBeEmpty {
            guard DataProbe.inspect(member, .seals).isBlank else {
                throw HostError(
                    member.dataDirectory, "was empty when it was looked at, and is not", remedy: "it is looked at again before the next launch")
            }
        }
        if let identity { try Self.identify(member, as: identity, isAnew: isToBeEmpty) }
        switch mode {
        case .bootstrap:
            // S2: what was prepared is what is begun in.
            guard case .unused(let found?) = DataProbe.inspect(member, .seals), found == identity else {
                throw HostError(
                    member.dataDirectory, "is not as it was prepared for the first start", remedy: "it is looked at again before the next launch")
            }
        case .existing, .recovering:
            // S2: only the first start of a new cluster may begin empty and vote.
            if Directory.exists(member.initializeFile) { try Directory.remove(file: member.initializeFile) }
        }
        let output = OutputFile(path: member.outputFile)
        output.rotateIfLarge()
        let offset = output.size
        var launch = member.launch
        // The configuration file stays the last argument.
        if member.engine == .bundled, let floor { launch.arguments = ["--data-floor", floor.description] + launch.arguments }
        // S3: a daemon that stops its members ends only when each launch has been answered (`advanceTermination`); one that
        // leaves them may be survived by a server, which the next finds by its argument. Not under a lock: it opens a file
        // on the member's disk, and may hang.
        guard !isEnding.withLockedValue({ $0 }) else { throw HostLane.Failure.closed }
        let process = try ServerProcess.spawn(launch, directory: member.home, outputFile: member.outputFile)
        let record = ServerRecord(
            process: process, fingerprint: member.fingerprint.description, executable: member.launch.executable,
            client: member.clientAddress, outputOffset: Int64(offset))
        do {
            try state.save(record, ServerRecord.file(member))
        } catch {
            // S3: a server that no record names would live on unwatched.
            ServerProcess.signal(process, SIGKILL)
            _ = ServerProcess.waitForEnd(of: process)
            throw error
        }
        return record
    }

    /// S2: makes a blank directory one that a first start may begin in. The word that permits it comes last, and lies beside
    /// the identity that it is for. Blocks.
    package static func prepare(_ member: RenderedMember, as identity: String) throws {
        for path in [member.dataDirectory, member.logDirectory] { try StateDirectory.createParents(path) }
        guard DataProbe.inspect(member, .seals).isBlank else {
            throw HostError(
                member.dataDirectory, "was empty when it was looked at, and is not", remedy: "it is looked at again by itself")
        }
        try Directory.replace(file: member.dataDirectory + "/" + DataProbe.identityName, with: Array((identity + "\n").utf8))
        try Directory.replace(file: member.initializeFile, with: [])
        // Else it would be prepared again, and again at once.
        guard DataProbe.inspect(member, .seals) == .unused(identity: identity) else {
            throw HostError(
                member.dataDirectory, "holds an epoch or a mark of an earlier server in version-2, and no database",
                remedy: "move version-2 away if this is a new cluster, or put its snapshots and logs back")
        }
    }

    /// S2: a directory without an identity gets the ledger's, and any other has it. One that came into its place since it was
    /// looked at may hold enough and yet be another member's, without any of this one's promises.
    ///
    /// - Parameter isAnew: whether the launch makes another directory of it.
    package static func identify(_ member: RenderedMember, as identity: String, isAnew: Bool) throws {
        let found = isAnew ? nil : try DataProbe.identity(of: member)
        guard found == nil || found == identity else {
            throw HostError(
                member.dataDirectory, "is another directory than the one that was looked at just now",
                remedy: "it is looked at again before the next launch")
        }
        guard found == nil else { return }
        try Directory.replace(file: member.dataDirectory + "/" + DataProbe.identityName, with: Array((identity + "\n").utf8))
    }

    /// Finds the servers that an earlier daemon started: by the record (pid and start time), or by the argument where
    /// the record is missing or stale. Blocks.
    package func findRunningServers() -> [(id: Int, record: ServerRecord, isCurrent: Bool)] {
        cluster.members.compactMap { member in
            let saved = (try? state.load(ServerRecord.self, ServerRecord.file(member))) ?? nil
            if var saved, let status = ProcessTable.status(of: saved.process.pid), status.isAlive,
                status.identity == saved.process,
                ProcessTable.arguments(of: saved.process.pid).contains(member.configurationFile)
            {
                saved.client = saved.client ?? configuredAddress(of: member)
                return (member.id, saved, saved.fingerprint == member.fingerprint.description)
            }
            guard
                let found = ProcessTable.find(
                    executable: saved?.executable ?? member.launch.executable, argument: member.configurationFile
                ).first
            else { return nil }
            let record = ServerRecord(
                process: found, fingerprint: "", executable: member.launch.executable, client: configuredAddress(of: member),
                outputOffset: Int64(OutputFile(path: member.outputFile).size))
            try? state.save(record, ServerRecord.file(member))
            return (member.id, record, false)
        }
    }

    /// The file is written at a server's start only: it says what the running one was started with. Blocks.
    private func configuredAddress(of member: RenderedMember) -> ClientAddress? {
        guard let bytes = (try? Directory.content(of: member.configurationFile)) ?? nil else { return nil }
        let key = "clientPort="
        let port = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix(key) }.flatMap { Int($0.dropFirst(key.count)) }
        return port.map { ClientAddress(host: member.declaration.host, port: $0) }
    }

    package func adopt(_ id: Int, _ record: ServerRecord, _ background: Background) {
        guard let member = cluster.member(id) else { return }
        servers.withLockedValue { $0.records[id] = record }
        watch(id, record, member, background)
    }

    func signal(_ id: Int, _ number: Int32) {
        guard let record = servers.withLockedValue({ $0.records[id] }) else { return }
        ServerProcess.signal(record.process, number)
        // A stopped process takes SIGTERM only when it goes on.
        if number == SIGTERM { ServerProcess.signal(record.process, SIGCONT) }
    }

    /// Where the member's present server listens; nil: not known.
    func clientAddress(of id: Int) -> ClientAddress? { servers.withLockedValue { $0.records[id]?.client } }

    /// The process's status for probes; nil when there is none.
    package func status(of id: Int) -> ProcessTable.Status? {
        guard let record = servers.withLockedValue({ $0.records[id] }),
            let status = ProcessTable.status(of: record.process.pid), status.identity == record.process
        else { return nil }
        return status
    }

    /// One thread per server sleeps on its pidfd: death is an event within microseconds, and nobody polls.
    private func watch(_ id: Int, _ record: ServerRecord, _ member: RenderedMember, _ background: Background) {
        do {
            _ = try DedicatedThread(name: "member-\(id)") { [weak self] in
                let status = ServerProcess.waitForEnd(of: record.process)
                let cause = OutputFile(path: member.outputFile)
                    .cause(of: status, engine: member.engine, from: off_t(record.outputOffset))
                self?.servers.withLockedValue { if $0.records[id] == record { $0.records[id] = nil } }
                self?.emit(.exited(id, cause))
            }
        } catch {
            background { [emit] in
                while ProcessTable.status(of: record.process.pid)?.identity == record.process {
                    try? await Task.sleep(for: .milliseconds(200))
                }
                emit(.exited(id, .untold))
            }
        }
    }
}

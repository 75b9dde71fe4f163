import EnsembleBase

// What can only be judged by looking at several values together.

extension ManifestDraft {
    func check(_ findings: inout Findings) {
        checkTimes(&findings)
        checkRestart(&findings)
        checkEngine(&findings)
        checkBackups(&findings)
        checkWords(&findings)
        guard let members else { return }
        checkVoters(members, &findings)
        checkUniqueness(members, &findings)
        checkHosts(members, &findings)
        checkDirectories(members, &findings)
    }

    private func checkTimes(_ findings: inout Findings) {
        let shortest = settings.effectiveMinSessionTimeout
        let longest = settings.effectiveMaxSessionTimeout
        guard shortest > longest else { return }
        let path = findings.isWritten("settings.minSessionTimeout") ? "settings.minSessionTimeout" : "settings.maxSessionTimeout"
        findings.error(
            path, "the shortest session (\(durationText(shortest))) is longer than the longest (\(durationText(longest)))",
            remedy: "set minSessionTimeout to at most maxSessionTimeout (the defaults are 2 and 20 ticks)")
    }

    private func checkRestart(_ findings: inout Findings) {
        if restart.initialDelay > restart.maximumDelay {
            let path = findings.isWritten("restart.initialDelay") ? "restart.initialDelay" : "restart.maximumDelay"
            findings.error(
                path,
                "the first delay (\(durationText(restart.initialDelay))) is longer than the longest (\(durationText(restart.maximumDelay)))",
                remedy: "set initialDelay to at most maximumDelay")
            return
        }
        // The deaths that are counted are at least these waits apart; the last fifth of each is left to chance.
        var waits: Int64 = 0
        var delay = restart.initialDelay.inMilliseconds
        for _ in 1..<max(restart.giveUpAfter, 2) {
            waits += delay - delay / 5
            delay = min(delay * 2, restart.maximumDelay.inMilliseconds)
        }
        if restart.giveUpAfter > 1, waits >= restart.within.inMilliseconds {
            findings.warning(
                "restart.giveUpAfter",
                "\(restart.giveUpAfter) deaths cannot happen within \(durationText(restart.within)): the waits between them are longer, so the daemon never gives up",
                remedy: "raise within to more than \(durationText(.milliseconds((waits / 1000 + 1) * 1000))), or lower giveUpAfter")
        }
    }

    private func checkEngine(_ findings: inout Findings) {
        if engine != .apache, findings.isWritten("apache") {
            findings.warning("apache", "it has no effect with engine: bundled", remedy: "remove it, or write engine: apache")
        }
        if engine == .apache, limits.memory != nil {
            findings.error(
                "limits.memory", "a JVM reserves far more address space than it uses and would not start",
                remedy: "limit it with apache.heap")
        }
    }

    private func checkBackups(_ findings: inout Findings) {
        if !findings.isWritten("backups"), reseed.automatic {
            findings.warning(
                "", "there are no backups: a member that loses its data cannot be reseeded from one",
                remedy: "add backups, such as 'backups: {schedule: every 15m}'")
        }
        if let backups, !backups.verify {
            findings.warning(
                "backups.verify", "a backup that is not verified is never used without a person",
                remedy: "leave it out, or verify backups by hand")
        }
        if let backups, backups.mode == .cold, let members, members.count < 3 {
            findings.warning(
                "backups.mode", "with \(members.count) members none can be stopped without losing the quorum: every cold backup is held",
                remedy: "use live, or three members")
        }
    }

    private func checkWords(_ findings: inout Findings) {
        for (index, word) in settings.fourLetterWords.enumerated() where ["*", "wchc", "wchp"].contains(word) {
            findings.warning(
                "settings.fourLetterWords[\(index)]",
                "\(word == "*" ? "it allows wchc and wchp, which" : "it") can stall a server that has many watches, and any client may ask (CVE-2017-5637)",
                remedy: "list only the words you need")
        }
    }

    private func checkVoters(_ members: [MemberDraft], _ findings: inout Findings) {
        guard !members.isEmpty else {
            findings.error("members", "there are no voters: nothing can be written", remedy: "declare three members, or one to try")
            return
        }
        guard members.count % 2 == 0 else { return }
        findings.warning(
            "members",
            "an even number: \(members.count) voters survive the loss of \((members.count - 1) / 2), as \(members.count - 1) would",
            remedy: "declare \(members.count - 1) or \(members.count + 1)")
    }

    private func checkUniqueness(_ members: [MemberDraft], _ findings: inout Findings) {
        var ids: [Int: String] = [:]
        var ports: [String: String] = [:]
        for member in members {
            if let id = member.id {
                if let first = ids[id] {
                    findings.error("\(member.path).id", "\(id) is already the id of \(first)", remedy: "every member has its own")
                } else {
                    ids[id] = member.path
                }
            }
            guard let host = member.host else { continue }
            for (key, port) in [
                ("clientPort", member.clientPort), ("quorumPort", member.quorumPort), ("electionPort", member.electionPort),
            ] {
                guard let port else { continue }
                let place = "\(MemberDraft.hostKey(host)):\(port)"
                if let first = ports[place] {
                    findings.error(
                        "\(member.path).\(key)", "\(port) on \(host) is already \(first)",
                        remedy: "every port of a host is used once")
                } else {
                    ports[place] = "\(member.path).\(key)"
                }
            }
        }
    }

    private func checkHosts(_ members: [MemberDraft], _ findings: inout Findings) {
        let hosts = members.compactMap(\.host)
        for member in members {
            guard let host = member.host, HostName.isLoopback(host), hosts.contains(where: { !HostName.isLoopback($0) }) else {
                continue
            }
            findings.error(
                "\(member.path).host", "\(host) means another host to the members that are elsewhere",
                remedy: "give every member an address at which all others reach it")
        }
    }

    /// Files of one member must not be found in those of another, nor in the archive: a reseed moves a directory away
    /// as a whole (S6).
    private func checkDirectories(_ members: [MemberDraft], _ findings: inout Findings) {
        var places: [Place] = []
        if let archive = backups?.archive { places.append(Place(path: "backups.archive", directory: archive, owner: -1, host: nil)) }
        for (owner, member) in members.enumerated() {
            let host = member.host.map(MemberDraft.hostKey)
            if let data = member.dataDirectory {
                places.append(Place(path: "\(member.path).dataDirectory", directory: data, owner: owner, host: host))
            } else if let root = dataDirectory, let id = member.id {
                places.append(Place(path: "dataDirectory", directory: "\(root)/members/\(id)", owner: owner, host: host))
            }
            if let log = member.logDirectory {
                places.append(Place(path: "\(member.path).logDirectory", directory: log, owner: owner, host: host))
            }
        }
        for (index, place) in places.enumerated() {
            guard let other = places[..<index].first(where: { $0.collides(with: place) }) else { continue }
            findings.error(
                place.path, "\(place.directory) and \(other.directory) (\(other.path)) share files",
                remedy: "use directories of which neither is inside the other")
        }
    }

    private struct Place {
        var path: String
        var directory: String
        var owner: Int
        var host: String?

        func collides(with other: Place) -> Bool {
            // The log directory of a member may be inside its own data directory.
            guard owner != other.owner, host == nil || other.host == nil || host == other.host else { return false }
            return directory == other.directory || directory.hasPrefix(other.directory + "/")
                || other.directory.hasPrefix(directory + "/")
        }
    }
}

extension MemberDraft {
    /// All names of the loopback are one host.
    static func hostKey(_ host: String) -> String {
        HostName.isLoopback(host) ? "localhost" : HostName.normalised(host)
    }
}

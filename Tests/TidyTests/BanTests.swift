import Testing

/// What must not be written, each with what to write instead.
@Suite struct BanTests {
    private static let cores: Set<String> = ["EnsembleBase", "KeeperCore", "EnsembleControl"]
    private static let programs: Set<String> = ["ensembled", "ensemblectl", "ensemble-server", "ensemble-sim", "keeper-load"]
    /// Between a client's bytes and its reply.
    private static let dataPath: Set<String> = ["KeeperCore", "KeeperCodec", "KeeperStorage", "KeeperServer"]

    private func expectNone(_ pattern: some RegexComponent, in files: [SourceTree.File], instead: String) {
        for file in files {
            for (number, line) in file.code where line.contains(pattern) {
                Issue.record("\(file.path):\(number): \(line.trimmingSpaces): \(instead)")
            }
        }
    }

    private func sources(_ isWanted: (String) -> Bool) -> [SourceTree.File] {
        SourceTree.sources.filter { $0.path.hasSuffix(".swift") && isWanted(SourceTree.target(of: $0.path)) }
    }

    @Test func coresKnowNoClockNoChanceAndNoIO() {
        let cores = sources(Self.cores.contains)
        expectNone(/\bimport\s+Foundation/, in: cores, instead: "cores use the standard library only")
        expectNone(/\bDate\(\)|\bContinuousClock\b|\bSuspendingClock\b|\bDispatchTime\b/, in: cores, instead: "time is an argument (Instant, WallTime)")
        expectNone(/\.shuffled\(\)|\.randomElement\(\)|SystemRandomNumberGenerator/, in: cores, instead: "randomness is a SeededRandom argument")
        expectNone(/\.random\((?!.*using:)/, in: cores, instead: "pass `using:` a SeededRandom")
        expectNone(/\bTask\s*(\.detached\s*)?(\(|\{)|\bawait\b|\basync\b/, in: cores, instead: "a core is stepped, it does not wait")
        expectNone(/\bprint\(|\bdebugPrint\(|\bdump\(/, in: cores, instead: "a core says `.note(…)`; the shell logs it")
    }

    @Test func theDataPathStartsNoTasks() {
        expectNone(/\bTask\s*(\.detached\s*)?\{/, in: sources(Self.dataPath.contains), instead: "stay on the event loop or the log's thread")
    }

    @Test func onlyProgramsPrint() {
        expectNone(/(^|[^.\w])print\(/, in: sources { !Self.programs.contains($0) }, instead: "libraries return errors; only shells log")
    }

    @Test func nothingIsForcedOrUnchecked() {
        let all = sources { _ in true }
        expectNone(/try!/, in: all, instead: "handle the error or let it be thrown")
        expectNone(/@unchecked\s+Sendable|nonisolated\(unsafe\)/, in: all, instead: "own the state on one loop or thread, or use a lock or Atomic")
        // The thread sanitizer doesn't see the standard library's lock, and reports what it guards as races.
        expectNone(/\bMutex\b/, in: all, instead: "use NIOLockedValueBox")
        expectNone(/\bas!\s/, in: all, instead: "use a pattern that can fail")
    }

    @Test func nothingIsLeftForLater() {
        // Spelled so that this file does not find itself.
        let marks = ["TO" + "DO", "FIX" + "ME", "HA" + "CK:"]
        for file in SourceTree.sources + SourceTree.tests + SourceTree.files(under: "scripts", [""]) {
            for (index, line) in file.lines.enumerated() {
                for mark in marks where line.contains(mark) {
                    Issue.record("\(file.path):\(index + 1): \(mark): do it, or refuse it with a clear error")
                }
            }
        }
    }

    @Test func typesAreNamedAfterWhatTheyAre() {
        expectNone(
            /\b(?:class|struct|enum|actor|protocol|typealias)\s+\w*(?:Manager|Helper|Utils|Utilities)\b/, in: sources { _ in true },
            instead: "name the concept")
        for file in SourceTree.sources {
            #expect(file.path.firstMatch(of: /(Manager|Helper|Utils|Utilities|Misc|Common)(\/|\.swift)/) == nil, "\(file.path): name the concept")
        }
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        var slice = self[...]
        while slice.first?.isWhitespace == true { slice.removeFirst() }
        return String(slice)
    }
}

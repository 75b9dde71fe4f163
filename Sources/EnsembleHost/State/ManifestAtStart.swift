import EnsembleControl
import KeeperStorage

/// Which manifest a daemon starts with. S12: a start, an upgrade or a crash is nobody's request to apply the file: what was
/// last applied goes on, and what the file wishes beside it is said. A reload is such a request.
struct ManifestAtStart {
    private(set) var manifest: Manifest
    /// As it was read.
    let text: [UInt8]
    /// What the file says otherwise.
    private var refusals: [String] = []
    private var isFileLater = false

    typealias Read = (manifest: Manifest, text: [UInt8])

    /// - Parameters:
    ///   - wished: what the file says.
    ///   - hasRun: members were started by this state's daemons. Before that nothing is in force.
    /// - Throws: what is wrong with the file, where nothing is in force yet; and when the file declares another ensemble than
    ///   the one that the members' directories were last started as, because the daemon's state is gone.
    init(
        file: String, _ wished: Result<Read, any Error>, hasRun: Bool, stateDirectory: String, on layout: HostLayout
    ) throws {
        guard hasRun, let inForce = try Self.inForce(stateDirectory) else {
            (manifest, text) = try wished.get()
            try Self.checkTraces(of: manifest, file: file, on: layout)
            return
        }
        (manifest, text) = inForce
        switch wished {
        case .failure(let error): refusals = ["\(error)"]
        case .success(let wished):
            let change = ManifestChange(from: manifest, to: wished.manifest, on: layout)
            refusals = change.refusals.map(\.description)
            isFileLater = !change.isEmpty && refusals.isEmpty
            // Who may use the socket is nothing that runs, and a group that is gone would keep the daemon from starting.
            if refusals.isEmpty { manifest.operatorAccess = wished.manifest.operatorAccess }
        }
    }

    static func inForce(_ stateDirectory: String) throws -> Read? {
        let file = stateDirectory + StateDirectory.manifestName
        guard let bytes = try Directory.content(of: file) else { return nil }
        return (try Manifest.decode(bytes, file: file).manifest, bytes)
    }

    func say(to shell: OperatorShell) {
        if !refusals.isEmpty { shell.note(refusedReload: refusals) }
        if isFileLater {
            shell.log(
                Note(
                    .warning, .manifestChanged,
                    "the file says something else than the manifest in force, which goes on: a reload applies it, one member at a time"))
        }
    }

    /// The daemon's state is lost, or another directory than it had, and members have run: their configurations say what
    /// ensemble they are. Each knows all voters; the file alone must not make another one of them (two of three members cut
    /// off would go on acknowledging beside the third).
    private static func checkTraces(of manifest: Manifest, file: String, on layout: HostLayout) throws {
        let declared = manifest.voters
        for member in manifest.rendered(on: layout) {
            guard let bytes = try Directory.content(of: member.configurationFile) else { continue }
            let voters = String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line -> Int? in
                guard line.hasPrefix("server."), let end = line.firstIndex(of: "=") else { return nil }
                return Int(line[line.index(line.startIndex, offsetBy: 7)..<end])
            }
            // A member alone has no such line.
            let last = voters.isEmpty ? [member.id] : voters.sorted()
            guard last != declared else { continue }
            func list(_ ids: [Int]) -> String { ids.map { "\($0)" }.joined(separator: ", ") }
            throw HostError(
                file, "declares the voters \(list(declared)), and member \(member.id) was last started as one of \(list(last)) (\(member.configurationFile))",
                remedy: "declare these, or give the daemon the state directory that it had; adding and removing members is not built yet",
                exitStatus: 78)
        }
    }
}

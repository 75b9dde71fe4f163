import EnsembleBase

/// A manifest that is right, and what its author should know all the same.
package struct DecodedManifest: Hashable, Sendable {
    package var manifest: Manifest
    /// Allowed, but it will hurt; in the order of the file.
    package var warnings: [ManifestFinding]
}

extension Manifest {
    /// Reads the bytes of a manifest. `file` is only for messages. Throws all mistakes at once.
    package static func decode(_ bytes: [UInt8], file: String) throws(ManifestError) -> DecodedManifest {
        let (manifest, findings) = inspect(bytes, file: file)
        guard let manifest, !findings.contains(where: { !$0.isWarning }) else { throw ManifestError(findings: findings) }
        return DecodedManifest(manifest: manifest, warnings: findings)
    }

    /// All findings, and the manifest if it is right.
    private static func inspect(_ bytes: [UInt8], file: String) -> (Manifest?, [ManifestFinding]) {
        var findings = Findings(file: file)
        do throws(YAMLError) {
            let node = try YAMLReader.read(bytes)
            let draft = ManifestDraft.section.type.read(node, "", &findings)
            draft?.check(&findings)
            let manifest = findings.hasErrors ? nil : draft?.manifest
            return (manifest, findings.sorted)
        } catch {
            findings.error("", at: error.mark, error.problem, remedy: error.remedy)
            return (nil, findings.sorted)
        }
    }

    /// A JSON Schema (2020-12) of manifests, for editors: generated from what the decoder itself reads.
    package static var jsonSchema: String {
        guard case .object(let members) = JSONNode.section(ManifestSections.fields) else { return "{}" }
        let head = [
            JSONNode.Member(name: "$schema", value: .string("https://json-schema.org/draft/2020-12/schema")),
            JSONNode.Member(name: "title", value: .string("Manifest of an Ensembled cluster")),
        ]
        return JSONNode.object(head + members).text() + "\n"
    }
}

/// A manifest as far as it could be read.
struct ManifestDraft: Sendable {
    var cluster: String?
    var engine: Engine?
    var dataDirectory: String?
    var settings = ServerSettings()
    /// Nil: absent or unreadable, which has been complained about.
    var members: [MemberDraft]?
    var backups: BackupSettings?
    var restart = RestartPolicy()
    var reseed = ReseedPolicy()
    var limits = Limits()
    var apache = ApacheSettings()
    var operatorAccess = OperatorAccess()

    static let section = Section<ManifestDraft>(fields: ManifestSections.fields) { reader in
        var draft = ManifestDraft()
        reader.set(&draft.cluster, ManifestSections.cluster)
        reader.set(&draft.engine, ManifestSections.engine)
        reader.set(&draft.dataDirectory, ManifestSections.dataDirectory)
        reader.set(&draft.settings, ManifestSections.settings)
        reader.set(&draft.members, ManifestSections.members)
        draft.backups = reader.value(ManifestSections.backups) ?? nil
        reader.set(&draft.restart, ManifestSections.restart)
        reader.set(&draft.reseed, ManifestSections.reseed)
        reader.set(&draft.limits, ManifestSections.limits)
        reader.set(&draft.apache, ManifestSections.apache)
        reader.set(&draft.operatorAccess, ManifestSections.operatorAccess)
        return draft
    }

    /// Nil while something required is missing.
    var manifest: Manifest? {
        guard let cluster, let members else { return nil }
        let declarations = members.compactMap(\.declaration)
        guard declarations.count == members.count, !declarations.isEmpty else { return nil }
        return Manifest(
            cluster: cluster, engine: engine ?? .bundled, dataDirectory: dataDirectory, settings: settings,
            members: declarations, backups: backups, restart: restart, reseed: reseed, limits: limits, apache: apache,
            operatorAccess: operatorAccess)
    }
}

import EnsembleBase
import FoundationEssentials
import KeeperCodec
import KeeperCore

/// JSON of the catalog's records: sorted keys, so that the same record is the same bytes.
enum CatalogJSON {
    /// A manifest holds a configuration text and one line per object.
    static let sizeLimit = 8 << 20

    static func encode(_ value: some Encodable) throws(BackupError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
        } catch {
            throw BackupError(.refused, file: "manifest", problem: "cannot be written as JSON: \(error)", remedy: "report this")
        }
    }

    static func decode<Value: Decodable>(_: Value.Type, _ bytes: [UInt8], file: String) throws(BackupError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw BackupError(
                .damaged, file: file, problem: "is not a readable record: \(error)",
                remedy: "use another backup; keep this one for a person to look at")
        }
    }
}

extension BackupManifest {
    private struct Format: Decodable { var format: Int }

    /// Reads and checks a manifest: what passes can be restored without naming a file outside its directory.
    package static func read(_ bytes: [UInt8], file: String) throws(BackupError) -> BackupManifest {
        let format = try CatalogJSON.decode(Format.self, bytes, file: file).format
        guard format == currentFormat else {
            throw BackupError(
                .unsupported, file: file, problem: "has format \(format), this version reads \(currentFormat)",
                remedy: "use the version that made it")
        }
        let manifest = try CatalogJSON.decode(BackupManifest.self, bytes, file: file)
        if let problem = manifest.contradiction {
            throw BackupError(.damaged, file: file, problem: problem, remedy: "use another backup")
        }
        return manifest
    }

    /// 1970 to 9999: what a `BackupID` can be made of.
    private static let years = WallTime(milliseconds: 0)...WallTime(milliseconds: 253_402_300_799_999)
    /// 64 TiB. All the objects that a manifest may name add up to less than 2^63 bytes.
    private static let largestObject: Int64 = 1 << 46

    /// What is impossible about it, or nil.
    var contradiction: String? {
        guard let snapshot = objects.first, snapshot.role == .snapshot else { return "does not begin with a snapshot" }
        guard objects.count <= 100_000 else { return "names \(objects.count) objects" }
        // What counts ages and adds up sizes must not overflow on a damaged digit.
        guard BackupManifest.years.contains(capturedAt) else { return "was captured at an impossible time" }
        guard snapshotZxid <= lastZxid else { return "ends at \(lastZxid), before its snapshot \(snapshotZxid)" }
        var previous = Zxid.none
        for (index, object) in objects.enumerated() {
            let role: BackupObject.Role = index == 0 ? .snapshot : .log
            // The name is checked here because a restore writes a file of that name.
            guard object.role == role, let zxid = DataFileName(object.name, role: role)?.zxid else {
                return "object \(index) has the impossible name '\(object.name)' for a \(role.rawValue)"
            }
            let sizes = 0...BackupManifest.largestObject
            guard sizes.contains(object.size), sizes.contains(object.storedSize) else {
                return "'\(object.name)' has an impossible size"
            }
            if index == 0, zxid != snapshotZxid { return "'\(object.name)' is not the snapshot \(snapshotZxid)" }
            if index > 0, zxid <= previous { return "'\(object.name)' is out of order" }
            previous = index == 0 ? .none : zxid
        }
        return nil
    }
}

extension VerifiedRecord {
    /// Reads a record. Whether it belongs to a manifest is for the archive to say.
    package static func read(_ bytes: [UInt8], file: String) throws(BackupError) -> VerifiedRecord {
        try CatalogJSON.decode(VerifiedRecord.self, bytes, file: file)
    }
}

/// `snapshot.<zxid>` or `log.<zxid>`, the zxid in hexadecimal without leading zeros (reference/zookeeper.md, 2.1).
struct DataFileName: Hashable {
    var role: BackupObject.Role
    var zxid: Zxid
    /// How a member's file is packed. What is in a backup never is: it is packed once, by the archive.
    var packing: SnapshotCompression?

    init(role: BackupObject.Role, zxid: Zxid) {
        self.role = role
        self.zxid = zxid
    }

    init?(_ name: String, role: BackupObject.Role) {
        let prefix = role.rawValue + "."
        guard name.hasPrefix(prefix), let bits = UInt64(name.dropFirst(prefix.count), radix: 16) else { return nil }
        self.init(role: role, zxid: Zxid(rawValue: Int64(bitPattern: bits)))
        guard text == name else { return nil }
    }

    /// Of a file in a member's directory.
    init?(file name: String, role: BackupObject.Role) {
        let packing = role == .snapshot ? SnapshotCompression(ofFile: name) : nil
        self.init(String(name.dropLast(packing?.suffix.count ?? 0)), role: role)
        self.packing = packing
    }

    /// In a member's directory.
    var fileName: String { text + (packing?.suffix ?? "") }

    var text: String { role.rawValue + "." + String(UInt64(bitPattern: zxid.rawValue), radix: 16) }
}

import EnsembleBase
import KeeperCore

/// What a backup is and where its bytes are. Written last and never changed: a backup exists if and only if its
/// manifest does. That it was verified is a record of its own beside it (`VerifiedRecord`).
package struct BackupManifest: Hashable, Sendable, Codable {
    package static let currentFormat = 1

    package enum Engine: String, Hashable, Sendable, Codable { case bundled, apache }

    /// `live`: from the files of a running member. `cold`: from a stopped one. Both restore alike.
    package enum Kind: String, Hashable, Sendable, Codable { case live, cold }

    package struct Epochs: Hashable, Sendable, Codable {
        package var accepted: Int64
        package var current: Int64

        package init(accepted: Int64, current: Int64) {
            self.accepted = accepted
            self.current = current
        }
    }

    /// The tree digest that the leader of the time wrote into the log or the snapshot: a witness that the capture had
    /// no part in.
    package struct TreeDigest: Hashable, Sendable, Codable {
        /// Transactions after this one, up to the backup's end, carry no digest and change nothing (failed writes).
        package var zxid: Zxid
        package var value: HexadecimalDigest

        package init(zxid: Zxid, value: HexadecimalDigest) {
            self.zxid = zxid
            self.value = value
        }
    }

    /// `BackupManifest.currentFormat`; a reader refuses a higher one.
    package var format: Int
    package var id: BackupID
    /// The cluster's name in its manifest.
    package var cluster: String
    /// Made once per cluster and never reused, so that a backup cannot be restored into another cluster of that name.
    package var clusterIdentity: String
    package var member: ServerID
    package var engine: Engine
    package var kind: Kind
    /// When the capture began.
    package var capturedAt: WallTime
    /// The snapshot's zxid: the earliest point that it can be restored to is `lastZxid`'s log alone after it.
    package var snapshotZxid: Zxid
    /// The end: every transaction up to it is in, none after it. Committed when captured.
    package var lastZxid: Zxid
    /// The leader's clock at the first and at the last transaction of the logs; nil if they hold none.
    package var firstTransactionAt: WallTime?
    package var lastTransactionAt: WallTime?
    /// A transaction that the operator committed on purpose before this capture (reference/operators.md, R4).
    package var barrier: Zxid?
    /// The source member's epoch files; nil for a standalone server. Told, never restored to another member.
    package var epochs: Epochs?
    /// Nil if the ensemble computes no digests.
    package var digest: TreeDigest?
    /// The source member's `zoo.cfg`.
    package var configuration: String
    package var toolVersion: String
    /// The snapshot first, then the logs in order.
    package var objects: [BackupObject]

    /// Bytes of the archive that it names; objects shared with other backups are counted in each.
    package var storedSize: Int64 { objects.reduce(0) { $0 + $1.storedSize } }
    package var size: Int64 { objects.reduce(0) { $0 + $1.size } }
}

/// One file of a backup.
package struct BackupObject: Hashable, Sendable, Codable {
    package enum Role: String, Hashable, Sendable, Codable { case snapshot, log }

    package enum Compression: String, Hashable, Sendable, Codable { case none, zstd }

    /// The file's name in `version-2`: `snapshot.1a`, `log.1b`.
    package var name: String
    package var role: Role
    /// Bytes and SHA-256 of the file.
    package var size: Int64
    package var sha256: ContentHash
    package var compression: Compression
    /// Bytes and SHA-256 as stored; the latter is the object's name in the archive.
    package var storedSize: Int64
    package var storedSHA256: ContentHash
}

/// 64 bits as 16 hexadecimal digits: JSON numbers lose the low bits in most readers.
package struct HexadecimalDigest: Hashable, Sendable, Codable, CustomStringConvertible {
    package var value: UInt64

    package init(_ value: UInt64) { self.value = value }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard text.utf8.count == 16, !text.hasPrefix("+"), let value = UInt64(text, radix: 16) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not 16 hexadecimal digits")
        }
        self.value = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    package var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// S7: a backup's proof, written beside its manifest when the stored bytes were read back, replayed to the end and
/// compared, and only then. Bound to that very manifest by its hash.
package struct VerifiedRecord: Hashable, Sendable, Codable {
    package var format: Int
    package var id: BackupID
    /// SHA-256 of the manifest file's bytes.
    package var manifestSHA256: ContentHash
    package var verifiedAt: WallTime
    /// What the replay ended with.
    package var lastZxid: Zxid
    package var digest: HexadecimalDigest
    /// Whether a digest of the ensemble's own agreed. False: the ensemble writes none, and the replay alone was clean.
    package var digestWitnessed: Bool
    package var nodeCount: Int
    package var toolVersion: String
}

extension Zxid: Codable {
    /// `"0x100000002"`, as people and logs write it.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard text.hasPrefix("0x"), let bits = UInt64(text.dropFirst(2), radix: 16), !text.hasPrefix("0x+") else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a zxid such as 0x100000002")
        }
        self.init(rawValue: Int64(bitPattern: bits))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

import EnsembleBase

/// Names a backup: `20261121T022817Z-1f3a9c20`. The random half keeps two captures of one second, or of two hosts,
/// apart; so ids tell the order of capture to the second only (`ArchivedBackup.capturedAt` is finer).
package struct BackupID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package let text: String

    package init(time: WallTime, random: UInt32) {
        let digits = String(random, radix: 16)
        text = CivilTime(time).compact + "-" + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Nil for anything that `init(time:random:)` does not make; so an id is always a safe file name.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 25, bytes[16] == UInt8(ascii: "-"), CivilTime(compact: text.prefix(16)) != nil,
            bytes[17...].allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        self.text = text
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = BackupID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a backup id")
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// The second in which the capture began.
    var second: WallTime { CivilTime(compact: text.prefix(16))?.wallTime ?? WallTime(milliseconds: 0) }

    package static func < (a: BackupID, b: BackupID) -> Bool { a.text < b.text }
    package var description: String { text }
}

/// Text as the bytes that came over the wire: compared and hashed byte for byte.
///
/// Swift's `String` compares by canonical equivalence, so two znodes whose names are different encodings of "é" would
/// be one. ZooKeeper compares bytes; so do we.
package struct ByteString: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { bytes = Array(text.utf8) }
    package init(stringLiteral value: String) { self.init(value) }

    package static let empty = ByteString([])
    package var isEmpty: Bool { bytes.isEmpty }
    package var count: Int { bytes.count }

    package static func == (a: ByteString, b: ByteString) -> Bool { a.bytes == b.bytes }
    package static func < (a: ByteString, b: ByteString) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }

    package func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// For people: invalid UTF-8 is shown as U+FFFD. Never parse or compare this.
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

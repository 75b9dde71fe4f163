/// Bytes that are no record: what was being read, where, and what is wrong with it.
package struct CodecError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The bytes end inside the field. For a stream: more must arrive first.
        case truncated
        /// A length or count that is negative (other than −1, null) or beyond its limit.
        case length(Int, limit: Int)
        /// A value that the field can't have.
        case value(Int64)
        /// Bytes behind the end of the record.
        case trailing(Int)
        /// A checksum that differs from the one computed over the bytes.
        case checksum(stored: UInt64, computed: UInt64)
        /// Well-formed records that don't fit together: why.
        case content(String)
    }

    package var reason: Reason
    /// The field or record, in the words of reference/zookeeper.md.
    package var what: String
    /// Where the field starts, in bytes from the start of the frame, entry or stream.
    package var offset: Int

    package init(_ reason: Reason, what: String, offset: Int) {
        self.reason = reason
        self.what = what
        self.offset = offset
    }

    package var isTruncated: Bool { reason == .truncated }

    /// What is wrong, without what and where.
    package var problem: String {
        switch reason {
        case .truncated: "the bytes end inside it"
        case .length(let length, let limit): "length \(length) is not within 0...\(limit)"
        case .value(let value): "\(value) is not a legal value"
        case .trailing(let count): "\(count) bytes follow its end"
        case .checksum(let stored, let computed):
            "checksum is 0x\(String(stored, radix: 16)), the bytes have 0x\(String(computed, radix: 16))"
        case .content(let problem): problem
        }
    }

    package var description: String { "\(what) at offset \(offset): \(problem)" }
}

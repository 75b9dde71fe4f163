/// How a snapshot file is packed (Apache's `zookeeper.snapshot.compression.method`): its name says so. Ours never are.
package enum SnapshotCompression: Hashable, Sendable, CaseIterable {
    case gzip
    case snappy

    package var suffix: String {
        switch self {
        case .gzip: ".gz"
        case .snappy: ".snappy"
        }
    }

    /// - Returns: nil for a file that is not packed.
    package init?(ofFile name: String) {
        guard let found = SnapshotCompression.allCases.first(where: { name.hasSuffix($0.suffix) }) else { return nil }
        self = found
    }
}

/// Unpacks a snapshot file as its bytes come, in bounded memory; one that is not packed passes through.
package struct SnapshotUnpacker: Sendable {
    private enum Packing: Sendable {
        case none
        case gzip(GzipReader)
        case snappy(SnappyReader)
    }

    private var packing: Packing

    package init(_ compression: SnapshotCompression?) {
        packing =
            switch compression {
            case .gzip: .gzip(GzipReader())
            case .snappy: .snappy(SnappyReader())
            case nil: .none
            }
    }

    /// Calls `body` with the content that `chunk` completes. Not to be used again after it threw.
    package mutating func feed(
        _ chunk: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) throws(CodecError) -> Void
    ) throws(CodecError) {
        switch packing {
        case .none: try body(chunk)
        case .gzip(var reader):
            // Held by one only: else each write would copy it.
            packing = .none
            try reader.feed(chunk, body)
            packing = .gzip(reader)
        case .snappy(var reader):
            packing = .none
            try reader.feed(chunk, body)
            packing = .snappy(reader)
        }
    }

    /// Must be called at the end of the file: throws if it ends early.
    package mutating func finish(_ body: (ArraySlice<UInt8>) throws(CodecError) -> Void) throws(CodecError) {
        switch packing {
        case .none: return
        case .gzip(var reader): try reader.finish(body)
        case .snappy(var reader): try reader.finish(body)
        }
    }
}

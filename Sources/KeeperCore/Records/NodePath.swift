import EnsembleBase

/// A znode's absolute path, as bytes. The root is "/".
package struct NodePath: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let bytes: [UInt8]

    /// No validation: for paths that were validated when they entered (files, transactions). See `isValid`.
    package init(unchecked bytes: [UInt8]) { self.bytes = bytes }
    package init(stringLiteral value: String) { bytes = Array(value.utf8) }
    package init(_ text: String) { bytes = Array(text.utf8) }

    package static let root: NodePath = "/"

    package var isRoot: Bool { bytes.count == 1 && bytes[0] == UInt8(ascii: "/") }

    /// The parent's path; nil for the root and for a path without a slash.
    package var parent: NodePath? {
        guard !isRoot, let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return slash == 0 ? .root : NodePath(unchecked: Array(bytes[..<slash]))
    }

    /// The bytes behind the last slash.
    package var name: ArraySlice<UInt8> {
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return bytes[...] }
        return bytes[(slash + 1)...]
    }

    package func appending(_ name: some Collection<UInt8>) -> NodePath {
        var result = [UInt8]()
        result.reserveCapacity(bytes.count + 1 + name.count)
        if !isRoot { result.append(contentsOf: bytes) }
        result.append(UInt8(ascii: "/"))
        result.append(contentsOf: name)
        return NodePath(unchecked: result)
    }

    package func isEqualOrBelow(_ ancestor: NodePath) -> Bool {
        if ancestor.isRoot { return true }
        guard bytes.starts(with: ancestor.bytes) else { return false }
        return bytes.count == ancestor.bytes.count || bytes[ancestor.bytes.count] == UInt8(ascii: "/")
    }

    package static func == (a: NodePath, b: NodePath) -> Bool { a.bytes == b.bytes }
    package static func < (a: NodePath, b: NodePath) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
    package func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// What two manifests say differently, value by value, in their authors' words.
package struct ManifestDifference: Hashable, Sendable, Codable {
    package struct Entry: Hashable, Sendable, Codable {
        /// `settings.tickTime`, `members.2.clientPort`: a list's elements go by their id where they have one.
        package var path: String
        /// In the new manifest, from 1 on; nil: it isn't there.
        package var line: Int?
        /// Nil: it was not said, and its default was in force.
        package var before: String?
        package var after: String?
    }

    /// In the order of the new manifest; what it has no more comes last.
    package var entries: [Entry] = []

    private struct Value {
        var path: String
        var line: Int
        var text: String

        /// What can be shown of it: a digest of a password is what a thief would begin with.
        var shown: String { path == "settings.superDigest" ? "(not shown)" : text }
    }

    /// Of what is no YAML nothing can be said: then there are no entries.
    package init(from old: [UInt8], to new: [UInt8]) {
        guard let before = try? YAMLReader.read(old), let after = try? YAMLReader.read(new) else { return }
        let (was, wanted) = (Self.values(before), Self.values(after))
        let formerly = Dictionary(was.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        for value in wanted where formerly[value.path]?.text != value.text {
            entries.append(Entry(path: value.path, line: value.line, before: formerly[value.path]?.shown, after: value.shown))
        }
        let named = Set(wanted.map(\.path))
        for value in was where !named.contains(value.path) {
            entries.append(Entry(path: value.path, line: nil, before: value.shown, after: nil))
        }
    }

    private static func values(_ node: YAMLNode, at path: String = "") -> [Value] {
        func below(_ name: String) -> String { path.isEmpty ? name : path + "." + name }
        switch node.content {
        case .scalar(let text, _): return node.isNull ? [] : [Value(path: path, line: node.mark.line, text: text)]
        case .mapping(let entries): return entries.flatMap { values($0.value, at: below($0.key)) }
        case .sequence(let nodes):
            return nodes.enumerated().flatMap { index, node in values(node, at: below(id(of: node) ?? "\(index + 1)")) }
        }
    }

    private static func id(of node: YAMLNode) -> String? {
        guard case .mapping(let entries) = node.content, case .scalar(let text, _)? = entries.first(where: { $0.key == "id" })?.value.content
        else { return nil }
        return text
    }
}

/// A workflow that stands in the way of all others of its seat. At most one is at work.
package struct Operation: Sendable, Codable {
    /// Whatever can be written down and read again.
    static let kinds: [any Workflow.Type] = [Roll.self, StopMember.self, ColdCapture.self, Restore.self]

    /// Given by the hands; unique over the daemon's restarts.
    package var id: String
    package var workflow: any Workflow

    package init(id: String, _ workflow: any Workflow) {
        self.id = id
        self.workflow = workflow
    }

    package var title: String { workflow.title }

    /// The member that is out of service because of it, if one is.
    package var disrupted: MemberID? { if case .member(let id) = workflow.claim { id } else { nil } }

    // MARK: Written down as `{"id": …, "kind": {"<word>": {"_0": …}}}`

    private enum Keys: String, CodingKey { case id, kind }

    private struct Word: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    private static let content = Word(stringValue: "_0")

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        id = try container.decode(String.self, forKey: .id)
        let kind = try container.nestedContainer(keyedBy: Word.self, forKey: .kind)
        for type in Self.kinds where kind.contains(Word(stringValue: type.kind)) {
            let value = try kind.nestedContainer(keyedBy: Word.self, forKey: Word(stringValue: type.kind))
            workflow = try value.decode(type, forKey: Self.content)
            return
        }
        let found = kind.allKeys.map(\.stringValue).joined(separator: ", ")
        throw DecodingError.dataCorruptedError(
            forKey: Keys.kind, in: container, debugDescription: "no workflow of this version is called \"\(found)\"")
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(id, forKey: .id)
        var kind = container.nestedContainer(keyedBy: Word.self, forKey: .kind)
        var value = kind.nestedContainer(keyedBy: Word.self, forKey: Word(stringValue: type(of: workflow).kind))
        try value.encode(workflow, forKey: Self.content)
    }
}

extension Operation: Hashable {
    package static func == (a: Operation, b: Operation) -> Bool { a.id == b.id && AnyHashable(a.workflow) == AnyHashable(b.workflow) }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(AnyHashable(workflow))
    }
}

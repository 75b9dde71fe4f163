/// What is held back: the key of a hold, whatever its sentence.
package enum HoldSubject: Sendable, Hashable {
    /// Begun or not.
    case reseed(of: MemberID)
    case operation(id: String, title: String)
    case archive(title: String)
    /// By the manifest's wish, and not begun.
    case restartOfOutdated
    case start(of: MemberID)
    case end(of: MemberID)
    case restart(of: MemberID)
    case judgement(of: MemberID)
    case probe(of: MemberID)
    case endOfDaemon

    package var text: String {
        switch self {
        case .reseed(let id): "reseed of member \(id)"
        case .operation(_, let title), .archive(let title): title
        case .restartOfOutdated: "restart of members with changed settings"
        case .start(let id): "start of member \(id)"
        case .end(let id): "end of member \(id)"
        case .restart(let id): "restart of member \(id)"
        case .judgement(let id): "judgement of member \(id)"
        case .probe(let id): "probe of member \(id)"
        case .endOfDaemon: "end of the daemon"
        }
    }
}

/// One thing that waits, and for what (S10).
package struct Held: Sendable, Hashable {
    package var subject: HoldSubject
    package var member: MemberID?
    package var reason: HoldReason

    package var what: String { subject.text }
}

extension OperatorMachine {
    mutating func hold(_ subject: HoldSubject, member: MemberID? = nil, _ reason: HoldReason) {
        // A step may drive the members more than once.
        let held = Held(subject: subject, member: member, reason: reason)
        if !holds.contains(held) { holds.append(held) }
    }

    func reason(_ subject: HoldSubject) -> HoldReason? { holds.first { $0.subject == subject }?.reason }

    func subject(of workflow: any Workflow, in seat: Seat) -> HoldSubject {
        switch seat {
        case .reseed: (workflow as? Reseed).map { .reseed(of: $0.member) } ?? .archive(title: workflow.title)
        case .operation: .operation(id: operationID(in: seat) ?? "", title: workflow.title)
        case .archive: .archive(title: workflow.title)
        }
    }
}

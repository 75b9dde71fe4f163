import EnsembleBase

/// A member goes down because a person wants that, and stays down.
package struct StopMember: Workflow {
    package static let kind = "stopMember"

    package var member: MemberID
    /// S4: a person accepts that the ensemble stops serving.
    package var acceptOutage: Bool

    package init(member: MemberID, acceptOutage: Bool) {
        self.member = member
        self.acceptOutage = acceptOutage
    }

    package var title: String { "stop of member \(member)" }
    package var step: String { "stopping member \(member)" }

    package mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        if !machine.ledger.stoppedByPerson.contains(member) {
            // S4, S5
            if let reason = machine.objection(toDisrupting: member, acceptOutage: acceptOutage, at: now, into: &actions) {
                return .waits(reason, member: member)
            }
            machine.ledger.stoppedByPerson.append(member)
            machine.ledger.stoppedByPerson.sort()
            machine.saveLedger(into: &actions)
            machine.driveMembers(at: now, into: &actions)
        }
        return machine.supervisor(member)?.state.mayHaveProcess == false ? .ended(Ending()) : .waits(nil)
    }

    package mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation {
        // S4: once it is written down that a person wants it stopped, the way back is a start.
        machine.ledger.stoppedByPerson.contains(member)
            ? .impossible("it is being stopped; ensemblectl start \(member) takes it back")
            : .atOnce(returning: nil, came: "it serves on")
    }

    package func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep] {
        [PlanStep(member: member, action: title, reason: "asked for by a person", progress: .running)]
    }

    /// Former versions wrote the member and the word beside each other: of theirs the word is asked for anew.
    package init(from decoder: any Decoder) throws {
        if let member = try? decoder.singleValueContainer().decode(MemberID.self) {
            self.init(member: member, acceptOutage: false)
        } else {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                member: try container.decode(MemberID.self, forKey: .member),
                acceptOutage: try container.decode(Bool.self, forKey: .acceptOutage))
        }
    }

    private enum CodingKeys: String, CodingKey { case member, acceptOutage }
}

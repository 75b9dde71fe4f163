import EnsembleBase
import EnsembleControl
import Testing

@Suite struct MemberSupervisorTests {
    private let now = Instant(nanoseconds: 0)

    private func launching() -> MemberSupervisor {
        var manifest = Manifest(
            cluster: "c", members: [MemberDeclaration(id: 1, host: "h", clientPort: 1, quorumPort: 2, electionPort: 3)])
        manifest.restart.giveUpAfter = 3
        var supervisor = MemberSupervisor(id: 1, policy: manifest.restart, stopTimeout: .seconds(5), seed: 1)
        step(&supervisor, .wanted)
        step(&supervisor, .dataTrusted)
        #expect(supervisor.state == .launching)
        return supervisor
    }

    @discardableResult
    private func step(
        _ supervisor: inout MemberSupervisor, _ event: MemberSupervisor.Event, at time: Instant? = nil
    ) -> [MemberSupervisor.Action] {
        var actions = ActionBuffer<MemberSupervisor.Action>()
        supervisor.step(event, at: time ?? now, into: &actions)
        return actions.drain()
    }

    @Test func aPassingFailureToLaunchIsTriedAgain() {
        var supervisor = launching()
        step(&supervisor, .launchFailed(.passing("EAGAIN")))
        guard case .backingOff(let until) = supervisor.state else {
            Issue.record("\(supervisor.state)")
            return
        }
        step(&supervisor, .timePassed, at: until)
        #expect(supervisor.state == .inspecting)
    }

    @Test func aPassingFailureThatDoesNotPassIsGivenUpLoudly() {
        var supervisor = launching()
        for _ in 0..<3 {
            step(&supervisor, .launchFailed(.passing("EAGAIN")))
            if case .backingOff(let until) = supervisor.state {
                step(&supervisor, .timePassed, at: until)
                step(&supervisor, .dataTrusted)
            }
        }
        guard case .gaveUp = supervisor.state else {
            Issue.record("\(supervisor.state)")
            return
        }
    }

    @Test func aLastingFailureToLaunchNeedsAPerson() {
        var supervisor = launching()
        step(&supervisor, .launchFailed(.lasting("no such program")))
        step(&supervisor, .dataTrusted)
        #expect(supervisor.state == .gaveUp("no such program"))
        step(&supervisor, .revived)
        step(&supervisor, .dataTrusted)
        #expect(supervisor.state == .launching, "a person's word tries it again")
    }

    /// A server whose directory is gone can't make its files: it calls that a mistake in its configuration, and nobody is to
    /// be asked for it.
    @Test func aLostDirectoryIsNoMistakeInTheConfiguration() {
        var supervisor = launching()
        step(&supervisor, .launched)
        #expect(step(&supervisor, .exited(.configuration("create failed: no such file"))).contains(.inspect))
        step(&supervisor, .dataUntrusted(.missing))
        #expect(supervisor.state == .untrusted(.missing))
        step(&supervisor, .reseeded)
        step(&supervisor, .dataTrusted)
        #expect(supervisor.state == .launching)
    }

    /// Stopped while it was being launched: when that fails there is no process whose end could be awaited.
    @Test(arguments: [MemberSupervisor.Event.unwanted, .fenced]) func aLaunchThatFailsWhileItIsStoppedIsStopped(
        _ event: MemberSupervisor.Event
    ) {
        var supervisor = launching()
        step(&supervisor, event)
        step(&supervisor, .launchFailed(.passing("EAGAIN")))
        #expect(supervisor.state == .stopped)
    }

    /// S3: its launch hung, and it was to stop meanwhile: the process that comes of it after all is ended like any other.
    @Test func aLaunchThatComesLateIsEnded() {
        var supervisor = launching()
        #expect(step(&supervisor, .unwanted) == [.terminate])
        #expect(step(&supervisor, .launched) == [.terminate])
        #expect(supervisor.state.mayHaveProcess)
        supervisor = launching()
        #expect(step(&supervisor, .fenced) == [.kill])
        #expect(step(&supervisor, .launched) == [.kill])
        #expect(supervisor.state.mayHaveProcess)
    }

    /// A signal that was lost (no descriptor for the pidfd) held up everybody for ever.
    @Test func aKillIsRepeatedUntilItEnds() {
        var supervisor = launching()
        step(&supervisor, .launched)
        #expect(step(&supervisor, .fenced) == [.kill])
        #expect(step(&supervisor, .timePassed, at: now + .seconds(1)) == [])
        #expect(step(&supervisor, .timePassed, at: now + .seconds(2)) == [.kill])
        #expect(step(&supervisor, .timePassed, at: now + .seconds(3)) == [])
        #expect(step(&supervisor, .timePassed, at: now + .seconds(4)) == [.kill])
        step(&supervisor, .exited(.signalled(9)))
        #expect(supervisor.state == .stopped)
        #expect(step(&supervisor, .timePassed, at: now + .seconds(9)) == [])
    }

    /// The crash policy by cause.
    @Test func theCauseDecides() {
        func after(_ cause: ExitCause) -> MemberSupervisor.State {
            var supervisor = launching()
            step(&supervisor, .launched)
            step(&supervisor, .exited(cause))
            if case .configuration = cause { step(&supervisor, .dataTrusted) }
            return supervisor.state
        }
        #expect(after(.configuration("x")) == .gaveUp("x"))
        #expect(after(.damagedData("x")) == .untrusted(.refusedByServer("x")))
        let others: [ExitCause] = [.clean, .storage("x"), .addressInUse("x"), .signalled(9), .status(1), .untold]
        for cause in others {
            guard case .backingOff = after(cause) else {
                Issue.record("\(cause): \(after(cause))")
                continue
            }
        }
    }
}

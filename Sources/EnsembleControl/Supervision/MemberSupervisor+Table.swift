import EnsembleBase

/// The table: every state answers every event, and the compiler holds it complete (no `default`).
extension MemberSupervisor {
    package mutating func step(_ event: Event, at now: Instant, into actions: inout ActionBuffer<Action>) {
        switch event {
        case .wanted: isWanted = true
        case .unwanted, .fenced: isWanted = false
        case .dataTrusted, .dataUntrusted, .dataUnknown, .launched, .launchFailed, .exited, .frozen, .proved, .revived,
            .reseeded, .timePassed:
            break
        }
        switch state {
        case .stopped: whileStopped(event, into: &actions)
        case .inspecting: whileInspecting(event, at: now, into: &actions)
        case .launching, .running: whileAlive(event, at: now, into: &actions)
        case .stopping(let deadline): whileStopping(event, deadline: deadline, at: now, into: &actions)
        case .killing(_, let again): whileKilling(event, again: again, at: now, into: &actions)
        case .backingOff(let until), .doubtful(_, let until): whileWaiting(event, until: until, at: now, into: &actions)
        case .untrusted: whileUntrusted(event, into: &actions)
        case .gaveUp: whileGivenUp(event, into: &actions)
        }
    }

    private mutating func inspect(into actions: inout ActionBuffer<Action>) {
        state = .inspecting
        actions.append(.inspect)
    }

    private mutating func whileStopped(_ event: Event, into actions: inout ActionBuffer<Action>) {
        switch event {
        case .wanted:
            inspect(into: &actions)
        case .dataUntrusted(let reason):
            state = .untrusted(reason)
        case .unwanted, .fenced, .dataTrusted, .dataUnknown, .launched, .launchFailed, .exited, .frozen, .proved,
            .revived, .reseeded, .timePassed:
            if isWanted { inspect(into: &actions) }
        }
    }

    private mutating func whileInspecting(_ event: Event, at now: Instant, into actions: inout ActionBuffer<Action>) {
        switch event {
        case .dataTrusted:
            guard isWanted else { return state = .stopped }
            if let why = complaint {
                complaint = nil
                state = .gaveUp(why)
                return actions.append(.note(Note(.error, .memberGaveUp, member: id, "not restarted: \(why)")))
            }
            state = .launching
            actions.append(.launch)
        case .dataUntrusted(let reason):
            complaint = nil
            state = .untrusted(reason)
            actions.append(.note(Note(.warning, .dataUntrusted, member: id, reason.description)))
        case .dataUnknown(let why):
            // S10: looked at again after a while, started never.
            state = .doubtful(why, until: now + .seconds(1))
        case .unwanted, .fenced:
            complaint = nil
            state = .stopped
        case .wanted, .launched, .launchFailed, .exited, .frozen, .proved, .revived, .reseeded, .timePassed:
            break
        }
    }

    private mutating func whileAlive(_ event: Event, at now: Instant, into actions: inout ActionBuffer<Action>) {
        switch event {
        case .launched:
            state = .running
        case .launchFailed(.lasting(let why)):
            afterDeath(.configuration(why), at: now, into: &actions)
        case .launchFailed(.passing(let why)):
            afterDeath(.launchFailed(why), at: now, into: &actions)
        case .exited(let cause):
            afterDeath(cause, at: now, into: &actions)
        case .unwanted:
            state = .stopping(deadline: now + stopTimeout)
            actions.append(.terminate)
        case .fenced:
            kill(at: now, into: &actions)
        case .frozen(let why):
            actions.append(.note(Note(.warning, .memberSilent, member: id, "killed: \(why.description)")))
            kill(at: now, into: &actions)
        case .proved:
            backoff.reset()
            recentDeaths = []
        case .wanted, .dataTrusted, .dataUntrusted, .dataUnknown, .revived, .reseeded, .timePassed:
            break
        }
    }

    private mutating func whileStopping(
        _ event: Event, deadline: Instant, at now: Instant, into actions: inout ActionBuffer<Action>
    ) {
        switch event {
        case .exited(let cause):
            lastExit = cause
            stoppedAsAsked(into: &actions)
        case .launchFailed:
            // It was no longer wanted while it was being launched: there is no process to wait for.
            stoppedAsAsked(into: &actions)
        case .fenced:
            kill(at: now, into: &actions)
        case .timePassed:
            guard now >= deadline else { return }
            actions.append(.note(Note(.warning, .memberSilent, member: id, "it did not stop in \(stopTimeout): killed")))
            kill(at: now, into: &actions)
        case .launched:
            // Its launch was under way when it was to stop: there was no process to ask.
            actions.append(.terminate)
        case .wanted, .unwanted, .dataTrusted, .dataUntrusted, .dataUnknown, .frozen, .proved, .revived, .reseeded:
            break
        }
    }

    private mutating func stoppedAsAsked(into actions: inout ActionBuffer<Action>) {
        state = .stopped
        actions.append(.note(Note(.information, .memberStopped, member: id, "it has stopped")))
        if isWanted { inspect(into: &actions) }
    }

    private mutating func kill(at now: Instant, into actions: inout ActionBuffer<Action>) {
        var begun = now
        if case .killing(let since, _) = state { begun = since }
        state = .killing(since: begun, again: now + .seconds(2))
        actions.append(.kill)
    }

    private mutating func whileKilling(
        _ event: Event, again: Instant, at now: Instant, into actions: inout ActionBuffer<Action>
    ) {
        switch event {
        case .exited(let cause):
            lastExit = cause
            state = .stopped
            if isWanted { afterDeath(.signalled(9), at: now, into: &actions) }
        case .launchFailed:
            state = .stopped
            if isWanted { inspect(into: &actions) }
        case .launched:
            kill(at: now, into: &actions)
        case .timePassed:
            // A signal may be lost: out of descriptors, or sent before there was a process.
            if now >= again { kill(at: now, into: &actions) }
        case .wanted, .unwanted, .fenced, .dataTrusted, .dataUntrusted, .dataUnknown, .frozen, .proved, .revived,
            .reseeded:
            break
        }
    }

    private mutating func whileWaiting(
        _ event: Event, until: Instant, at now: Instant, into actions: inout ActionBuffer<Action>
    ) {
        switch event {
        case .unwanted, .fenced:
            state = .stopped
        case .revived:
            inspect(into: &actions)
        case .timePassed:
            if now >= until { inspect(into: &actions) }
        case .wanted, .dataTrusted, .dataUntrusted, .dataUnknown, .launched, .launchFailed, .exited, .frozen, .proved,
            .reseeded:
            break
        }
    }

    private mutating func whileUntrusted(_ event: Event, into actions: inout ActionBuffer<Action>) {
        switch event {
        case .reseeded:
            state = .stopped
            if isWanted { inspect(into: &actions) }
        case .revived:
            // A person may have put the right data back: look again, don't believe.
            inspect(into: &actions)
        case .wanted, .unwanted, .fenced, .dataTrusted, .dataUntrusted, .dataUnknown, .launched, .launchFailed, .exited,
            .frozen, .proved, .timePassed:
            break
        }
    }

    private mutating func whileGivenUp(_ event: Event, into actions: inout ActionBuffer<Action>) {
        switch event {
        case .revived, .reseeded:
            recentDeaths = []
            backoff.reset()
            if isWanted { inspect(into: &actions) } else { state = .stopped }
        case .unwanted, .fenced:
            state = .stopped
        case .wanted, .dataTrusted, .dataUntrusted, .dataUnknown, .launched, .launchFailed, .exited, .frozen, .proved,
            .timePassed:
            break
        }
    }

    /// The crash policy by cause. A lost quorum is no cause: a server without one lives on and is left alone.
    private mutating func afterDeath(_ cause: ExitCause, at now: Instant, into actions: inout ActionBuffer<Action>) {
        lastExit = cause
        guard isWanted else { return state = .stopped }
        deaths += 1
        actions.append(.note(Note(.warning, .memberDied, member: id, cause.description)))
        switch cause {
        case .configuration(let why):
            // What the server takes for a mistake in its configuration may be the loss of its directory: what is on the disk
            // says which.
            complaint = why
            inspect(into: &actions)
        case .damagedData(let why):
            state = .untrusted(.refusedByServer(why))
            actions.append(.note(Note(.warning, .dataUntrusted, member: id, why)))
        case .clean, .storage, .addressInUse, .launchFailed, .signalled, .status, .untold:
            recentDeaths = recentDeaths.filter { now - $0 < policy.within } + [now]
            guard recentDeaths.count < policy.giveUpAfter else {
                let why = "\(recentDeaths.count) deaths in \(policy.within), the last because \(cause.description)"
                state = .gaveUp(why)
                actions.append(.note(Note(.error, .memberGaveUp, member: id, "not restarted any more: \(why)")))
                return
            }
            state = .backingOff(until: now + backoff.next(using: &random))
        }
    }
}

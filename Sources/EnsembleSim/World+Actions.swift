import EnsembleBase
import KeeperCore

/// The simulated hands: what each action of a server does to the world.
extension World {
    mutating func perform(_ action: KeeperAction, of id: ServerID) {
        switch action {
        case .sendNotification(let receiver, let message): send(message, from: id, to: receiver)
        case .openLearnerPort: servers[index(id)].acceptsLearners = true
        case .closeLearnerPort:
            servers[index(id)].acceptsLearners = false
            for link in links.indices where links[link].leader == id { breakLink(link) }
        case .sendToLearner(let learner, let packet): sendToLearner(learner, .packet(packet))
        case .sendSnapshot(let learner, let zxid):
            guard let machine = servers[index(id)].machine else { return }
            record("\(id) sends a tree at \(zxid)")
            sendToLearner(learner, .packet(.snap(at: zxid)))
            sendToLearner(learner, .tree(machine.tree.beginSnapshot(), at: zxid))
        case .propose(let entry, let learners):
            append(entry, on: id)
            for learner in learners { sendToLearner(learner, .packet(.proposal(entry))) }
        case .commit(let zxid, let learners):
            for learner in learners { sendToLearner(learner, .packet(.commit(zxid))) }
        case .closeLearner(let learner): breakLink(Int(learner.rawValue))
        case .connectToLeader(let leader): connect(id, to: leader)
        case .sendToLeader(let packet): sendToLeader(packet, from: id)
        case .disconnectFromLeader:
            if let link = servers[index(id)].leaderLink {
                servers[index(id)].leaderLink = nil
                breakLink(link)
            }
        default: performLocally(action, of: id)
        }
    }

    private mutating func performLocally(_ action: KeeperAction, of id: ServerID) {
        switch action {
        case .append(let entry): append(entry, on: id)
        case .saveEpochs(let accepted, let current): enqueue(.saveEpochs(accepted: accepted, current: current), on: id)
        case .truncateLog(let zxid):
            record("\(id) truncates to \(zxid)")
            enqueue(.truncate(zxid), on: id)
        case .installSnapshot(let tree):
            // The mark comes first: a crash from here on finds a directory that is no voter's (rule S2).
            servers[index(id)].disk.marked = true
            enqueue(.install(tree), on: id)
        case .takeSnapshot(let start):
            guard let machine = servers[index(id)].machine else { return }
            enqueue(.snapshot(start: start, walk: machine.tree.beginSnapshot()), on: id)
        case .clearRecoveringMark: enqueue(.clearMark, on: id)
        case .note(let note):
            record("\(id) \(note)")
            if case .digestMismatch = note { checker.fail("\(id): \(note)") }
        case .halt(let reason): checker.fail("\(id) halts: \(reason)")
        case .reply(let connection, let reply): toClient(of: id, connection, .reply(reply))
        case .connectReply(let connection, let response): toClient(of: id, connection, .connected(response))
        case .watchEvent(let connection, let event): toClient(of: id, connection, .event(event))
        case .closeClient(let connection):
            toClient(of: id, connection, .closed)
            servers[index(id)].connections[connection.rawValue] = nil
        default: preconditionFailure("an action that the world does not perform")
        }
    }

    private mutating func append(_ entry: LogEntry, on id: ServerID) {
        servers[index(id)].disk.unsynced.append(entry)
        servers[index(id)].appended = entry.zxid
    }

    private mutating func toClient(of id: ServerID, _ connection: ConnectionID, _ message: ToClient) {
        guard let client = servers[index(id)].connections[connection.rawValue] else { return }
        let arrival = max(clients[client].inboundFree, now + delay())
        clients[client].inboundFree = arrival
        queue.schedule(.clientDelivery(client, connection: connection.rawValue, message), at: arrival)
    }
}

import EnsembleBase

// Bodies of the control API. A field that is missing in an answer from another version of the daemon is nil; a field
// that this version does not know is ignored.

/// `POST /v1/restart-rolling`.
package struct RestartRollingRequest: Hashable, Sendable, Codable {
    /// Only say what would be done: the answer is a `PlanResponse`, and nothing changes.
    package var dryRun: Bool
    /// As `MemberRequest.acceptOutage`, for every member in its turn.
    package var acceptOutage: Bool?

    package init(dryRun: Bool, acceptOutage: Bool? = nil) {
        self.dryRun = dryRun
        self.acceptOutage = acceptOutage
    }
}

/// `POST /v1/members/<id>/stop` and `…/restart`; the body may be left out.
package struct MemberRequest: Hashable, Sendable, Codable {
    /// The caller accepts that the ensemble stops serving: the one exception from rule S4 (a voluntary step is taken
    /// only if the members that stay hold a quorum). Nil: no.
    package var acceptOutage: Bool?

    package init(acceptOutage: Bool? = nil) { self.acceptOutage = acceptOutage }
}

/// `POST /v1/backups`.
package struct CreateBackupRequest: Hashable, Sendable, Codable {
    /// Nil: as the manifest says.
    package var mode: CaptureMode?
    /// Nil: the daemon chooses.
    package var member: Int?

    package init(mode: CaptureMode? = nil, member: Int? = nil) {
        self.mode = mode
        self.member = member
    }
}

/// `POST /v1/backups/prune`.
package struct PruneBackupsRequest: Hashable, Sendable, Codable {
    package var dryRun: Bool

    package init(dryRun: Bool) { self.dryRun = dryRun }
}

/// `POST /v1/restore`: put the whole cluster back to a backup.
package struct RestoreRequest: Hashable, Sendable, Codable {
    package var backup: String
    /// Name of the cluster, typed by a person: what is younger than the backup is lost to clients.
    package var confirm: String
    /// From `POST /v1/tickets`, a moment before: a request that has lain in a socket is not carried out. It is the operation's
    /// id as well: asked again with the same ticket, it is the same request.
    package var ticket: String?

    package init(backup: String, confirm: String, ticket: String? = nil) {
        self.backup = backup
        self.confirm = confirm
        self.ticket = ticket
    }
}

/// Answer to `POST /v1/tickets`.
package struct TicketResponse: Hashable, Sendable, Codable {
    package var ticket: String
    /// How long it is good for, by the daemon's clock.
    package var milliseconds: Int64

    package init(ticket: String, milliseconds: Int64) {
        self.ticket = ticket
        self.milliseconds = milliseconds
    }
}

/// Answer to whatever takes long: ask `GET /v1/operations/<id>` how it goes.
package struct AcceptedResponse: Hashable, Sendable, Codable {
    package var operation: String

    package init(operation: String) { self.operation = operation }
}

/// `GET /v1/operations/<id>`.
package struct OperationStatus: Hashable, Sendable, Codable {
    package enum State: String, CaseIterable, OpenVocabulary {
        /// Written down, not begun.
        case waiting
        case running
        /// Stopped by a missing condition, goes on by itself (S10).
        case held
        case succeeded
        case failed
        /// A person has ended it; `message` says what had been done by then.
        case cancelled
        case other

        package var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
    }

    package enum Unit: String, CaseIterable, OpenVocabulary {
        case bytes, transactions, members, objects, other
    }

    package var id: String
    /// What it does: "restart of all members", "backup".
    package var kind: String
    package var state: State
    /// What it does at this moment.
    package var step: String
    package var done: Int64?
    package var total: Int64?
    package var unit: Unit?
    /// Units in a second, over the last seconds.
    package var rate: Double?
    package var message: String
    package var startedAt: WallTime?
    package var finishedAt: WallTime?
    /// With `failed`: why. With `held`: the missing condition.
    package var error: ControlError?
    /// With `succeeded`: id of the backup that was made or verified.
    package var backup: String?
    /// The user id of who asked; nil: the daemon began it by itself.
    package var by: UInt32?

    package init(
        id: String, kind: String, state: State, step: String = "", done: Int64? = nil, total: Int64? = nil,
        unit: Unit? = nil, rate: Double? = nil, message: String = "", startedAt: WallTime? = nil,
        finishedAt: WallTime? = nil, error: ControlError? = nil, backup: String? = nil
    ) {
        self.id = id
        self.kind = kind
        self.state = state
        self.step = step
        self.done = done
        self.total = total
        self.unit = unit
        self.rate = rate
        self.message = message
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.error = error
        self.backup = backup
    }
}

/// `GET /v1/operations`, the latest first.
package struct OperationsResponse: Hashable, Sendable, Codable {
    package var operations: [OperationStatus]

    package init(operations: [OperationStatus]) { self.operations = operations }
}

/// `GET /v1/plan`, and the answer to a rolling restart with `dryRun`.
package struct PlanResponse: Hashable, Sendable, Codable {
    package struct Step: Hashable, Sendable, Codable {
        /// "restart member 2"
        package var action: String
        package var member: Int?
        package var reason: String
        /// The condition for which the step waits; nil: it can be taken now.
        package var heldBack: String?
        package var done: Bool
        /// It is being done at this moment.
        package var running: Bool?

        package init(
            action: String, member: Int? = nil, reason: String, heldBack: String? = nil, done: Bool = false,
            running: Bool? = nil
        ) {
            self.running = running
            self.action = action
            self.member = member
            self.reason = reason
            self.heldBack = heldBack
            self.done = done
        }
    }

    package var steps: [Step]
    package var held: [Hold]

    package init(steps: [Step], held: [Hold] = []) {
        self.steps = steps
        self.held = held
    }
}

/// `GET /v1/events`.
package struct EventsResponse: Hashable, Sendable, Codable {
    package var events: [EventRecord]
    /// Sequence number to ask `after` next.
    package var next: UInt64
    /// Events between the asked number and the first given one were dropped from the daemon's memory.
    package var missed: Bool

    package init(events: [EventRecord], next: UInt64, missed: Bool = false) {
        self.events = events
        self.next = next
        self.missed = missed
    }
}

package struct EventRecord: Hashable, Sendable, Codable {
    package enum Severity: String, CaseIterable, OpenVocabulary {
        case information, warning, error, other
    }

    package var sequence: UInt64
    package var at: WallTime
    package var severity: Severity
    /// Word for programs: `memberDied`.
    package var code: String
    package var member: Int?
    package var message: String

    package init(sequence: UInt64, at: WallTime, severity: Severity, code: String, member: Int? = nil, message: String) {
        self.sequence = sequence
        self.at = at
        self.severity = severity
        self.code = code
        self.member = member
        self.message = message
    }
}

/// `GET /v1/backups`, newest first.
package struct BackupsResponse: Hashable, Sendable, Codable {
    package var archive: String
    package var backups: [BackupDescription]

    package init(archive: String, backups: [BackupDescription]) {
        self.archive = archive
        self.backups = backups
    }
}

package struct BackupDescription: Hashable, Sendable, Codable {
    package var id: String
    package var createdAt: WallTime
    package var mode: CaptureMode
    /// Member it was taken from.
    package var member: Int
    package var firstZxid: HexZxid?
    package var lastZxid: HexZxid
    package var epoch: Int64?
    /// Bytes before compression.
    package var size: Int64
    /// Bytes in the archive, shared objects counted in full.
    package var storedSize: Int64
    /// When it was last read back, replayed and compared (S7); nil: never.
    package var verifiedAt: WallTime?
    /// Why the last verification failed.
    package var damage: String?

    package init(
        id: String, createdAt: WallTime, mode: CaptureMode, member: Int, firstZxid: HexZxid? = nil, lastZxid: HexZxid,
        epoch: Int64? = nil, size: Int64, storedSize: Int64, verifiedAt: WallTime? = nil, damage: String? = nil
    ) {
        self.id = id
        self.createdAt = createdAt
        self.mode = mode
        self.member = member
        self.firstZxid = firstZxid
        self.lastZxid = lastZxid
        self.epoch = epoch
        self.size = size
        self.storedSize = storedSize
        self.verifiedAt = verifiedAt
        self.damage = damage
    }
}

/// Answer to `GET /v1/backups/<id>`: all that its manifest says.
package struct BackupDetails: Hashable, Sendable, Codable {
    package struct Object: Hashable, Sendable, Codable {
        /// The file's name in `version-2`.
        package var name: String
        /// Bytes.
        package var size: Int64
        package var storedSize: Int64
        /// Of the stored bytes: the object's name in the archive.
        package var storedSHA256: String

        package init(name: String, size: Int64, storedSize: Int64, storedSHA256: String) {
            self.name = name
            self.size = size
            self.storedSize = storedSize
            self.storedSHA256 = storedSHA256
        }
    }

    package var summary: BackupDescription
    package var cluster: String
    package var clusterIdentity: String
    package var engine: Engine
    /// The leader's clock at the first and at the last transaction of the logs.
    package var firstTransactionAt: WallTime?
    package var lastTransactionAt: WallTime?
    package var acceptedEpoch: Int64?
    /// Sixteen hexadecimal digits: what the ensemble itself wrote of the tree; nil: it wrote none.
    package var digest: String?
    /// Znodes, as the verification counted them.
    package var nodeCount: Int?
    package var toolVersion: String
    package var objects: [Object]
    /// `zoo.cfg` of the member.
    package var configuration: String

    package init(
        summary: BackupDescription, cluster: String, clusterIdentity: String, engine: Engine, firstTransactionAt: WallTime?,
        lastTransactionAt: WallTime?, acceptedEpoch: Int64?, digest: String?, nodeCount: Int?, toolVersion: String, objects: [Object],
        configuration: String
    ) {
        self.summary = summary
        self.cluster = cluster
        self.clusterIdentity = clusterIdentity
        self.engine = engine
        self.firstTransactionAt = firstTransactionAt
        self.lastTransactionAt = lastTransactionAt
        self.acceptedEpoch = acceptedEpoch
        self.digest = digest
        self.nodeCount = nodeCount
        self.toolVersion = toolVersion
        self.objects = objects
        self.configuration = configuration
    }
}

/// Answer to `POST /v1/backups/prune`.
package struct PruneBackupsResponse: Hashable, Sendable, Codable {
    package struct Verdict: Hashable, Sendable, Codable {
        package var id: String
        package var reason: String

        package init(id: String, reason: String) {
            self.id = id
            self.reason = reason
        }
    }

    package var removed: [Verdict]
    package var kept: [Verdict]
    /// Bytes that were, or would be, given back.
    package var freed: Int64
    package var dryRun: Bool

    package init(removed: [Verdict], kept: [Verdict], freed: Int64, dryRun: Bool) {
        self.removed = removed
        self.kept = kept
        self.freed = freed
        self.dryRun = dryRun
    }
}

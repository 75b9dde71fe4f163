import CLinux
import CSystemd
import EnsembleControl
import Glibc

/// Notes into the journal with fields that can be asked for (`journalctl MEMBER=2`), or to standard error where no
/// journal listens.
package struct Journal: Sendable {
    private let cluster: String
    private let usesJournal: Bool

    package init(cluster: String) {
        self.cluster = cluster
        usesJournal = Self.isStream(2, named: getenv("JOURNAL_STREAM").map { String(cString: $0) })
            && access("/run/systemd/journal/socket", W_OK) == 0
    }

    /// JOURNAL_STREAM holds device and inode of the journal's stream. The variable alone says little: terminals that run
    /// as services hand it on to what is started in them (systemd.exec(5)).
    package static func isStream(_ descriptor: Int32, named name: String?) -> Bool {
        var status = stat()
        guard let name, fstat(descriptor, &status) == 0 else { return false }
        return name == "\(status.st_dev):\(status.st_ino)"
    }

    package func write(_ note: Note) {
        let place = note.member.map { "member \($0): " } ?? ""
        guard usesJournal else {
            let line = "ensembled[\(cluster)] \(note.severity.rawValue) \(note.code.rawValue): \(place)\(note.message)\n"
            _ = Array(line.utf8).withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
            return
        }
        var fields = [
            "MESSAGE=\(place)\(note.message)", "PRIORITY=\(priority(note.severity))", "SYSLOG_IDENTIFIER=ensembled",
            "CLUSTER=\(cluster)", "ENSEMBLED_EVENT=\(note.code.rawValue)",
            "MESSAGE_ID=\(MessageCatalogue.id(of: note.code))",
        ]
        if let member = note.member { fields.append("MEMBER=\(member)") }
        send(fields)
    }

    private func priority(_ severity: EventRecord.Severity) -> Int {
        switch severity {
        case .error: 3
        case .warning: 4
        case .information, .other: 6
        }
    }

    private func send(_ fields: [String]) {
        let copies = fields.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        let vectors = copies.compactMap { copy in
            copy.map { iovec(iov_base: UnsafeMutableRawPointer($0), iov_len: strlen($0)) }
        }
        _ = sd_journal_sendv(vectors, Int32(vectors.count))
    }
}

/// One message id per kind of event, so that `journalctl MESSAGE_ID=…` and catalogues find them. An id is never
/// changed or reused. The common prefix was drawn once at random; the last byte counts.
package enum MessageCatalogue {
    private static let prefix = "7e1f0c52a9d84c6f9a3b5d2e8c4761"

    package static func id(of code: NoteCode) -> String {
        let number: Int
        switch code {
        case .memberLaunched: number = 0x01
        case .memberDied: number = 0x02
        case .memberSilent: number = 0x03
        case .memberParticipates: number = 0x04
        case .memberGaveUp: number = 0x05
        case .memberStopped: number = 0x06
        case .dataUntrusted: number = 0x08
        case .reseedStarted: number = 0x09
        case .reseedPhase: number = 0x0a
        case .reseedFinished: number = 0x0b
        case .operationStarted: number = 0x0c
        case .operationStep: number = 0x0d
        case .operationFinished: number = 0x0e
        case .operationFailed: number = 0x0f
        case .backupTaken: number = 0x10
        case .backupFailed: number = 0x11
        case .held: number = 0x12
        case .released: number = 0x13
        case .terminating: number = 0x14
        case .adopted: number = 0x15
        case .manifestChanged: number = 0x16
        case .operationCancelled: number = 0x17
        case .paused: number = 0x18
        case .resumed: number = 0x19
        }
        let digits = String(number, radix: 16)
        return prefix + (digits.count < 2 ? "0" : "") + digits
    }
}

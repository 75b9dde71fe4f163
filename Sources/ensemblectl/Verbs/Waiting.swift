import ArgumentParser
import EnsembleBase
import EnsembleControl
import Glibc

/// Options of every verb that starts long work.
struct WaitingOptions: ParsableArguments {
    @Flag(name: .customLong("no-wait"), help: "Print the id of the operation and return at once.")
    var noWait = false

    @Option(name: .long, help: ArgumentHelp("Wait at most this long, such as 10m; the operation goes on.", valueName: "duration"))
    var timeout: String?

    func validate() throws { try checkTimeout(timeout) }

    /// How long at most; nil: for as long as it takes.
    var limit: Duration? { timeout.flatMap { try? Duration.parsed($0) } }

    /// Asks, and asks again while something else is at work: what the daemon does by its schedule must not fail what a
    /// person wants.
    ///
    /// - Parameter patience: how long at most; nil: as long as `--timeout` says.
    func inTurn(
        patience: Duration? = nil, _ ask: () throws(CommandFailure) -> [UInt8]
    ) throws(CommandFailure) -> [UInt8] {
        let limit = patience ?? limit
        let start = wallClock()
        var said = ""
        while true {
            let refusal: CommandFailure
            do { return try ask() } catch { refusal = error }
            guard refusal.isBusy, !noWait else { throw refusal }
            if let limit, wallClock() - start > limit { throw refusal }
            if said != refusal.message { StandardStream.error.write("\(refusal.message): waiting for its end\n") }
            said = refusal.message
            usleep(250_000)
        }
    }

    /// How long a follower waits for a daemon in the place of one that is gone.
    private static let replacement: Duration = .seconds(60)

    /// Follows an accepted operation to its end. Progress goes to standard error: one line that is rewritten on a
    /// terminal, one line per change of step elsewhere.
    ///
    /// - Parameter isCancelled: that it ends so is what was wanted.
    func follow(
        _ accepted: [UInt8], _ client: ControlClient, _ connection: ConnectionOptions, isCancelled: Bool = false
    ) throws(CommandFailure) {
        let id = try client.decode(AcceptedResponse.self, accepted).operation
        guard !noWait else {
            return StandardStream.output.write(connection.json ? String(decoding: accepted, as: UTF8.self) + "\n" : "\(id)\n")
        }
        let (limit, start) = (limit, wallClock())
        var progress = ProgressLine(isTerminal: StandardStream.error.isTerminal)
        var heard = start
        while true {
            let body: [UInt8]
            do {
                body = try client.ask(.operation(id))
            } catch {
                // A daemon that is replaced goes on with what its predecessor was asked for.
                guard error.status == .unreachable, wallClock() - heard < Self.replacement else { throw error }
                if let limit, wallClock() - start > limit { throw error }
                StandardStream.error.write(progress.update(absent: "the daemon is gone: waiting for the next"))
                usleep(250_000)
                continue
            }
            heard = wallClock()
            let status = try client.decode(OperationStatus.self, body)
            StandardStream.error.write(progress.update(status))
            if status.state.isFinal {
                if connection.json { StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
                return try Self.conclude(status, isCancelled: isCancelled, json: connection.json)
            }
            if let limit, wallClock() - start > limit {
                StandardStream.error.write(progress.finish())
                throw Self.outOfPatience(status)
            }
            usleep(250_000)
        }
    }

    static func conclude(_ status: OperationStatus, isCancelled: Bool = false, json: Bool) throws(CommandFailure) {
        if status.state == .failed || status.state == .cancelled && !isCancelled {
            if let error = status.error { throw CommandFailure(error) }
            throw CommandFailure("\(status.kind) failed: \(status.message)", remedy: "see `ensemblectl events`")
        }
        guard !json else { return }
        StandardStream.output.write(summary(status) + "\n")
    }

    /// The last line: `backup 20260101T000000Z-1f: 12 KiB, verified, 850ms`.
    static func summary(_ status: OperationStatus) -> String {
        var text = status.message.isEmpty ? "\(status.kind): done" : status.message
        if let start = status.startedAt, let end = status.finishedAt {
            text += ", \(spanText((end - start).inMilliseconds))"
        }
        return printable(text)
    }

    static func outOfPatience(_ status: OperationStatus) -> CommandFailure {
        guard status.state == .held, let error = status.error else {
            return CommandFailure(.held, "\(status.kind) is still at work (operation \(status.id))", remedy: "it goes on; see `ensemblectl status`")
        }
        return CommandFailure(
            .held, "\(status.kind) is held: \(error.missingCondition ?? error.message)",
            remedy: "it goes on by itself; see `ensemblectl status`")
    }
}

func checkTimeout(_ text: String?) throws {
    guard let text else { return }
    do throws(ScheduleError) { _ = try Duration.parsed(text) } catch {
        throw ValidationError("--timeout: \(error.problem); \(error.remedy)")
    }
}

/// Text that shows how an operation gets on.
struct ProgressLine {
    let isTerminal: Bool
    private var last = ""

    init(isTerminal: Bool) { self.isTerminal = isTerminal }

    /// What to write for this status; empty when there is nothing new to say.
    mutating func update(_ status: OperationStatus) -> String {
        if isTerminal {
            guard !status.state.isFinal else { return finish() }
            let line = String(status.line.prefix((StandardStream.error.terminalWidth ?? 160) - 1))
            last = line
            return "\r\u{1B}[K\(line)"
        }
        let words = [status.kind, status.step, status.state == .held ? "held: \(status.error?.missingCondition ?? "")" : ""]
        let line = printable(words.filter { !$0.isEmpty }.joined(separator: "  "))
        guard !status.state.isFinal, line != last else { return "" }
        last = line
        return line + "\n"
    }

    /// Nobody says how it goes.
    mutating func update(absent line: String) -> String {
        guard line != last else { return "" }
        last = line
        return isTerminal ? "\r\u{1B}[K\(line)" : line + "\n"
    }

    /// What to write before something else is printed.
    func finish() -> String { isTerminal && !last.isEmpty ? "\r\u{1B}[K" : "" }
}

import EnsembleBase
import EnsembleControl
import NIOConcurrencyHelpers

/// How far the effects on files have come: written by the threads that copy, read by the API.
package final class EffectProgress: Sendable {
    package struct Reading: Hashable, Sendable {
        /// Bytes.
        package var done: Int64
        package var total: Int64
        /// Bytes in a second, over the last seconds.
        package var rate: Double
    }

    private struct Sample {
        var reading: Reading
        var windowStart: Instant
        var doneAtStart: Int64
    }

    private static let window: Duration = .seconds(2)
    private let samples = NIOLockedValueBox<[EffectToken: Sample]>([:])

    package init() {}

    package func report(_ token: EffectToken, done: Int64, total: Int64, at now: Instant) {
        samples.withLockedValue { samples in
            var sample = samples[token]
                ?? Sample(reading: Reading(done: 0, total: 0, rate: 0), windowStart: now, doneAtStart: 0)
            sample.reading.done = done
            sample.reading.total = total
            let elapsed = now - sample.windowStart
            if elapsed >= .milliseconds(200) {
                sample.reading.rate = Double(done - sample.doneAtStart) / (Double(elapsed.inMilliseconds) / 1000)
            }
            if elapsed >= Self.window {
                sample.windowStart = now
                sample.doneAtStart = done
            }
            samples[token] = sample
        }
    }

    package func end(_ token: EffectToken) { samples.withLockedValue { $0[token] = nil } }
    package subscript(token: EffectToken) -> Reading? { samples.withLockedValue { $0[token]?.reading } }
}

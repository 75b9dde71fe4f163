/// The body of every answer that is not a success: what is wrong, in a word for programs and a sentence for people,
/// and what to do about it.
package struct ControlError: Error, Hashable, Sendable, Codable {
    package enum Code: String, CaseIterable, OpenVocabulary {
        /// The request itself is wrong.
        case badRequest
        /// There is such a path, and it does not take this method.
        case wrongMethod
        /// The body is longer than any request needs.
        case tooLarge
        /// No such member, backup or operation, or no such path.
        case notFound
        /// A safety rule or a missing condition holds it back (S4, S5, S10). Asking later may succeed.
        case held
        /// It can never succeed as asked: not built, or forbidden by what the manifest says.
        case refused
        /// Another operation is at work.
        case busy
        /// The caller may not do this.
        case denied
        /// It was tried and failed.
        case failed
        /// The daemon is starting or stopping.
        case notReady
        /// A code that this program does not know yet.
        case other
    }

    package var code: Code
    package var message: String
    /// What the person can do about it.
    package var remedy: String
    /// With `held`: the condition that must come true.
    package var missingCondition: String?

    package init(_ code: Code, _ message: String, remedy: String, missingCondition: String? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.missingCondition = missingCondition
    }

    /// Status of the HTTP answer that carries this error.
    package var httpStatus: Int {
        switch code {
        case .badRequest: 400
        case .denied: 403
        case .wrongMethod: 405
        case .tooLarge: 413
        case .notFound: 404
        case .held, .busy: 409
        case .refused: 422
        case .notReady: 503
        case .failed, .other: 500
        }
    }
}

/// A closed list of words today that may grow: a program that reads a word it does not know takes it as `other`
/// instead of failing, so that an older `ensemblectl` reads a newer daemon.
package protocol OpenVocabulary: RawRepresentable<String>, Codable, Hashable, Sendable {
    static var other: Self { get }
}

extension OpenVocabulary {
    package init(from decoder: any Decoder) throws {
        self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .other
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

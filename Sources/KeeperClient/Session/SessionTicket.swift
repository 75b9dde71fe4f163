/// What a session is opened again with, by another connection or another process. Whoever has it is the session's owner:
/// it is kept like a password.
public struct SessionTicket: Hashable, Sendable, Codable {
    /// As servers print it; never 0.
    public var id: Int64
    /// Sixteen bytes that the server gave out with the session.
    public var password: [UInt8]

    public init(id: Int64, password: [UInt8]) {
        self.id = id
        self.password = password
    }
}

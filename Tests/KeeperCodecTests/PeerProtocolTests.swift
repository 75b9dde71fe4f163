import EnsembleBase
import FuzzedParsers
import KeeperCodec
import KeeperCore
import NIOCore
import Testing

@Suite struct PeerProtocolTests {
    @Test(arguments: 0..<20 as Range<UInt64>) func packetsRoundTripBackToBack(seed: UInt64) throws {
        var samples = SampleRecords(seed: seed)
        let packets = samples.packets()
        var buffer = ByteBuffer()
        for packet in packets { buffer.write(packet) }
        for packet in packets { #expect(try QuorumPacket.next(from: &buffer) == packet) }
        #expect(buffer.readableBytes == 0)
    }

    @Test func everyPrefixOfAPacketAsksForMoreAndConsumesNothing() throws {
        var samples = SampleRecords(seed: 3)
        for packet in samples.packets() {
            let bytes = packet.encoded()
            for size in 0..<bytes.count {
                var part = ByteBuffer(bytes: bytes[..<size])
                #expect(try QuorumPacket.next(from: &part) == nil)
                #expect(part.readableBytes == size)
            }
        }
    }

    /// What a leader sends is what a follower logs: the same bytes.
    @Test func aProposalKeepsItsBytes() throws {
        var samples = SampleRecords(seed: 4)
        for entry in samples.entries() {
            var buffer = ByteBuffer()
            buffer.write(QuorumPacket.proposal(entry))
            guard case .proposal(let received)? = try QuorumPacket.next(from: &buffer) else {
                Issue.record("no proposal")
                return
            }
            #expect(received.encoded == entry.payload)
            #expect(received.payload == entry.payload)
        }
    }

    /// Bytes as Apache's 3.8 writes them: nulls are −1, the authinfo of most packets is null.
    @Test func goldenPackets() {
        #expect(
            QuorumPacket.ack(Zxid(rawValue: 0x1_0000_0002)).encoded()
                == [0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255])
        #expect(
            QuorumPacket.learnerInfo(
                acceptedEpoch: 3, server: 2, protocolVersion: 0x10000, configVersion: 0, observer: false
            ).encoded()
                == [0, 0, 0, 11, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0]
                + [UInt8](repeating: 0, count: 8) + [255, 255, 255, 255])
        #expect(
            QuorumPacket.upToDate.encoded() == [0, 0, 0, 12] + [UInt8](repeating: 255, count: 16))
    }

    @Test func oldLearnersAreUnderstood() throws {
        for (size, version) in [(8, Int32(1)), (12, 0x10000)] {
            var buffer = ByteBuffer()
            buffer.writeInteger(Int32(11))
            buffer.writeInteger(Int64(5 << 32))
            buffer.writeInteger(Int32(size))
            buffer.writeInteger(Int64(9))
            if size == 12 { buffer.writeInteger(Int32(0x10000)) }
            buffer.writeInteger(Int32(-1))
            #expect(
                try QuorumPacket.next(from: &buffer)
                    == .learnerInfo(
                        acceptedEpoch: 5, server: 9, protocolVersion: version, configVersion: 0, observer: false))
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func garbageNeverCrashes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            var buffer = ByteBuffer()
            buffer.writeInteger(Int32.random(in: 0...20, using: &random))
            for _ in 0..<Int.random(in: 0...80, using: &random) {
                buffer.writeInteger(UInt8.random(in: 0...(Bool.random(using: &random) ? 2 : 255), using: &random))
            }
            var copy = buffer
            _ = try? QuorumPacket.next(from: &copy)
            copy = buffer
            _ = try? ElectionHello.next(from: &copy)
            _ = try? Notification(message: buffer)
            var reader = TreeStreamReader(zxid: .zero)
            copy = buffer
            _ = try? reader.feed(&copy)
        }
    }

    @Test func aProposalWhoseEntryHasAnotherZxidThrows() {
        let entry = LogEntry(
            session: 1, cxid: 1, zxid: Zxid(rawValue: 5), time: 0, transaction: .createSession(timeout: 1))
        var bytes = QuorumPacket.proposal(entry).encoded()
        bytes[11] = 6
        var buffer = ByteBuffer(bytes: bytes)
        #expect(throws: CodecError.self) { try QuorumPacket.next(from: &buffer) }
    }

    @Test func notificationsOfEveryAge() throws {
        let current = Notification(
            state: .leading, vote: Vote(leader: 2, zxid: Zxid(epoch: 4, counter: 9), peerEpoch: 6), electionEpoch: 8,
            config: Array("version=0".utf8))
        let bytes = current.encoded()
        #expect(bytes.count == 44 + 9)
        #expect(try Notification(message: ByteBuffer(bytes: bytes)) == current)
        var old = current
        old.config = []
        #expect(try Notification(message: ByteBuffer(bytes: bytes[..<36])) == old)
        var first = bytes
        first[39] = 1
        #expect(try Notification(message: ByteBuffer(bytes: first[..<40])) == old)
        old.vote.peerEpoch = 4
        #expect(try Notification(message: ByteBuffer(bytes: bytes[..<28])) == old)
        for size in 0..<bytes.count where ![28, 36].contains(size) {
            #expect(throws: CodecError.self) { try Notification(message: ByteBuffer(bytes: bytes[..<size])) }
        }
    }

    @Test func hellosOfEveryAge() throws {
        let hello = ElectionHello(server: 3, address: Array("10.0.0.1:3888".utf8))
        let bytes = hello.encoded()
        for size in 0..<bytes.count {
            var part = ByteBuffer(bytes: bytes[..<size])
            #expect(try ElectionHello.next(from: &part) == nil)
        }
        var buffer = ByteBuffer(bytes: bytes + [1, 2])
        #expect(try ElectionHello.next(from: &buffer) == hello)
        #expect(buffer.readableBytes == 2)
        var multiAddress = bytes
        multiAddress[7] = 1
        buffer = ByteBuffer(bytes: multiAddress)
        #expect(try ElectionHello.next(from: &buffer) == hello)
        buffer = ByteBuffer(integer: Int64(4))
        #expect(try ElectionHello.next(from: &buffer) == ElectionHello(server: 4, address: []))
        buffer = ByteBuffer(integer: Int64(-7))
        #expect(throws: CodecError.self) { try ElectionHello.next(from: &buffer) }
        buffer = ByteBuffer(bytes: bytes[..<16] + [0, 0, 9, 0])
        #expect(throws: CodecError.self) { try ElectionHello.next(from: &buffer) }
    }
}

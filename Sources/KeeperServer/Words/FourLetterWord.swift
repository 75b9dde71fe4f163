/// The four-letter words of a client port (reference/zookeeper.md, 1.7) that this server has.
package enum FourLetterWord: String, CaseIterable, Hashable, Sendable {
    case conf, cons, crst, dirs, dump, envi, hash, isro, mntr, ruok, srst, srvr, stat, wchc, wchp, wchs

    /// Apache's refusal of a word that the whitelist doesn't hold.
    package var refusal: String { "\(rawValue) is not executed because it is not in the whitelist.\n" }
}

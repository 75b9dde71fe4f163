/// What this server calls itself where Apache's server gives its version.
package enum ServerVersion {
    /// 3.9.0 is the release whose client protocol is spoken: watch events carry their zxid (ZOOKEEPER-4655) and a multi
    /// may hold create2 (ZOOKEEPER-4026). Clients and exporters read the three numbers; the rest tells people.
    package static let text = "3.9.0-ensembled"
    /// The form of `srvr`, `stat` and `mntr`: scrapers expect a comma behind the version. No date: builds are
    /// reproducible.
    package static let full = "\(text), built on 1970-01-01 00:00 UTC"
}

/// The replicated state: znodes, their access lists, sessions.
package struct DataTree: Sendable {
    package init() {}
}

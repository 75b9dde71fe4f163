// swift-tools-version: 6.2
import PackageDescription

// Swift 6 mode, every warning an error. `ExistentialAny` makes each existential visible in review (none belongs on
// the request path); `MemberImportVisibility` keeps a file's imports honest, which TidyTests relies on.
var settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

// scripts/fuzz: every target of ours tells libFuzzer which edges an input reaches, and the address sanitizer which bytes
// it touches. Optimised also in a debug build: ten times the inputs, while the dependencies keep their quick build.
let isForFuzzing = Context.environment["ENSEMBLE_FUZZ"] != nil
if isForFuzzing { settings.append(.unsafeFlags(["-sanitize=fuzzer,address", "-O"])) }

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioLocks: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")

let package = Package(
    name: "ensembled",
    products: [
        .executable(name: "ensembled", targets: ["ensembled"]),
        .executable(name: "ensemblectl", targets: ["ensemblectl"]),
        .executable(name: "ensemble-server", targets: ["ensemble-server"]),
        .library(name: "KeeperClient", targets: ["KeeperClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    ],
    targets: [
        // System libraries: a header and a module map each, no C sources.
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),

        // The server: judgement, bytes, files, hands.
        .target(name: "EnsembleBase", swiftSettings: settings),
        .target(name: "KeeperCore", dependencies: ["EnsembleBase"], swiftSettings: settings),
        .target(name: "KeeperCodec", dependencies: ["KeeperCore", "EnsembleBase", nioCore], swiftSettings: settings),
        .target(
            name: "KeeperStorage", dependencies: ["KeeperCodec", "KeeperCore", "EnsembleBase", "CLinux", nioCore, nioLocks],
            swiftSettings: settings),
        .target(
            name: "KeeperServer",
            dependencies: [
                "KeeperStorage", "KeeperCodec", "KeeperCore", "EnsembleBase", "CLinux", nioCore, nioPosix, nioLocks,
                logging, crypto,
            ], swiftSettings: settings),
        .target(
            name: "KeeperClient",
            dependencies: ["KeeperCodec", "KeeperCore", "EnsembleBase", nioCore, nioLocks, nioPosix], swiftSettings: settings),

        // The operator: judgement, backups, hands.
        .target(name: "EnsembleControl", dependencies: ["EnsembleBase", "CYAML"], swiftSettings: settings),
        .target(
            name: "EnsembleBackup",
            dependencies: [
                "EnsembleBase", "EnsembleControl", "KeeperStorage", "KeeperCodec", "KeeperCore", "CZstd", "CLinux", nioCore, crypto,
            ], swiftSettings: settings),
        .target(
            name: "EnsembleHost",
            dependencies: [
                "EnsembleBase", "EnsembleControl", "EnsembleBackup", "KeeperClient", "KeeperStorage", "KeeperCodec",
                "KeeperCore", "CSystemd", "CLinux", nioCore, nioPosix, nioLocks, nioHTTP1, logging, crypto,
            ], swiftSettings: settings),

        // A deterministic world that drives the real cores.
        .target(
            name: "EnsembleSim",
            dependencies: [
                "EnsembleControl", "KeeperServer", "KeeperStorage", "KeeperCodec", "KeeperCore", "EnsembleBase", nioCore, nioLocks,
                logging,
            ],
            swiftSettings: settings),

        // The programs: composition only.
        .executableTarget(
            name: "ensembled", dependencies: ["EnsembleHost", "EnsembleControl", "EnsembleBase", logging, argumentParser],
            swiftSettings: settings),
        .executableTarget(
            name: "ensemblectl",
            dependencies: [
                "EnsembleControl", "EnsembleBackup", "EnsembleBase", argumentParser,
            ], swiftSettings: settings),
        .executableTarget(
            name: "ensemble-server", dependencies: ["KeeperServer", "EnsembleBase", logging, argumentParser],
            swiftSettings: settings),
        // Load generator and history recorder for scripts/bench and the fault tests. Not shipped.
        .executableTarget(
            name: "keeper-load",
            dependencies: ["KeeperClient", "KeeperCodec", "KeeperCore", "EnsembleBase", "CLinux", nioCore, nioPosix, argumentParser],
            swiftSettings: settings),

        .executableTarget(
            name: "ensemble-sim", dependencies: ["EnsembleSim", "EnsembleBase", argumentParser], swiftSettings: settings),

        .testTarget(name: "EnsembleBaseTests", dependencies: ["EnsembleBase"], swiftSettings: settings),
        .testTarget(name: "KeeperCoreTests", dependencies: ["KeeperCore", "EnsembleBase"], swiftSettings: settings),
        .testTarget(
            name: "KeeperCodecTests", dependencies: ["FuzzedParsers", "KeeperCodec", "KeeperCore", "EnsembleBase", nioCore],
            swiftSettings: settings),
        .testTarget(
            name: "KeeperStorageTests",
            dependencies: ["KeeperStorage", "KeeperCodec", "KeeperCore", "EnsembleBase", nioCore, nioLocks],
            exclude: ["Fixtures"], swiftSettings: settings),
        .testTarget(
            name: "KeeperServerTests",
            dependencies: [
                "KeeperServer", "KeeperStorage", "KeeperCodec", "KeeperCore", "EnsembleBase", nioCore, nioPosix, nioLocks,
                nioEmbedded, logging,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "KeeperClientTests",
            dependencies: [
                "KeeperClient", "keeper-load", "KeeperCodec", "KeeperCore", "EnsembleBase", nioCore, nioPosix,
            ], swiftSettings: settings),
        .testTarget(
            name: "EnsembleControlTests", dependencies: ["EnsembleControl", "KeeperServer", "EnsembleBase"],
            swiftSettings: settings),
        .testTarget(
            name: "EnsembleBackupTests",
            dependencies: ["EnsembleBackup", "EnsembleControl", "KeeperStorage", "KeeperCodec", "KeeperCore", "EnsembleBase", nioCore, nioLocks],
            swiftSettings: settings),
        .testTarget(
            name: "EnsembleHostTests",
            dependencies: [
                "EnsembleHost", "EnsembleControl", "EnsembleBackup", "EnsembleBase", "KeeperServer", "KeeperClient",
                "KeeperStorage", "KeeperCore", "CLinux", nioCore, nioPosix, nioLocks, logging,
            ],
            exclude: ["ExitFixtures"], swiftSettings: settings),
        .testTarget(
            name: "SimulationTests", dependencies: ["EnsembleSim", "KeeperStorage", "KeeperCore", "EnsembleBase"],
            exclude: ["Scenarios"], swiftSettings: settings),
        .testTarget(
            name: "ensemblectlTests", dependencies: ["ensemblectl", "EnsembleControl", "EnsembleBase", nioLocks, argumentParser],
            swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),

        // Every parser of bytes from outside, with what must hold of it: run over the corpora by the tests, and over
        // whatever libFuzzer thinks of by scripts/fuzz.
        .target(
            name: "FuzzedParsers",
            dependencies: [
                "EnsembleHost", "EnsembleControl", "EnsembleBackup", "KeeperServer", "KeeperStorage", "KeeperCodec",
                "KeeperCore", "EnsembleBase", nioCore, nioLocks,
            ], path: "Tests/FuzzTests/Parsers", swiftSettings: settings),
        .testTarget(
            name: "FuzzTests", dependencies: ["FuzzedParsers"], exclude: ["Parsers", "Fuzzer", "Corpora"],
            swiftSettings: settings),
    ]
)

if isForFuzzing {
    package.targets.append(
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzedParsers"], path: "Tests/FuzzTests/Fuzzer", swiftSettings: settings,
            // The system's default linker, gold, fails on the sanitizer's symbols.
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}

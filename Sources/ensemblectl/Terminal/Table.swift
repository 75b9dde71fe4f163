/// Columns aligned with blanks. Cells hold one line of text each.
struct Table {
    enum Alignment { case left, right }

    struct Cell {
        var text: String
        var tone: Style.Tone

        init(_ text: String, _ tone: Style.Tone = .plain) {
            self.text = printable(text)
            self.tone = tone
        }
    }

    struct Column {
        var title: String
        var alignment: Alignment
        /// Where the terminal is too narrow for all: which goes first, from 1 on. Nil: it stays.
        var leaves: Int?
        /// Its text may be broken between words.
        var wraps: Bool

        init(_ title: String, _ alignment: Alignment = .left, leaves: Int? = nil, wraps: Bool = false) {
            self.title = title
            self.alignment = alignment
            self.leaves = leaves
            self.wraps = wraps
        }
    }

    let columns: [Column]
    private(set) var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ cells: [Cell]) {
        precondition(cells.count == columns.count, "a row has a cell for each column")
        rows.append(cells)
    }

    /// Lines ending in a line feed, without blanks at their ends; columns that are empty in every row are left out. In
    /// `style.width` what may leave does so, and what may be broken is.
    func text(_ style: Style) -> String {
        var shown = columns.indices.filter { index in rows.contains { !$0[index].text.isEmpty } }
        func width(_ index: Int) -> Int { ([columns[index].title] + rows.map { $0[index].text }).map(\.count).max() ?? 0 }
        var widths = shown.map(width)
        func total() -> Int { widths.reduce(0, +) + 2 * max(widths.count - 1, 0) }
        if let limit = style.width {
            while total() - room(shown, widths) > limit, let first = shown.indices.filter({ columns[shown[$0]].leaves != nil })
                .min(by: { (columns[shown[$0]].leaves ?? 0) < (columns[shown[$1]].leaves ?? 0) })
            {
                shown.remove(at: first)
                widths.remove(at: first)
            }
            for index in shown.indices where columns[shown[index]].wraps && total() > limit {
                widths[index] = max(widths[index] - (total() - limit), Self.narrowest)
            }
        }
        let head = shown.map { Cell(columns[$0].title, .faint) }
        let lines = [head] + rows.flatMap { row in broken(shown.map { row[$0] }, to: widths) }
        return lines.map { line($0, shown, widths, style) + "\n" }.joined()
    }

    /// Columns of text are not broken further.
    private static let narrowest = 16

    /// How much narrower it gets by breaking text.
    private func room(_ shown: [Int], _ widths: [Int]) -> Int {
        zip(shown, widths).reduce(0) { $0 + (columns[$1.0].wraps ? max($1.1 - Self.narrowest, 0) : 0) }
    }

    /// A row as lines of cells.
    private func broken(_ cells: [Cell], to widths: [Int]) -> [[Cell]] {
        let parts = zip(cells, widths).map { cell, width in cell.text.count <= width ? [cell.text] : wrapped(cell.text, to: width) }
        return (0..<(parts.map(\.count).max() ?? 1)).map { number in
            zip(cells, parts).map { cell, parts in Cell(number < parts.count ? parts[number] : "", cell.tone) }
        }
    }

    private func line(_ cells: [Cell], _ shown: [Int], _ widths: [Int], _ style: Style) -> String {
        var line = ""
        var pending = ""
        for (position, cell) in cells.enumerated() {
            let gap = String(repeating: " ", count: widths[position] - cell.text.count)
            let painted = style.paint(cell.text, cell.tone)
            if columns[shown[position]].alignment == .right {
                line += pending + gap + painted
                pending = "  "
            } else {
                // Blanks at the end of a line wait until something follows them.
                line += cell.text.isEmpty ? "" : pending + painted
                pending = cell.text.isEmpty ? pending + gap + "  " : gap + "  "
            }
        }
        return line
    }
}

/// Text from elsewhere must not steer the terminal: control characters become `?`.
func printable(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        result.append(scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "?" : scalar)
    }
    return String(result)
}

/// The text in lines of at most `width` characters, broken between words where there are any.
func wrapped(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
        var word = String(word)
        if !line.isEmpty, line.count + 1 + word.count > width {
            lines.append(line)
            line = ""
        }
        while word.count > width {
            lines.append(String(word.prefix(width)))
            word = String(word.dropFirst(width))
        }
        line = line.isEmpty ? word : line + " " + word
    }
    return lines + [line]
}

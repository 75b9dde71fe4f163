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

        init(_ title: String, _ alignment: Alignment = .left) {
            self.title = title
            self.alignment = alignment
        }
    }

    let columns: [Column]
    private(set) var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ cells: [Cell]) {
        precondition(cells.count == columns.count, "a row has a cell for each column")
        rows.append(cells)
    }

    /// Lines ending in a line feed, without blanks at their ends; columns that are empty in every row are left out.
    func text(_ style: Style) -> String {
        let shown = columns.indices.filter { index in rows.contains { !$0[index].text.isEmpty } }
        let widths = shown.map { index in
            ([columns[index].title] + rows.map { $0[index].text }).map(\.count).max() ?? 0
        }
        let head = shown.map { Cell(columns[$0].title, .faint) }
        let lines = [head] + rows.map { row in shown.map { row[$0] } }
        return lines.map { line($0, shown, widths, style) + "\n" }.joined()
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

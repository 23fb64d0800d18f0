package sheet

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// decoded makes UTF-8 of what a file is in, without its byte order mark. wide is true for UTF-16, which is recognised without a mark as well: every sheet begins with
// an ASCII letter.
func decoded(r io.Reader) (in io.Reader, wide bool, err error) {
	b := bufio.NewReader(r)
	begin, err := b.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	utf16 := func(order unicode.Endianness, mark unicode.BOMPolicy) (io.Reader, bool, error) {
		return transform.NewReader(b, unicode.UTF16(order, mark).NewDecoder()), true, nil
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0xEF, 0xBB, 0xBF}):
		_, err := b.Discard(3)
		return b, false, err
	case bytes.HasPrefix(begin, []byte{0xFE, 0xFF}), bytes.HasPrefix(begin, []byte{0xFF, 0xFE}):
		return utf16(unicode.BigEndian, unicode.UseBOM)
	case len(begin) >= 2 && begin[0] == 0 && begin[1] != 0:
		return utf16(unicode.BigEndian, unicode.IgnoreBOM)
	case len(begin) >= 2 && begin[0] != 0 && begin[1] == 0:
		return utf16(unicode.LittleEndian, unicode.IgnoreBOM)
	}
	return b, false, nil
}

// records reads CSV (RFC 4180). Unlike encoding/csv it keeps the line ends within a cell as they are, goes on after a line that is wrong, and never holds more of a cell
// than MaxCell.
type records struct {
	in    *bufio.Reader
	comma byte
	line  int // of the next byte
	text  []byte
	ends  []int // of the cells, in text
}

// record is a line of a file, or several when a cell has line ends.
type record struct {
	cells   []string
	line    int    // it begins on
	problem string // why it has no cells
}

// Where next is in a cell.
const (
	atBegin = iota
	inBare
	inQuotes
	behindQuotes
)

// next reads a record. At the end of the file it returns io.EOF; other errors are the reader's own.
func (r *records) next() (record, error) {
	r.text, r.ends = r.text[:0], r.ends[:0]
	got := record{line: r.line}
	where, begin, quoted := atBegin, 0, 0
	end := func() {
		if len(r.ends) <= maxColumns {
			r.ends = append(r.ends, len(r.text))
		}
		where, begin = atBegin, len(r.text)
	}
	wrong := func(message string) { got.problem = cmp.Or(got.problem, message) } // the first tells the most
	finish := func() (record, error) {
		end()
		if len(r.ends) > maxColumns {
			wrong(fmt.Sprintf("has more than %d cells", maxColumns))
		}
		if got.problem == "" {
			got.cells = r.cells()
		}
		return got, nil
	}
	for {
		c, err := r.in.ReadByte()
		if errors.Is(err, io.EOF) {
			switch {
			case where == inQuotes:
				got.problem = "has a cell that begins with a quotation mark and never ends" + beginning(quoted, got.line) + ": is the file cut off?"
			case where == atBegin && len(r.ends) == 0:
				return got, io.EOF
			}
			r.text = unreturned(r.text, begin, where)
			return finish()
		}
		if err != nil {
			return got, err
		}
		if c == '\n' {
			r.line++
		}
		if where == atBegin && c == '"' {
			where, quoted = inQuotes, r.line
			continue
		}
		switch {
		case where == inQuotes && c == '"':
			where = behindQuotes
			continue
		case where == behindQuotes && c == '"':
			where = inQuotes
		case where == inQuotes:
		case c == r.comma:
			end()
			continue
		case c == '\n':
			r.text = unreturned(r.text, begin, where)
			return finish()
		case where == behindQuotes && c == '\r':
			if next, _ := r.in.Peek(1); len(next) == 0 || next[0] == '\n' {
				continue
			}
			wrong(behind)
		case where == behindQuotes:
			wrong(behind)
			where = inBare
		case c == '"':
			wrong("has a quotation mark within a cell that does not begin with one: put the cell in quotation marks, and double those within it")
		default:
			where = inBare
		}
		if len(r.text)-begin >= MaxCell {
			wrong(tooLong)
			continue
		}
		r.text = append(r.text, c)
	}
}

var tooLong = fmt.Sprintf("has a cell of more than %d KiB: shorten it", MaxCell>>10)

const behind = "has text behind the closing quotation mark of a cell: double the quotation marks that belong to it"

func beginning(quoted, line int) string {
	if quoted == line {
		return ""
	}
	return fmt.Sprintf(" (it begins on line %d)", quoted)
}

// unreturned takes the carriage return off a bare cell that a line ends with.
func unreturned(text []byte, begin, where int) []byte {
	if n := len(text); where == inBare && n > begin && text[n-1] == '\r' {
		return text[:n-1]
	}
	return text
}

// cells copies the cells out, with one allocation for all of them.
func (r *records) cells() []string {
	all := string(r.text)
	cells := make([]string, len(r.ends))
	begin := 0
	for i, end := range r.ends {
		cells[i], begin = all[begin:end], end
	}
	return cells
}

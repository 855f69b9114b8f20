package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/term"
)

// A printer writes whole lines, from any goroutine, and keeps the first error.
type printer struct {
	terminal bool
	color    bool

	mu  sync.Mutex
	w   io.Writer
	err error
}

// newPrinter returns a printer. It has colours on a terminal, unless the environment
// variable NO_COLOR is set (https://no-color.org).
func newPrinter(f *os.File) *printer {
	// TERM=dumb is a terminal that cannot move its cursor: an editor's, or a log.
	terminal := isTerminal(f) && os.Getenv("TERM") != "dumb"
	return &printer{w: f, terminal: terminal, color: terminal && os.Getenv("NO_COLOR") == ""}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *printer) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.w.Write(data)
	if err != nil && p.err == nil {
		p.err = err
	}
	return n, err
}

// Printf writes a text. An error is kept for failed.
func (p *printer) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(p, format, args...) // kept
}

// JSON writes a value as a line of JSON.
func (p *printer) JSON(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = p.Write(append(line, '\n'))
	return err
}

// failed returns why something could not be written.
func (p *printer) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// divert lets everything go to another writer, until restore is called.
func (p *printer) divert(w io.Writer) (restore func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.w
	p.w = w
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.w = before
	}
}

// clean returns a text of the server without control characters, which a terminal
// would obey.
func clean(text string) string {
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// The colours that printers know.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	dim    = "2"
)

// paint returns a text in a colour, if the printer has colours.
func (p *printer) paint(color, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

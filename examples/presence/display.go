package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
)

// A printer shows the list where it cannot be drawn anew: whole when it is in sync
// again, and what happens in between line by line.
type printer struct {
	out io.Writer
	now func() list

	mu     sync.Mutex
	status phoenix.PresenceStatus
	listed bool
}

func (p *printer) list() {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.now()
	all := lines(l)
	switch {
	case l.Status() == p.status:
		return
	case !l.Synced():
		all = all[:1]
	}
	p.status, p.listed = l.Status(), true
	fmt.Fprintln(p.out, strings.Join(all, "\n"))
}

func (p *printer) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasSuffix(line, " is here") && !p.listed {
		return // the list is about to come
	}
	fmt.Fprintln(p.out, "*", line)
}

func (*printer) lineRead() {}
func (*printer) close()    {}

// A screen draws the list in a terminal, beneath a line in which to type.
type screen struct {
	out io.Writer
	now func() list

	mu      sync.Mutex
	entries []string
	notes   []string
	drawn   int // rows
}

// The rows of a screen, counted from 1.
const (
	promptRow  = 2
	firstRow   = 4
	maxEntries = 11
	maxNotes   = 6
)

func newScreen(out io.Writer, now func() list, topic string, commands []string) *screen {
	s := &screen{out: out, now: now}
	fmt.Fprintf(out, "\x1b[2J\x1b[H%s: type a status, or %s\r\n> ", printable(topic), strings.Join(commands, ", "))
	return s
}

func (s *screen) list() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = lines(s.now())
	if more := len(s.entries) - maxEntries; more > 0 {
		s.entries = append(s.entries[:maxEntries], fmt.Sprintf("  … and %d more", more))
	}
	s.draw()
}

func (s *screen) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, time.Now().Format("15:04:05 ")+line)
	s.notes = s.notes[max(0, len(s.notes)-maxNotes):]
	s.draw()
}

// draw draws everything but what is being typed, where the cursor stays. Each row
// is addressed, and cut off at the margin, so that nothing ever scrolls.
func (s *screen) draw() {
	var b strings.Builder
	b.WriteString("\x1b7\x1b[?7l")
	row := firstRow
	for _, line := range slices.Concat(s.entries, []string{""}, s.notes) {
		fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", row, line)
		row++
	}
	for end := row; end < s.drawn; end++ {
		fmt.Fprintf(&b, "\x1b[%d;1H\x1b[K", end)
	}
	s.drawn = row
	b.WriteString("\x1b[?7h\x1b8")
	fmt.Fprint(s.out, b.String())
}

// lineRead clears what was typed.
func (s *screen) lineRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\x1b[%d;1H\x1b[K> ", promptRow)
}

// close leaves what is shown, and goes below it.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\x1b[%d;1H\r\n", s.drawn)
}

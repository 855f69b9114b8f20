package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const joinHelp = `Lines:
  EVENT [JSON]        push an event; the payload is {} without JSON
  /cast EVENT [JSON]  push an event to which the server does not reply
  /presence           show who is present
  /raw                show the frames, or stop showing them
  /leave              leave the channel and end
  /help               show this`

// openLines returns what is typed, line by line, until the end of the input or of
// ctx. On a terminal, lines can be edited, and what the program prints goes above the
// line that is being typed. A Ctrl-C, which is a key there and no signal, calls
// interrupt, and the next one ends the program. The caller must call end.
func (t *talk) openLines(ctx context.Context, interrupt func()) (lines <-chan string, end func(), err error) {
	stdin, ok := t.app.stdin.(*os.File)
	if !ok || !isTerminal(stdin) || !t.app.out.terminal {
		in := bufio.NewReader(t.app.stdin)
		return readLines(ctx, func() (string, error) {
			line, err := in.ReadString('\n')
			if err == io.EOF && line != "" {
				err = nil // a last line without an end; the next read says EOF
			}
			return strings.TrimRight(line, "\r\n"), err
		}), func() {}, nil
	}
	t.interactive = true
	before, err := term.MakeRaw(int(stdin.Fd()))
	if err != nil {
		return nil, nil, err
	}
	reset := func() {
		_, _ = io.WriteString(os.Stdout, "\r\x1b[K") // the prompt
		_ = term.Restore(int(stdin.Fd()), before)    // there is nothing else to do about it
	}
	t.app.reset.Store(&reset)
	keys := &keys{in: stdin, interrupt: interrupt, kill: t.app.kill}
	screen := &screen{in: keys, out: os.Stdout}
	screen.Terminal = term.NewTerminal(screen.stream(), "> ")
	restoreOut := t.app.out.divert(screen)
	restoreErr := func() {}
	if t.app.err.terminal {
		restoreErr = t.app.err.divert(screen)
	}
	read := func() (string, error) {
		line, err := screen.ReadLine()
		if err != nil && err != term.ErrPasteIndicator { //nolint:errorlint // it does not wrap
			go keys.drain() // for a second Ctrl-C; it ends with the process
		}
		return line, err
	}
	return readLines(ctx, read), func() {
		restoreErr()
		restoreOut()
		reset()
		t.app.reset.Store(nil)
	}, nil
}

// keys are what is typed on a terminal that makes no signals of keys.
type keys struct {
	in        io.Reader
	interrupt func() // for the first Ctrl-C
	kill      func() // for the next one
	pressed   bool   // of the one goroutine that reads
}

const ctrlC = 3

func (k *keys) Read(data []byte) (int, error) {
	n, err := k.in.Read(data)
	for range bytes.Count(data[:n], []byte{ctrlC}) {
		if k.pressed {
			k.kill()
		}
		k.pressed = true
		k.interrupt()
	}
	return n, err
}

// drain reads on, when nobody wants the lines any more.
func (k *keys) drain() {
	_, _ = io.Copy(io.Discard, k) // it ends with the process
}

// A screen is a terminal with a line that can be edited.
type screen struct {
	*term.Terminal
	in  io.Reader
	out *os.File
}

func (s *screen) stream() io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{s.in, s.out}
}

// Write writes above the line that is being typed. The size may have changed.
func (s *screen) Write(data []byte) (int, error) {
	if width, height, err := term.GetSize(int(s.out.Fd())); err == nil && width > 0 {
		if err := s.SetSize(width, height); err != nil {
			return 0, err
		}
	}
	return s.Terminal.Write(data)
}

// readLines reads in the background: a read from a terminal cannot be interrupted.
// It ends with the process.
func readLines(ctx context.Context, read func() (string, error)) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := read()
			if err != nil && err != term.ErrPasteIndicator { //nolint:errorlint // neither of the two wraps
				return
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// enter does what a line says, and returns whether more are wanted.
func (t *talk) enter(ctx context.Context, line string) bool {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	send := t.push
	switch word {
	case "":
		return true
	case "/leave", "/quit":
		return false
	case "/help":
		t.app.err.Printf("%s\n", joinHelp)
		return true
	case "/presence":
		t.showPresence(ctx)
		return true
	case "/raw":
		t.raw.Store(!t.raw.Load())
		t.note(dim, "frames are %s", map[bool]string{true: "shown", false: "not shown"}[t.raw.Load()])
		return true
	case "/cast":
		word, rest, _ = strings.Cut(strings.TrimSpace(rest), " ")
		send = t.cast
	}
	if word == "" || strings.HasPrefix(word, "/") {
		t.note(red, "no command %q: /help shows them", strings.TrimSpace(line))
		return true
	}
	payload := json.RawMessage(strings.TrimSpace(rest))
	if len(payload) == 0 {
		payload = json.RawMessage("{}")
	}
	if !json.Valid(payload) {
		t.note(red, "not sent: what follows %s is not JSON", clean(word))
		return true
	}
	send(ctx, word, payload)
	return true
}

package phxtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A Terminal is a pseudo-terminal on which a command runs.
type Terminal struct {
	*Process
	master, slave *os.File
	begin         unix.Termios
}

// StartTerminal starts a command on a pseudo-terminal of this size. What it prints is
// in Stdout.
func (c Command) StartTerminal(t testing.TB, columns, rows uint16) *Terminal {
	t.Helper()
	term, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	size := &unix.Winsize{Col: columns, Row: rows}
	err1 := unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, size)
	begin, err2 := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	term.begin = *begin
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.environment(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, cmd: cmd, stdin: term.master, Stdout: newOutput(t, "the terminal"), Stderr: newOutput(t, "stderr")}
	term.Process = p
	// The slave stays open, so that what the command has printed last is not lost.
	// Closing it when the command has ended is what ends the reader.
	var reader sync.WaitGroup
	reader.Go(func() { p.Stdout.read(term.master) })
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		_ = term.slave.Close()
		reader.Wait()
		_ = term.master.Close()
	})
	return term
}

// openTerminal opens both ends of a new pseudo-terminal.
func openTerminal() (*Terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, master.Close())
	}
	return &Terminal{master: master, slave: slave}, nil
}

// Type types, as a person does: "\r" is the key Enter, "\x03" is Ctrl-C.
func (term *Terminal) Type(keys string) {
	term.t.Helper()
	if _, err := io.WriteString(term.master, keys); err != nil {
		term.t.Fatal(err)
	}
}

// Resize changes the size of the terminal.
func (term *Terminal) Resize(columns, rows uint16) {
	term.t.Helper()
	if err := unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		term.t.Fatal(err)
	}
}

// Restored reports whether the terminal has the settings again that it had when the
// command was started.
func (term *Terminal) Restored() bool {
	term.t.Helper()
	now, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return *now == term.begin
}

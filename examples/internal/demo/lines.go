package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"
)

// A Step is a part of a script: it types a line, and then waits until the program
// prints one.
type Step struct {
	Type  string                                    // "" types nothing
	Do    func(ctx context.Context, app *App) error // is called first, if it is not nil
	Until string                                    // what the line contains; "" does not wait
}

// patience is how long a script waits for a line.
const patience = 15 * time.Second

// Lines returns what is typed, line by line, until the end of the standard input,
// a line "/quit", or the end of ctx. It may be called once.
//
// With a server inside the program, "/down" takes it away, "/down 2s" does so for
// two seconds, and "/up" brings it back. If nothing is typed at all, the script
// does it; Exec returns an error if a line that the script waits for does not come.
func (app *App) Lines(ctx context.Context) iter.Seq[string] {
	return func(yield func(string) bool) {
		lines, failed := app.read(ctx)
		typed := IsTerminal(app.Stdin)
		for {
			select {
			case line, ok := <-lines:
				switch {
				case ok:
					typed = true
					if !app.enter(line, yield) {
						return
					}
					continue
				case !typed && app.Server != nil:
					app.fail(app.play(ctx, yield))
				}
				app.fail(<-failed)
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// read reads lines in the background: a Read from a terminal cannot be interrupted.
func (app *App) read(ctx context.Context) (<-chan string, <-chan error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		defer close(failed)
		in := bufio.NewScanner(app.Stdin)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- in.Err()
	}()
	return lines, failed
}

// enter deals with a line, and returns whether more are wanted.
func (app *App) enter(line string, yield func(string) bool) bool {
	command, arg, _ := strings.Cut(line, " ")
	switch {
	case line == "":
	case line == "/quit":
		return false
	case command == "/down" && app.Server != nil:
		d, err := time.ParseDuration(arg)
		if arg != "" && err != nil {
			app.Printf("! for how long? /down 2s")
			return true
		}
		app.Down(d)
	case line == "/up" && app.Server != nil:
		app.Up()
	default:
		return yield(line)
	}
	return true
}

func (app *App) play(ctx context.Context, yield func(string) bool) error {
	for _, step := range app.script {
		if step.Do != nil {
			if err := step.Do(ctx, app); err != nil {
				return err
			}
		}
		if step.Type != "" {
			app.Printf("> %s", step.Type)
			if !app.enter(step.Type, yield) {
				return nil
			}
		}
		if err := app.waitFor(ctx, step.Until); err != nil {
			return err
		}
	}
	return nil
}

// waitFor waits for a line that contains a text. It skips the lines before it.
func (app *App) waitFor(ctx context.Context, text string) error {
	if text == "" {
		return nil
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		app.mu.Lock()
		changed := app.changed
		for i, line := range app.printed {
			if strings.Contains(line, text) && !strings.HasPrefix(line, "> ") {
				app.printed = app.printed[i+1:]
				app.mu.Unlock()
				return nil
			}
		}
		app.mu.Unlock()
		select {
		case <-changed:
		case <-timeout.C:
			return fmt.Errorf("script: no line with %q within %v", text, patience)
		case <-ctx.Done():
			return fmt.Errorf("script: waiting for %q: %w", text, context.Cause(ctx))
		}
	}
}

func (app *App) fail(err error) {
	app.mu.Lock()
	defer app.mu.Unlock()
	app.failed = errors.Join(app.failed, err)
}

// IsTerminal reports whether somebody may type on, or look at, a stream. The null
// device is a character device, too, but no terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

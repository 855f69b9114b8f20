// Package demo holds what the examples share, so that each of them shows its
// subject and nothing else: the flags, the server inside the program, the lines
// that are typed, and the script that is played when nobody types.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// An Example is a program.
type Example struct {
	// Run is the program. It ends when ctx does, at SIGINT and SIGTERM.
	Run func(ctx context.Context, app *App) error

	// Options configures the server inside the program, and Serve adds channels to
	// it. Neither is used with -url.
	Options phoenixtest.Options
	Serve   func(app *App)

	// Script is played by App.Lines if the standard input is empty and the server is
	// the program's own.
	Script []Step
}

// Config says how to run an Example. The zero value of a field is its default.
type Config struct {
	URL     string    // of a Phoenix server; "" is a server inside the program
	Token   string    // the auth token for it
	Verbose bool      // log every frame on Stderr
	Stdin   io.Reader // nil is empty
	Stdout  io.Writer // nil is nowhere, as for Stderr
	Stderr  io.Writer
}

// An App is a run of an Example. Its methods may be called from any goroutine.
type App struct {
	Config
	Server *phoenixtest.Server // nil with -url
	script []Step

	mu      sync.Mutex
	printed []string      // the lines that the script has not looked at yet
	changed chan struct{} // is closed, and made anew, when a line is printed
	failed  error         // of the script
	outage  *time.Timer   // ends an outage

	ctx        context.Context //nolint:containedctx // the life of what Go runs
	background sync.WaitGroup
}

// Main runs an example with the flags of the command line, which the example may
// have added to, and ends the process.
func Main(ex Example) {
	cfg := Config{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	flag.StringVar(&cfg.URL, "url", "", "`endpoint` of a Phoenix server, such as ws://localhost:4000/socket (default: a server inside the program)")
	flag.StringVar(&cfg.Token, "token", "", "auth `token` for the server of -url")
	flag.BoolVar(&cfg.Verbose, "v", false, "log every frame on the standard error")
	name := filepath.Base(os.Args[0])
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./examples/%s [flags]\n\n", name)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "%s takes only flags, not %q: see -h\n", name, flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := ex.Exec(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// Exec runs the example. It returns the error of Run, and that of the script.
func (ex Example) Exec(ctx context.Context, cfg Config) (err error) {
	if cfg.Stdin == nil {
		cfg.Stdin = strings.NewReader("")
	}
	if cfg.Stdout == nil {
		cfg.Stdout = io.Discard
	}
	if cfg.Stderr == nil {
		cfg.Stderr = io.Discard
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	app := &App{Config: cfg, script: ex.Script, changed: make(chan struct{}), ctx: background}
	if cfg.URL == "" {
		if app.Server, err = phoenixtest.Start(&ex.Options); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, app.Server.Close()) }()
		app.URL = app.Server.URL()
		if ex.Serve != nil {
			ex.Serve(app)
		}
	}
	err = ex.Run(ctx, app)
	cancel()
	app.background.Wait()
	app.endOutage()
	return errors.Join(err, app.failed)
}

// SocketOptions returns options for a socket that connects to app.URL.
func (app *App) SocketOptions() *phoenix.SocketOptions {
	opts := &phoenix.SocketOptions{}
	level := slog.LevelWarn // what goes wrong, such as a server that is not there
	if app.Verbose {
		level = slog.LevelDebug
	}
	if app.Verbose || app.Server == nil {
		opts.Logger = slog.New(slog.NewTextHandler(app.Stderr, &slog.HandlerOptions{Level: level}))
	}
	if app.Token != "" {
		opts.AuthToken = func(context.Context) (string, error) { return app.Token, nil }
	}
	if app.Server != nil {
		// The server is in this process. Nobody needs patience here.
		opts.HTTPClient = app.Server.HTTPClient()
		opts.ReconnectBackoff = phoenix.Steps(20*time.Millisecond, 50*time.Millisecond)
	}
	return opts
}

// Go runs fn in the background. Its ctx ends after Run; Exec waits for it.
func (app *App) Go(fn func(ctx context.Context)) {
	app.background.Go(func() { fn(app.ctx) })
}

// Printf prints a line. It drops control characters: others may have written
// them to play tricks on the terminal.
func (app *App) Printf(format string, args ...any) {
	line := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, fmt.Sprintf(format, args...))
	app.mu.Lock()
	defer app.mu.Unlock()
	fmt.Fprintln(app.Stdout, line)
	app.printed = append(app.printed, line)
	close(app.changed)
	app.changed = make(chan struct{})
}

// Down takes the server away for some time, or for good if d is 0. A second outage
// replaces the first.
func (app *App) Down(d time.Duration) {
	app.endOutage()
	app.mu.Lock()
	defer app.mu.Unlock()
	app.Server.Down()
	if d > 0 {
		app.outage = time.AfterFunc(d, app.Server.Up)
	}
}

// Up brings the server back.
func (app *App) Up() {
	app.endOutage()
	app.Server.Up()
}

func (app *App) endOutage() {
	app.mu.Lock()
	defer app.mu.Unlock()
	if app.outage != nil {
		app.outage.Stop()
		app.outage = nil
	}
}

// Enter connects the socket of a channel and joins the channel, within ten seconds.
// If it fails, it closes the socket.
func Enter(ctx context.Context, channel *phoenix.Channel) (*phoenix.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := channel.Socket().Connect(ctx)
	if err == nil {
		var reply *phoenix.Reply
		if reply, err = channel.Join(ctx); err == nil {
			return reply, nil
		}
	}
	return nil, errors.Join(err, channel.Socket().Close())
}

// Leave ends a socket in peace: it sends what still waits, leaves the channels and
// closes the connection. It does so when ctx is done, too, but within three seconds.
func Leave(ctx context.Context, socket *phoenix.Socket) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return socket.Shutdown(ctx)
}

// Sleep waits for d, or until ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

//go:build unix

// Command cpu measures what a push costs a generator of load, in CPU time: stock k6 with
// frames that a script writes, k6 with this extension, and "phx load". It needs a clone
// of the repository of the client:
//
//	go run ./internal/cpu [-users 100] [-pause 40ms] [-rounds 3]
//
// Each generator is a process of its own, against a server that is a process of its own
// ("phx serve"), one after the other. Users join a topic each, push, await the reply, and
// pause. The CPU time is what the system counted for the generator when it had ended, user
// and system. Each generator runs for 5 and for 20 seconds, and what is printed is the
// difference of the CPU times by the difference of the pushes: starting up, connecting and
// joining cancel out. Others on the machine change it little, since it is no wall time.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var c config
	flag.IntVar(&c.users, "users", 100, "how many users there are")
	flag.DurationVar(&c.pause, "pause", 40*time.Millisecond, "how long a user pauses")
	flag.IntVar(&c.rounds, "rounds", 3, "how often each is measured")
	flag.Parse()
	if err := c.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cpu:", err)
		os.Exit(1)
	}
}

type config struct {
	users  int
	pause  time.Duration
	rounds int

	dir, url string
}

// A generator makes the command of a run.
type generator struct {
	name    string
	command func(c *config, seconds int, result string) *exec.Cmd
	pushes  func(result []byte) (float64, error)
}

func (c *config) run(w io.Writer) (err error) {
	if c.dir, err = os.MkdirTemp("", "cpu-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.dir)) }()
	for name, dir := range map[string]string{"k6phx": "cmd/k6phx", "phx": "../cmd/phx"} {
		build := exec.Command("go", "build", "-o", filepath.Join(c.dir, name), ".") //nolint:gosec,noctx // our own arguments; ends with us
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", dir, err, out)
		}
	}
	stop, err := c.serve()
	if err != nil {
		return err
	}
	defer stop()
	for _, g := range []generator{
		{"k6, hand-written frames", k6("handwritten.js"), counter("pushes")},
		{"k6 with the extension", k6("extension.js"), counter("phoenix_msgs_sent")},
		{"phx load", phxLoad, phxPushes},
	} {
		if err := c.measure(w, g); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// serve starts the server, and returns what ends it.
func (c *config) serve() (stop func(), err error) {
	server := exec.Command(filepath.Join(c.dir, "phx"), "serve", "--addr", "127.0.0.1:0") //nolint:gosec,noctx // our own program; stop ends it
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = server.Process.Signal(syscall.SIGINT) // what it says when it ends is of no interest
		_ = server.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, err
	}
	c.url = strings.TrimSpace(line)
	return stop, nil
}

func (c *config) measure(w io.Writer, g generator) error {
	var costs, rates []float64
	var memory int64
	for range c.rounds {
		const short, long = 5, 20
		few, err := c.once(g, short)
		if err != nil {
			return err
		}
		many, err := c.once(g, long)
		if err != nil {
			return err
		}
		pushes := many.pushes - few.pushes
		costs = append(costs, float64((many.cpu-few.cpu).Microseconds())/pushes)
		rates = append(rates, pushes/(long-short))
		memory = max(memory, many.memory)
	}
	slices.Sort(costs)
	slices.Sort(rates)
	_, err := fmt.Fprintf(w, "%-24s %5.0f µs a push (%.0f to %.0f), %.0f pushes a second, %d MB\n", g.name,
		costs[len(costs)/2], costs[0], costs[len(costs)-1], rates[len(rates)/2], memory>>20)
	return err
}

// A result is what one run came to.
type result struct {
	cpu    time.Duration
	pushes float64
	memory int64 // the most, in bytes
}

func (c *config) once(g generator, seconds int) (result, error) {
	file := filepath.Join(c.dir, "result.json")
	cmd := g.command(c, seconds, file)
	cmd.Env = append(os.Environ(), "K6_AUTO_EXTENSION_RESOLUTION=false", "K6_NO_USAGE_REPORT=true", "K6_ADDRESS=")
	out, err := cmd.Output()
	if err != nil {
		return result{}, err
	}
	text, err := os.ReadFile(file) //nolint:gosec // our own file
	if errors.Is(err, os.ErrNotExist) {
		text, err = out, nil
	}
	if err != nil {
		return result{}, err
	}
	r := result{cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.memory = usage.Maxrss << 10 // of Linux
	}
	r.pushes, err = g.pushes(text)
	return r, errors.Join(err, remove(file))
}

func remove(file string) error {
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func k6(script string) func(*config, int, string) *exec.Cmd {
	return func(c *config, seconds int, result string) *exec.Cmd {
		return exec.Command(filepath.Join(c.dir, "k6phx"), "run", "--quiet", "--summary-export", result, //nolint:gosec,noctx // our own program; it ends by itself
			"-e", "PHX_URL="+c.url, "-e", "USERS="+strconv.Itoa(c.users), "-e", "SECONDS="+strconv.Itoa(seconds),
			"-e", "PAUSE_MS="+strconv.FormatInt(c.pause.Milliseconds(), 10), filepath.Join("internal/cpu", script))
	}
}

// counter reads a counter of k6.
func counter(name string) func([]byte) (float64, error) {
	return func(text []byte) (float64, error) {
		var summary struct {
			Metrics map[string]struct {
				Count float64 `json:"count"`
			} `json:"metrics"`
		}
		err := json.Unmarshal(text, &summary)
		return summary.Metrics[name].Count, err
	}
}

func phxLoad(c *config, seconds int, _ string) *exec.Cmd {
	return exec.Command(filepath.Join(c.dir, "phx"), "load", "room:{{.User}}", "ping", `{"hello":"world"}`, "--json", //nolint:gosec,noctx // our own program; it ends by itself
		"--url", c.url, "--users", strconv.Itoa(c.users), "--think", c.pause.String(), "--duration", strconv.Itoa(seconds)+"s")
}

func phxPushes(text []byte) (float64, error) {
	var report struct {
		Counts struct {
			Pushes float64 `json:"pushes"`
		} `json:"counts"`
	}
	err := json.Unmarshal(text, &report)
	return report.Counts.Pushes, err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/loopback"
)

// childEnv holds the job of a process that this command starts from its own
// executable.
const childEnv = "PHOENIX_BENCH_JOB"

// How long child processes live at most, whatever happens to their parent.
const (
	clientLife = 100 * time.Second
	serverLife = 60 * time.Minute
)

// job is what a child process is to do: serve where it names no contestant, else
// run one.
type job struct {
	PerMessage bool

	Contestant string
	Endpoint   string
	Kind       kind
	Width      int
	Size       int
	Batch      int
	Ops        int
}

func childMain(text string) int {
	var j job
	err := json.Unmarshal([]byte(text), &j)
	switch {
	case err != nil:
	case j.Contestant == "":
		err = serve(j)
	default:
		err = runClient(j)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err) // The exit status says it as well.
		return 1
	}
	return 0
}

// dieAfter ends the process when its time is up, even where a contestant hangs:
// a measured loop has no context that could end it.
func dieAfter(life time.Duration) {
	time.AfterFunc(life, func() {
		_, _ = fmt.Fprintln(os.Stderr, "still running after", life) // The exit status says it as well.
		os.Exit(3)
	})
}

// serve says where it listens and serves until its standard input ends, which
// it does at the latest with the parent.
func serve(j job) error {
	dieAfter(serverLife)
	s, err := loopback.Start(context.Background(), loopback.Options{PerMessage: j.PerMessage})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.Stdout, s.Endpoint()); err != nil {
		return errors.Join(err, s.Close())
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

func runClient(j job) error {
	dieAfter(clientLife)
	ctx, cancel := context.WithTimeout(context.Background(), clientLife)
	defer cancel()
	var (
		s   sample
		err error
	)
	switch j.Kind {
	case memory:
		s, err = measureMemory(ctx, j)
	case ramp:
		s, err = measureRamp(ctx, j)
	default:
		s, err = measureSpeed(ctx, j)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

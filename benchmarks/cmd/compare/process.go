package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/host"
)

// grace is how much longer than itself a child is given before it is killed.
const grace = 10 * time.Second

// command prepares a child process with a job.
func command(ctx context.Context, j job, pinned bool) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe) // #nosec G204 -- this very program
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	if pinned {
		// More Ps than CPUs would only switch threads.
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	}
	return cmd, nil
}

// start starts a child on a CPU, or anywhere where cpu is negative.
func start(cmd *exec.Cmd, cpu int) error {
	if cpu < 0 {
		return cmd.Start()
	}
	return host.OnCPU(cpu, cmd.Start)
}

// server is a running child that serves, or one of somebody else's without a cmd.
type server struct {
	endpoint string
	pid      int // 0 where it is not known
	cmd      *exec.Cmd
	stdin    io.Closer
	stderr   *bytes.Buffer
}

func startServer(ctx context.Context, perMessage bool, cpu int) (*server, error) {
	cmd, err := command(ctx, job{PerMessage: perMessage}, cpu >= 0)
	if err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, stderr: new(bytes.Buffer)}
	cmd.Stderr = s.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := start(cmd, cpu); err != nil {
		return nil, err
	}
	s.pid = cmd.Process.Pid
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server did not start: %w", err), s.stop())
	}
	s.endpoint = strings.TrimSpace(line)
	return s, nil
}

// stop ends the server and returns what it found wrong with its clients.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	closeErr := s.stdin.Close()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the server: %w: %s", err, bytes.TrimSpace(s.stderr.Bytes()))
	}
	return closeErr
}

// client runs a contestant in a child and returns what it measured, and what
// the whole process used of the CPU.
func client(ctx context.Context, j job, cpu int) (sample, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, clientLife+grace)
	defer cancel()
	cmd, err := command(ctx, j, cpu >= 0)
	if err != nil {
		return sample{}, 0, err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := start(cmd, cpu); err != nil {
		return sample{}, 0, err
	}
	if err := cmd.Wait(); err != nil {
		return sample{}, 0, fmt.Errorf("%s: %w: %s", j.Contestant, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var s sample
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		return sample{}, 0, fmt.Errorf("%s: what it printed: %w", j.Contestant, err)
	}
	return s, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// A pingCommand is the flags of phx ping.
type pingCommand struct {
	conn  *connection
	count int
	every time.Duration
}

func newPingCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ping",
		Short: "Measure round trips of heartbeats",
		Long: `ping connects, sends heartbeats and measures the time until the reply. A heartbeat goes
through the whole connection to the Phoenix socket, and touches no channel. At the end it
prints the percentiles.`,
		Args: noArgs,
	}
	p := &pingCommand{conn: newConnection(a, cmd)}
	cmd.Flags().IntVar(&p.count, "count", 5, "`N` heartbeats; 0 goes on until Ctrl-C")
	cmd.Flags().DurationVar(&p.every, "every", 200*time.Millisecond, "time from a reply to the next heartbeat")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) }
	return cmd
}

// A pingJSON is what phx ping --json prints.
type pingJSON struct {
	Seq       int     `json:"seq"`
	Ms        float64 `json:"ms"`
	Transport string  `json:"transport"`
	Vsn       string  `json:"vsn"`
}

// A pingSummaryJSON is the last line of phx ping --json.
type pingSummaryJSON struct {
	Count     int     `json:"count"`
	Min       float64 `json:"min_ms"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Connect   float64 `json:"connect_ms"`
	Transport string  `json:"transport"`
	Vsn       string  `json:"vsn"`
}

func (p *pingCommand) run(ctx context.Context) error {
	if p.count < 0 {
		return usage("--count must not be negative")
	}
	begin := time.Now()
	s, err := p.conn.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	connect := time.Since(begin)
	transport, vsn := s.transport(), p.conn.version()

	var times []time.Duration
	var failed error
	for seq := 1; p.count == 0 || seq <= p.count; seq++ {
		if seq > 1 && sleep(ctx, p.every) != nil {
			break
		}
		pingCtx, cancel := context.WithTimeout(ctx, p.conn.timeout)
		rtt, err := s.socket.Ping(pingCtx)
		cancel()
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			failed = err
			break
		}
		times = append(times, rtt)
		if err := p.printOne(pingJSON{Seq: seq, Ms: ms(rtt), Transport: transport, Vsn: vsn}); err != nil {
			return err
		}
	}
	if len(times) > 0 {
		if err := p.printSummary(times, connect, transport, vsn); err != nil {
			return err
		}
	}
	return failed
}

func (p *pingCommand) printOne(line pingJSON) error {
	out := p.conn.app.out
	if p.conn.json {
		return out.JSON(line)
	}
	out.Printf("heartbeat %d: %.3f ms\n", line.Seq, line.Ms)
	return nil
}

func (p *pingCommand) printSummary(times []time.Duration, connect time.Duration, transport, vsn string) error {
	out := p.conn.app.out
	slices.Sort(times)
	line := pingSummaryJSON{
		Count: len(times), Min: ms(times[0]), P50: ms(percentile(times, 50)), P90: ms(percentile(times, 90)),
		P99: ms(percentile(times, 99)), Max: ms(times[len(times)-1]), Connect: ms(connect),
		Transport: transport, Vsn: vsn,
	}
	if p.conn.json {
		return out.JSON(line)
	}
	out.Printf("%d heartbeats over %s, vsn %s; connected in %.3f ms\n", line.Count, transport, vsn, line.Connect)
	out.Printf("min %.3f  p50 %.3f  p90 %.3f  p99 %.3f  max %.3f ms\n", line.Min, line.P50, line.P90, line.P99, line.Max)
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// percentile returns the smallest of the sorted durations that at least p per cent do
// not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	i := (len(sorted)*p + 99) / 100
	return sorted[max(i, 1)-1]
}

// version returns the version of the protocol.
func (c *connection) version() string {
	if c.vsn == "" {
		return "2.0.0"
	}
	return c.vsn
}

package load

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
)

// A Scenario is a load test: what a user does, how many there are, and for how
// long. Only Endpoint and User are needed. The zero value of each other field means
// its default. Run copies the struct.
type Scenario struct {
	// Name stands over the report. Default: none.
	Name string
	// Endpoint is the socket on the server, such as ws://localhost:4000/socket.
	Endpoint string
	// User is what a virtual user does: connect, join, push, wait, leave. What it
	// does again and again stands in a call of [User.Each], which paces it. When it
	// returns, the user's socket is closed. Then, and after an error, the user
	// begins again, as a new one, while the load lasts; in the arrivals model it
	// does not. User is called on many goroutines at once.
	User func(ctx context.Context, u *User) error

	// Model is Closed, Open or Arrivals. Default: Open with a Rate, Arrivals with
	// Arrivals, otherwise Closed.
	Model Model
	// Users is how many there are. In the closed model each of them waits for its
	// own replies, so that a slow server gets less load. Default: 1; with Arrivals,
	// the most that may be there at the same time, by default 10,000, or what the
	// limit of open files allows.
	Users int
	// Ramp is the time over which the users begin. In the closed model it is a
	// part of Duration. Default: 1 s for each 500 users.
	Ramp time.Duration
	// Think is how long a user of the closed model, or an arrival, waits after each
	// turn, and Jitter the part of it that is random: with 0.5 it waits 0.5 to 1.5
	// times as long. Default: no pause, no jitter.
	Think  time.Duration
	Jitter float64

	// Rate makes the model an open one: so many turns begin in a second, spread
	// over the users, whether or not earlier ones have ended. Latencies count from
	// when a turn should have begun. Default: the closed model.
	Rate float64
	// Arrivals makes another open model: so many users arrive in a second. Each runs
	// User once, and its Each makes Turns turns. Latencies of connecting count from
	// when the user should have arrived. Default: the closed model.
	Arrivals float64
	// Turns is how many turns an arrival makes. Default: 1.
	Turns int

	// Poisson lets turns, or users, begin at random times around the rate, as people
	// do who do not know of each other, and not evenly spaced. So several come at the
	// same moment, and have to wait for each other. The times are the same in every
	// run. Default: evenly spaced.
	Poisson bool

	// Stages change the load over time: the users of the closed model, the Rate or
	// the Arrivals. They replace Duration. If Users, or the rate, is set too, the
	// first stage begins with it, otherwise with nothing. Default: a steady load.
	Stages []Stage
	// Duration is how long the load lasts. Default: 10 s.
	Duration time.Duration
	// Grace is how long to wait at the end, for replies and messages that are on
	// their way. Default: 5 s. Negative: no time.
	Grace time.Duration

	// Storms are times, since the begin of the load, at which all connections are
	// cut at once.
	Storms []time.Duration
	// MaxTurns is how many turns may be under way at the same time in an open
	// model. Beyond that, turns are not made, and count as errors. Default: 100,000.
	MaxTurns int

	// Socket returns the options of a user's socket, such as its token. Nil means
	// all defaults. Its HTTPClient is replaced by that of the scenario.
	Socket func(u *User) *phoenix.SocketOptions
	// HTTPClient makes the connections. Its Transport has to be an *http.Transport
	// or nil. Default: Go's defaults, with the proxy of the environment.
	HTTPClient *http.Client
	// Slow is how long a slow user waits before each read from the network; see
	// SlowShare, the part of the users, from 0 to 1, that are slow. The server then
	// has to keep what these do not read.
	Slow      time.Duration
	SlowShare float64
	// Connections is how many connections to the server a user has at a time, for the
	// check of the limit of open files: 2 with long polling. Default: 1.
	Connections int
	// FirstUser is the number of the first user. Give each of several machines
	// another one, so that their users differ. Default: 1.
	FirstUser int

	// Interval is the time between two samples of the course. Default: 1 s, or
	// longer if that makes more than 600 samples.
	Interval time.Duration
	// Progress is called about once a second, from one goroutine; the test waits
	// for nothing meanwhile. Default: none.
	Progress func(Progress)
	// InProcess says that the server runs in this process, which the report then
	// mentions.
	InProcess bool

	// probe measures the generator; tests in virtual time replace it.
	probe func() usage
	_     struct{}
}

// A Model says what the load is made of.
type Model string

// The models.
const (
	// Closed: each user waits for its replies, and pushes again.
	Closed Model = "closed"
	// Open: turns begin at their time, whether or not earlier ones have ended.
	Open Model = "open"
	// Arrivals: users arrive at their time, and leave.
	Arrivals Model = "arrivals"
)

func (s *Scenario) model() Model {
	switch {
	case s.Model != "":
		return s.Model
	case s.Rate > 0:
		return Open
	case s.Arrivals > 0:
		return Arrivals
	default:
		return Closed
	}
}

const (
	defaultDuration = 10 * time.Second
	defaultGrace    = 5 * time.Second
	defaultMaxTurns = 100_000
	defaultCrowd    = 10_000
	rampPerSecond   = 500
	maxSamples      = 600
	minInterval     = 10 * time.Millisecond
	maxUsers        = 10_000_000
	maxRate         = 10_000_000
	maxArrivals     = 1_000_000
	maxLength       = 366 * 24 * time.Hour
)

// Check returns what is wrong with the scenario, or nil. Run begins with it.
func (s *Scenario) Check() error {
	bad := func(field, why string) error { return fmt.Errorf("load: Scenario.%s %s", field, why) }
	finite := func(f float64) bool { return f >= 0 && !math.IsInf(f, 1) }
	switch {
	case s.Endpoint == "":
		return bad("Endpoint", `is missing: for example "ws://localhost:4000/socket"`)
	case s.User == nil:
		return bad("User", "is missing: it is what each user does")
	case s.Model != "" && s.Model != Closed && s.Model != Open && s.Model != Arrivals:
		return bad("Model", `must be "closed", "open" or "arrivals"`)
	case s.Users < 0 || s.Users > maxUsers:
		return bad("Users", fmt.Sprintf("must be between 0 and %d", maxUsers))
	case !finite(s.Rate), !finite(s.Arrivals):
		return bad("Rate and Scenario.Arrivals", "must be numbers that are not negative")
	case s.Rate > 0 && s.Arrivals > 0:
		return bad("Rate and Scenario.Arrivals", "exclude each other: choose one model")
	case s.model() == Open && s.Rate == 0 && len(s.Stages) == 0:
		return bad("Rate", "is missing: the open model needs it, or Stages")
	case s.model() == Arrivals && s.Arrivals == 0 && len(s.Stages) == 0:
		return bad("Arrivals", "is missing: the arrivals model needs it, or Stages")
	case s.model() == Closed && (s.Rate > 0 || s.Arrivals > 0), s.model() == Open && s.Arrivals > 0, s.model() == Arrivals && s.Rate > 0:
		return bad("Model", "contradicts Rate or Arrivals")
	case s.Rate > maxRate || s.Arrivals > maxArrivals:
		return bad("Rate and Scenario.Arrivals", "are too high: at most 10,000,000 turns and 1,000,000 arrivals a second")
	case s.Ramp < 0 || s.Think < 0 || s.Duration < 0 || s.Interval < 0 || s.Slow < 0:
		return bad("Ramp, Think, Duration, Interval and Slow", "must not be negative")
	case !(s.Jitter >= 0 && s.Jitter <= 1):
		return bad("Jitter", "must be between 0 and 1")
	case !(s.SlowShare >= 0 && s.SlowShare <= 1):
		return bad("SlowShare", "must be between 0 and 1")
	case s.Turns < 0 || s.MaxTurns < 0:
		return bad("Turns and Scenario.MaxTurns", "must not be negative")
	case s.FirstUser < 0:
		return bad("FirstUser", "must not be negative")
	case s.Connections < 0:
		return bad("Connections", "must not be negative")
	case s.Poisson && s.model() == Closed:
		return bad("Poisson", "is of the open model and of arrivals: in the closed one users push when they can")
	}
	if err := s.checkCourse(); err != nil {
		return err
	}
	if c := s.HTTPClient; c != nil && c.Transport != nil {
		if _, ok := c.Transport.(*http.Transport); !ok {
			return bad("HTTPClient", "has a Transport that is not an *http.Transport")
		}
	}
	_, err := phoenix.NewSocket(s.Endpoint, nil)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// checkCourse looks at what happens when.
func (s *Scenario) checkCourse() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("load: Scenario."+field+" "+format, args...)
	}
	most := map[Model]float64{Closed: maxUsers, Open: maxRate, Arrivals: maxArrivals}[s.model()]
	length := float64(s.Duration)
	for i, stage := range s.Stages {
		if i == 0 {
			length = 0
		}
		length += float64(stage.For)
		switch {
		case stage.For <= 0 || !(stage.To >= 0):
			return bad("Stages", "has a stage %d that does not last, or without a target", i+1)
		case stage.To > most:
			return bad("Stages", "has a target above %.0f, in the %s model", most, s.model())
		}
	}
	if length > float64(maxLength) {
		return bad("Duration and Scenario.Stages", "must not last longer than a year")
	}
	if s.Interval > 0 && (s.Interval < minInterval || s.Length()/s.Interval > 100*maxSamples) {
		return bad("Interval", "must be at least %v, and not make more than %d samples", minInterval, 100*maxSamples)
	}
	for _, at := range s.Storms {
		if at < 0 || at >= s.Length() {
			return bad("Storms", "has a time, %v, that is not within the load, which lasts %v", at, s.Length())
		}
	}
	return nil
}

// withDefaults fills in the defaults.
func (s Scenario) withDefaults() Scenario {
	model := s.model()
	if s.Duration == 0 {
		s.Duration = defaultDuration
	}
	if s.Grace == 0 {
		s.Grace = defaultGrace
	}
	s.Grace = max(s.Grace, 0)
	if s.MaxTurns == 0 {
		s.MaxTurns = defaultMaxTurns
	}
	if s.Turns == 0 {
		s.Turns = 1
	}
	if s.FirstUser == 0 {
		s.FirstUser = 1
	}
	if s.Connections == 0 {
		s.Connections = 1
	}
	if s.Users == 0 && (model != Closed || len(s.Stages) == 0) {
		s.Users = 1
		if model == Arrivals {
			s.Users = s.crowd()
		}
	}
	if s.Ramp == 0 && model != Arrivals {
		s.Ramp = min(time.Duration(s.Users)*time.Second/rampPerSecond, s.Duration/2)
	}
	if s.Interval == 0 {
		s.Interval = time.Second
		if length := s.load().length; length/maxSamples > s.Interval {
			s.Interval = (length / maxSamples).Round(time.Second) + time.Second
		}
	}
	return s
}

// load returns the course of the load.
func (s *Scenario) load() profile {
	switch s.model() {
	case Open:
		return steady(s.Rate, s.Stages, s.Duration)
	case Arrivals:
		return steady(s.Arrivals, s.Stages, s.Duration)
	case Closed:
	}
	if len(s.Stages) > 0 {
		return newProfile(float64(s.Users), s.Stages)
	}
	ramp := min(s.Ramp, s.Duration)
	stages := []Stage{{s.Duration - ramp, float64(s.Users)}}
	if ramp > 0 {
		stages = append([]Stage{{ramp, float64(s.Users)}}, stages...)
		return newProfile(0, stages)
	}
	return newProfile(float64(s.Users), stages)
}

func steady(rate float64, stages []Stage, d time.Duration) profile {
	if len(stages) > 0 {
		return newProfile(rate, stages)
	}
	return newProfile(rate, []Stage{{d, rate}})
}

// MostUsers returns how many users may be connected at the same time.
func (s *Scenario) MostUsers() int {
	full := s.withDefaults()
	if full.model() == Closed {
		return int(math.Ceil(full.load().most()))
	}
	return full.Users
}

// Length returns how long the load lasts, without connecting and waiting.
func (s *Scenario) Length() time.Duration {
	full := s.withDefaults()
	return full.load().length
}

// String says in one line whom the scenario loads, with how much and for how long.
func (s *Scenario) String() string {
	full := s.withDefaults()
	endpoint, _ := where(s.Endpoint)
	return endpoint + ": " + full.describe()
}

// describe does, of a scenario with defaults.
func (s *Scenario) describe() string {
	var b strings.Builder
	load := s.load()
	switch s.model() {
	case Closed:
		fmt.Fprintf(&b, "%s users", number(load.most()))
		if load.most() == 1 {
			b.Reset()
			b.WriteString("1 user")
		}
		if s.Think > 0 {
			fmt.Fprintf(&b, " that pause for %v between turns", s.Think)
		} else {
			b.WriteString(" without a pause")
		}
	case Open:
		fmt.Fprintf(&b, "%s turns a second by %s", number(load.most()), plural(s.Users, "user"))
	case Arrivals:
		fmt.Fprintf(&b, "%s users arriving a second, with %s each, at most %d at a time", number(load.most()), plural(s.Turns, "turn"), s.Users)
	}
	if s.Poisson {
		b.WriteString(", at random times")
	}
	fmt.Fprintf(&b, ", for %v", load.length)
	if n := len(s.Stages); n > 0 {
		fmt.Fprintf(&b, " in %s", plural(n, "stage"))
	}
	if s.SlowShare > 0 && s.Slow > 0 {
		fmt.Fprintf(&b, "; %s %% of them read slowly", number(s.SlowShare*100))
	}
	if n := len(s.Storms); n > 0 {
		times := "once"
		if n > 1 {
			times = fmt.Sprintf("%d times", n)
		}
		fmt.Fprintf(&b, "; all connections cut %s", times)
	}
	return b.String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func number(f float64) string { return fmt.Sprintf("%.6g", f) }

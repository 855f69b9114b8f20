package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/phxgo/phoenix/load/plan"
	"github.com/phxgo/phoenix/load/report"
)

// loadFlags are the flags of phx load. Those that are given replace what the scenario
// file, or the demo, says.
type loadFlags struct {
	flags  *pflag.FlagSet
	failIf []string
	html   string

	file, name              string
	dryRun, presence        bool
	poisson                 bool
	demo                    bool // nothing was said: the demo's own plan
	users, turns, firstUser int
	channels, binary        int
	rate, arrivals          float64
	duration, ramp, think   time.Duration
	grace                   time.Duration
	jitter, listeners, slow string
	stages, topics          []string
	pushes                  []string
	listen, broadcast, cast []string
	storms                  []time.Duration
	join                    string
	token                   plan.Token
}

func newLoadFlags(set *pflag.FlagSet) *loadFlags {
	f := &loadFlags{flags: set}
	set.StringVarP(&f.file, "file", "f", "", "scenario `FILE` in YAML")
	set.StringVar(&f.name, "name", "", "`TEXT` that stands over the report")
	set.IntVar(&f.users, "users", 0, "`N` users (default 1)")
	set.Float64Var(&f.rate, "rate", 0, "`N` pushes a second, spread over the users: an open model")
	set.Float64Var(&f.arrivals, "arrivals", 0, "`N` users arrive in a second, and leave after --turns: an open model")
	set.BoolVar(&f.poisson, "poisson", false, "let pushes or arrivals begin at random times, not evenly spaced")
	set.IntVar(&f.turns, "turns", 0, "`N` pushes of a user that arrives (default 1)")
	set.DurationVar(&f.duration, "duration", 0, "how long the load lasts (default 10s)")
	set.StringArrayVar(&f.stages, "stage", nil, "`TIME:N`, such as 30s:1000: go to 1000 users, pushes or arrivals within 30 s; may be repeated, replaces --duration")
	set.DurationVar(&f.ramp, "ramp", 0, "time over which the users begin (default 1s for each 500)")
	set.DurationVar(&f.think, "think", 0, "pause of a user between two pushes, in the closed model")
	set.StringVar(&f.jitter, "jitter", "", "`PART` of the pause that is random, such as 50%")
	set.DurationVar(&f.grace, "grace", 0, "how long to wait at the end for what is on its way (default 5s)")
	set.IntVar(&f.channels, "channels", 0, "`N` channels of each user (default 1); the topic should have {{.Channel}}")
	set.StringArrayVar(&f.topics, "topic", nil, "`TOPIC` to join, in addition to the argument; may be repeated")
	set.StringVar(&f.join, "join", "", "params of the join, in `JSON`")
	set.BoolVar(&f.presence, "presence", false, "follow the presences")
	set.StringArrayVar(&f.pushes, "push", nil, "one of a mix: `'EVENT*WEIGHT PAYLOAD'`; may be repeated")
	set.IntVar(&f.binary, "binary", 0, "push so many `BYTES` of binary data instead of a payload")
	set.StringArrayVar(&f.broadcast, "broadcast", nil, "`EVENT` that the server broadcasts under the same name: measure its delivery")
	set.StringArrayVar(&f.cast, "cast", nil, "`EVENT` that the server does not reply to")
	set.StringArrayVar(&f.listen, "listen", nil, "`EVENT` to listen to")
	set.StringVar(&f.listeners, "listeners", "", "`PART` of the users that only listen, such as 90%")
	set.StringVar(&f.slow, "slow", "", "`PART:DELAY`, such as 10%:50ms: so many users wait before each read from the network")
	set.DurationSliceVar(&f.storms, "storm", nil, "`TIME` after the begin at which all connections are cut; may be repeated")
	set.Lookup("storm").DefValue = "" // none
	set.StringVar(&f.token.SecretEnv, "token-secret-env", "", "mint a token for each user, with the secret_key_base in this environment `VARIABLE`")
	set.StringVar(&f.token.Salt, "token-salt", "", "`SALT` of the tokens (default \"user socket\")")
	set.StringVar(&f.token.As, "token-as", "", "`PLACE` of the tokens: auth, param or join (default param)")
	set.IntVar(&f.firstUser, "first-user", 0, "`NUMBER` of the first user: another one on each machine (default 1)")
	set.BoolVar(&f.dryRun, "dry-run", false, "only say what would be loaded, with how much and for how long")
	f.outputFlags(set)
	return f
}

// outputFlags are those about the report.
func (f *loadFlags) outputFlags(set *pflag.FlagSet) {
	set.StringVar(&f.html, "html", "", "write the report as a page to this `FILE`")
	set.StringArrayVar(&f.failIf, "fail-if", nil, "exit with 1 under this `CONDITION`, such as 'push.p99 > 50ms', 'errors > 0.1%' or 'lost > 0'; may be repeated")
}

// plan makes a plan of the flags, the file and the arguments.
func (f *loadFlags) plan(args []string) ([]*report.Threshold, *plan.Plan, error) {
	p, err := f.basis(args)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(f.setLoad(p), f.setUsers(p, args)); err != nil {
		return nil, nil, &usageError{err}
	}
	thresholds, err := parseThresholds(slices.Concat(p.FailIf, f.failIf))
	return thresholds, p, err
}

// basis is the file, or the demo if nothing says what to do.
func (f *loadFlags) basis(args []string) (*plan.Plan, error) {
	if f.file != "" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		p, err := plan.Read(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, &usageError{fmt.Errorf("--file %s: %w", f.file, err)}
		}
		return p, nil
	}
	if len(args) > 0 || len(f.topics) > 0 || len(f.pushes) > 0 || f.flags.Changed("url") {
		return &plan.Plan{}, nil
	}
	f.demo = true
	p := plan.Demo()
	if f.flags.Changed("think") || f.flags.Changed("arrivals") {
		p.Rate = 0 // another model
	}
	return p, nil
}

// setLoad sets how much is loaded.
func (f *loadFlags) setLoad(p *plan.Plan) error {
	set(f, "name", &p.Name, f.name)
	set(f, "users", &p.Users, f.users)
	set(f, "rate", &p.Rate, f.rate)
	set(f, "arrivals", &p.Arrivals, f.arrivals)
	set(f, "turns", &p.Turns, f.turns)
	set(f, "poisson", &p.Poisson, f.poisson)
	set(f, "duration", &p.Duration, f.duration)
	set(f, "ramp", &p.Ramp, f.ramp)
	set(f, "think", &p.Think, f.think)
	set(f, "grace", &p.Grace, f.grace)
	// Zero is a default in a plan, and no time at all on the command line.
	if f.flags.Changed("grace") && f.grace == 0 {
		p.Grace = -1
	}
	if f.flags.Changed("ramp") && f.ramp == 0 {
		p.Ramp = 1
	}
	set(f, "storm", &p.Storms, f.storms)
	set(f, "first-user", &p.FirstUser, f.firstUser)
	if err := f.positive(); err != nil {
		return err
	}
	if f.flags.Changed("stage") {
		p.Stages = nil
		for _, text := range f.stages {
			stage, err := plan.ParseStage(text)
			if err != nil {
				return fmt.Errorf("--stage: %w", err)
			}
			p.Stages = append(p.Stages, stage)
		}
	}
	return errors.Join(f.share("jitter", f.jitter, &p.Jitter), f.share("listeners", f.listeners, &p.Listeners), f.setSlow(p))
}

// positive refuses a zero, which would mean the default: somebody who wants no load at
// all would get a lot.
func (f *loadFlags) positive() error {
	for flag, good := range map[string]bool{
		"users": f.users > 0, "rate": f.rate > 0, "arrivals": f.arrivals > 0, "turns": f.turns > 0, "duration": f.duration > 0,
		"channels": f.channels > 0, "binary": f.binary > 0, "first-user": f.firstUser > 0,
	} {
		if f.flags.Changed(flag) && !good {
			return fmt.Errorf("--%s must be more than 0", flag)
		}
	}
	return nil
}

// set sets a field if its flag was given.
func set[T any](f *loadFlags, flag string, field *T, value T) {
	if f.flags.Changed(flag) {
		*field = value
	}
}

func (f *loadFlags) share(flag, text string, field *plan.Share) error {
	if !f.flags.Changed(flag) {
		return nil
	}
	share, err := plan.ParseShare(text)
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	*field = share
	return nil
}

func (f *loadFlags) setSlow(p *plan.Plan) error {
	if !f.flags.Changed("slow") {
		return nil
	}
	part, delay, ok := strings.Cut(f.slow, ":")
	share, err1 := plan.ParseShare(part)
	d, err2 := time.ParseDuration(delay)
	if !ok || err1 != nil || err2 != nil || d <= 0 {
		return fmt.Errorf("--slow: %q is not of the form 10%%:50ms", f.slow)
	}
	p.Slow = plan.Slow{Share: share, Delay: d}
	return nil
}

// setUsers sets what each user does.
func (f *loadFlags) setUsers(p *plan.Plan, args []string) error {
	topics := slices.Clone(f.topics)
	if len(args) > 0 {
		topics = append([]string{args[0]}, topics...)
	}
	if len(topics) > 0 {
		p.Channels = nil
		for _, topic := range topics {
			p.Channels = append(p.Channels, plan.Channel{Topic: topic})
		}
	}
	if len(p.Channels) == 0 && f.file == "" {
		return errors.New("which topic? For example: phx load room:lobby ping --url …")
	}
	for i := range p.Channels {
		c := &p.Channels[i]
		set(f, "channels", &c.Count, f.channels)
		set(f, "presence", &c.Presence, f.presence)
		set(f, "listen", &c.Listen, f.listen)
		if f.flags.Changed("join") {
			c.Params = f.join
		}
	}
	if f.token.SecretEnv != "" {
		p.Token = &f.token
		if p.Token.Salt == "" {
			p.Token.Salt = "user socket"
		}
	}
	return f.setPushes(p, args)
}

func (f *loadFlags) setPushes(p *plan.Plan, args []string) error {
	var pushes []plan.Push
	if len(args) > 1 {
		one := plan.Push{Event: args[1]}
		if len(args) > 2 {
			one.Payload = args[2]
		}
		pushes = append(pushes, one)
	}
	for _, text := range f.pushes {
		one, err := parsePush(text)
		if err != nil {
			return err
		}
		pushes = append(pushes, one)
	}
	if len(pushes) > 0 {
		p.Pushes = pushes
	}
	for i := range p.Pushes {
		one := &p.Pushes[i]
		if slices.Contains(f.broadcast, one.Event) {
			one.Broadcast = one.Event
		}
		if slices.Contains(f.cast, one.Event) {
			one.Reply = new(bool)
		}
		if f.binary > 0 && one.Payload == nil {
			one.Binary = f.binary
		}
	}
	for _, event := range slices.Concat(f.broadcast, f.cast) {
		if !slices.ContainsFunc(p.Pushes, func(one plan.Push) bool { return one.Event == event }) {
			return fmt.Errorf("--broadcast or --cast names the event %q, which no push has", event)
		}
	}
	return nil
}

// parsePush reads EVENT*WEIGHT PAYLOAD. The error does not repeat the payload.
func parsePush(text string) (plan.Push, error) {
	event, payload, _ := strings.Cut(strings.TrimSpace(text), " ")
	one := plan.Push{Event: event}
	if name, weight, ok := strings.Cut(event, "*"); ok {
		f, err := strconv.ParseFloat(weight, 64)
		if err != nil || f <= 0 {
			return plan.Push{}, fmt.Errorf("--push: %q is not of the form EVENT*WEIGHT", event)
		}
		one.Event, one.Weight = name, f
	}
	if one.Event == "" {
		return plan.Push{}, errors.New("--push: want 'EVENT*WEIGHT PAYLOAD'")
	}
	if payload = strings.TrimSpace(payload); payload != "" {
		if !strings.Contains(payload, "{{") && !json.Valid([]byte(payload)) {
			return plan.Push{}, fmt.Errorf("--push: the payload of %q is not JSON", one.Event)
		}
		one.Payload = payload
	}
	return one, nil
}

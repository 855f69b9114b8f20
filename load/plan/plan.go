package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/phxgo/phoenix/load"
)

// A Plan is a load test as a scenario file describes it. The zero value of each field
// means the default, which is that of load.Scenario where that has the same field.
type Plan struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`

	Users    int             `yaml:"users"`
	Ramp     time.Duration   `yaml:"ramp"`
	Think    time.Duration   `yaml:"think"`
	Jitter   Share           `yaml:"jitter"`
	Model    load.Model      `yaml:"model"`
	Rate     float64         `yaml:"rate"`
	Arrivals float64         `yaml:"arrivals"`
	Turns    int             `yaml:"turns"`
	Poisson  bool            `yaml:"poisson"`
	Stages   []Stage         `yaml:"stages"`
	Duration time.Duration   `yaml:"duration"`
	Grace    time.Duration   `yaml:"grace"`
	Storms   []time.Duration `yaml:"storms"`
	MaxTurns int             `yaml:"max_turns"`
	Slow     Slow            `yaml:"slow"`
	// FirstUser is the number of the first user; see load.Scenario.
	FirstUser int `yaml:"first_user"`

	// Params are those of the connection. Values are templates.
	Params map[string]string `yaml:"params"`
	Token  *Token            `yaml:"token"`
	// Channels are what each user joins.
	Channels []Channel `yaml:"channels"`
	// Pushes are a mix: each turn makes one of them, by weight, on one of the user's
	// channels.
	Pushes []Push `yaml:"pushes"`
	// Listeners is the part of the users that only listen.
	Listeners Share `yaml:"listeners"`
	// FailIf are thresholds; see report.ParseThreshold.
	FailIf []string `yaml:"fail_if"`
}

// Slow are users that read slowly from the network.
type Slow struct {
	Share Share         `yaml:"share"`
	Delay time.Duration `yaml:"delay"` // before each read
}

// A Token is minted for each user, with package token.
type Token struct {
	// SecretEnv is the environment variable with the secret_key_base. The secret
	// itself does not belong into a file.
	SecretEnv string        `yaml:"secret_env"`
	Salt      string        `yaml:"salt"`
	MaxAge    time.Duration `yaml:"max_age"`
	// Data is a template for what the token carries. Default: the number of the user,
	// as an integer. Integer makes an integer of the text.
	Data    string `yaml:"data"`
	Integer bool   `yaml:"integer"`
	// As says where it goes: "auth" for the auth token of Phoenix 1.8, "param" for a
	// param of the connection, "join" for the params of each join. Default: param.
	As string `yaml:"as"`
	// Name is that of the param. Default: "token".
	Name string `yaml:"name"`
}

// A Channel is a topic, or several, that each user joins.
type Channel struct {
	Topic    string   `yaml:"topic"` // a template, such as room:{{.User}}
	Count    int      `yaml:"count"` // how many; the template has their .Channel
	Params   any      `yaml:"params"`
	Listen   []string `yaml:"listen"`
	Presence bool     `yaml:"presence"`
}

// A Push is one of a mix.
type Push struct {
	Event string `yaml:"event"`
	// Weight is how often it is chosen, compared to the others. Default: 1.
	Weight float64 `yaml:"weight"`
	// Payload is an object whose texts are templates, or a text: a template of JSON.
	Payload any `yaml:"payload"`
	// Binary is a number of bytes, which are sent instead of a payload.
	Binary int `yaml:"binary"`
	// Reply is false if the server does not reply to the event.
	Reply *bool `yaml:"reply"`
	// Broadcast is the event with which the server broadcasts it to the topic. The
	// users then listen to it, and deliveries are measured.
	Broadcast string `yaml:"broadcast"`
}

// A Stage is written 30s:1000: within 30 s the load goes to 1000.
type Stage load.Stage

// ParseStage reads a stage.
func ParseStage(text string) (Stage, error) {
	wrong := fmt.Errorf("%q is no stage such as 30s:1000", text)
	d, to, ok := strings.Cut(text, ":")
	if !ok {
		return Stage{}, wrong
	}
	length, err1 := time.ParseDuration(strings.TrimSpace(d))
	target, err2 := strconv.ParseFloat(strings.TrimSpace(to), 64)
	if err1 != nil || err2 != nil || length <= 0 || !(target >= 0) {
		return Stage{}, wrong
	}
	return Stage{For: length, To: target}, nil
}

// UnmarshalYAML reads a stage.
func (s *Stage) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	var err error
	*s, err = ParseStage(text)
	return err
}

// A Share is a part of a whole, from 0 to 1. It is written as 10% or 0.1.
type Share float64

// ParseShare reads a share.
func ParseShare(text string) (Share, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return 0, fmt.Errorf("%q is no part such as 10%% or 0.1", text)
	}
	return Share(f), nil
}

// UnmarshalYAML reads a share.
func (s *Share) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	var err error
	*s, err = ParseShare(text)
	return err
}

// maxFile is how many bytes a scenario file may have.
const maxFile = 1 << 20

// Read reads a scenario file. Fields that it does not know are an error.
func Read(from io.Reader) (*Plan, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load: read the scenario: %w", err)
	}
	if len(data) > maxFile {
		return nil, errors.New("load: read the scenario: it has more than 1 MiB")
	}
	var p Plan
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&p); err != nil && !errors.Is(err, io.EOF) {
		// Without the lines around it, which may have tokens.
		return nil, fmt.Errorf("load: read the scenario: %s", yaml.FormatError(err, false, false))
	}
	return &p, nil
}

// Demo is the plan that shows what a load test is, on the demo server of phx: rooms of
// ten that ping, echo binary data, shout and wait for slow replies.
func Demo() *Plan {
	no := false
	return &Plan{
		Name: "Demo", Users: 100, Rate: 1000, Duration: 10 * time.Second, Ramp: time.Second,
		Channels: []Channel{{Topic: "room:{{.Group 10}}", Params: map[string]any{"name": "user {{.User}}"}, Presence: true}},
		Pushes: []Push{
			{Event: "ping", Weight: 60, Payload: map[string]any{"n": "{{.Turn}}"}},
			{Event: "echo", Weight: 25, Binary: 256},
			{Event: "shout", Weight: 10, Reply: &no, Broadcast: "shout", Payload: map[string]any{"body": "hello from {{.User}}"}},
			{Event: "slow", Weight: 5, Payload: map[string]any{"ms": 20}},
		},
	}
}

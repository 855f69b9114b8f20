//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/internal/conformance"
)

// scenarioTimeout bounds what waits without a limit of its own.
const scenarioTimeout = 30 * time.Second

func TestNode(t *testing.T) {
	t.Parallel()
	play(t, newStage(t, ""), startNode)
}

func TestChromium(t *testing.T) {
	t.Parallel()
	play(t, newStage(t, ""), startChromium)
}

// TestGo has the client of this module do what phoenix.js does in the others.
func TestGo(t *testing.T) {
	t.Parallel()
	wasm := buildWasm(t)
	t.Run("Node", func(t *testing.T) {
		t.Parallel()
		play(t, newStage(t, wasm), startGoInNode)
	})
	t.Run("Chromium", func(t *testing.T) {
		t.Parallel()
		play(t, newStage(t, wasm), startGoInChromium)
	})
}

// play runs every scenario over every transport that it is for, each with a
// server of its own.
func play(t *testing.T, s *stage, start func(*testing.T, *stage) *inspector) {
	js := start(t, s)
	var scenarios []struct {
		Name       string   `json:"name"`
		Transports []string `json:"transports"`
	}
	if err := js.evaluate(t.Context(), `interop.list()`, &scenarios); err != nil {
		t.Fatal(err)
	}
	if len(scenarios) == 0 {
		t.Fatal("there are no scenarios")
	}
	for _, transport := range []string{"websocket", "longpoll"} {
		t.Run(transport, func(t *testing.T) {
			for _, scenario := range scenarios {
				if slices.Contains(scenario.Transports, transport) {
					t.Run(scenario.Name, func(t *testing.T) { stageScenario(t, s, js, scenario.Name, transport) })
				}
			}
		})
	}
}

// config is what a scenario gets to know.
type config struct {
	Endpoint  string `json:"endpoint"`
	Stage     string `json:"stage"`
	Transport string `json:"transport"`
	User      string `json:"user"`
	Token     string `json:"token"`
}

func stageScenario(t *testing.T, s *stage, js *inspector, name, transport string) {
	srv := s.open(t)
	const user = "the user of the token"
	token, err := conformance.SignUser(user, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal([]any{name, config{
		Endpoint: srv.URL(), Stage: s.URL, Transport: transport, User: user, Token: token,
	}})
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Error string   `json:"error"`
		Log   []string `json:"log"`
	}
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTimeout)
	defer cancel()
	if err := js.evaluate(ctx, fmt.Sprintf("interop.run(...%s)", args), &result); err != nil {
		t.Fatal(err)
	}
	if result.Error != "" {
		t.Errorf("%s\nthe log of the client:\n%s", result.Error, strings.Join(result.Log, "\n"))
	}
}

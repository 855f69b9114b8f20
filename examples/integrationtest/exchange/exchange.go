// Package exchange is a stand-in for the exchange that a desk trades at: what the
// desk has to know of it, on top of phoenixtest. A team writes such a thing once,
// for all its tests.
package exchange

import (
	"maps"
	"sync"

	"github.com/phxgo/phoenix/phoenixtest"
)

// Topic is the topic of the market.
const Topic = "market:stocks"

// An Exchange has prices, takes orders, and tells who is there. Its methods are
// safe for concurrent use.
type Exchange struct {
	srv *phoenixtest.Server

	mu     sync.Mutex
	prices map[string]int // in cents
	bought map[string]int
	closed string // why nobody may join
}

// New opens an exchange on a server.
func New(srv *phoenixtest.Server, prices map[string]int) *Exchange {
	e := &Exchange{srv: srv, prices: maps.Clone(prices), bought: map[string]int{}}
	srv.Handle(Topic, phoenixtest.Channel{
		Join:   e.join,
		Events: phoenixtest.Events{"buy": e.buy},
	})
	return e
}

// SetPrice sets a price, and tells everybody.
func (e *Exchange) SetPrice(symbol string, cents int) {
	// The lock is held, so that the prices that a desk gets after its join, and
	// those that are told, come in the right order.
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prices[symbol] = cents
	e.srv.Broadcast(Topic, "tick", map[string]any{"symbol": symbol, "cents": cents})
}

// CloseMarket has joins refused, for a reason.
func (e *Exchange) CloseMarket(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = reason
}

// Bought returns how many of a stock were bought.
func (e *Exchange) Bought(symbol string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bought[symbol]
}

func (e *Exchange) join(c *phoenixtest.Context, params phoenixtest.Payload) phoenixtest.Reply {
	e.mu.Lock()
	defer e.mu.Unlock()
	var who struct{ Name string }
	if err := params.Decode(&who); err != nil || who.Name == "" {
		return refuse("say who you are")
	}
	if e.closed != "" {
		return refuse(e.closed)
	}
	c.Send(func(c *phoenixtest.Context) {
		if err := c.Track(who.Name, map[string]any{}); err != nil {
			panic(err)
		}
		c.PresenceState()
		e.mu.Lock()
		defer e.mu.Unlock()
		c.Push("prices", map[string]any{"prices": e.prices})
	})
	return phoenixtest.OK(nil)
}

func (e *Exchange) buy(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	e.mu.Lock()
	defer e.mu.Unlock()
	var order struct {
		Symbol string `json:"symbol"`
		Count  int    `json:"count"`
	}
	if err := payload.Decode(&order); err != nil || order.Count < 1 {
		return refuse("no such order")
	}
	cents, ok := e.prices[order.Symbol]
	if !ok {
		return refuse("no such stock")
	}
	e.bought[order.Symbol] += order.Count
	return phoenixtest.OK(map[string]any{"symbol": order.Symbol, "count": order.Count, "cents": cents})
}

func refuse(reason string) phoenixtest.Reply {
	return phoenixtest.Error(map[string]string{"reason": reason})
}

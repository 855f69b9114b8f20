package main

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/phxgo/phoenix/phoenixtest"
)

const topic = "room:lobby"

// A person is who joins: what a client says of itself in the payload of its join,
// and what others see as its presence.
type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Hue  int    `json:"hue"`  // its colour, in degrees
	Kind string `json:"kind"` // "browser" or "go"
}

// A message is what somebody said. Its number tells a client that comes back
// what it has missed; the nonce is the sender's, and tells the server that it has
// got a message before, when a client that is not sure repeats it.
type message struct {
	Seq   int    `json:"seq"`
	At    int64  `json:"at"` // Unix time in milliseconds
	From  person `json:"from"`
	Body  string `json:"body"`
	Nonce string `json:"nonce"`
}

const (
	maxName    = 32
	maxBody    = 2000
	maxHistory = 200
)

// A room is a Phoenix server with one room, which remembers what was said last.
type room struct {
	*phoenixtest.Server

	mu      sync.Mutex
	seq     int
	history []message
	outage  *time.Timer // not nil while the server is away
	closed  bool
}

// serveRoom opens the room on a server.
func serveRoom(srv *phoenixtest.Server) *room {
	r := &room{Server: srv}
	srv.Handle(topic, phoenixtest.Channel{
		Join: r.join,
		Events: phoenixtest.Events{
			"say":    r.say,
			"typing": typing,
			"rename": rename,
		},
	})
	return r
}

// close ends an outage, and any more of them.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.outage != nil {
		r.outage.Stop()
	}
}

// join is the channel's join/3.
func (r *room) join(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var params struct {
		person
		Seen int `json:"seen"` // the number of the last message that it has
	}
	if err := payload.Decode(&params); err != nil {
		return refuse("the payload is not as it should be")
	}
	me := params.person
	if me.Name = strings.TrimSpace(me.Name); me.ID == "" || me.Name == "" {
		return refuse("say who you are")
	}
	if len(me.ID) > maxName || utf8.RuneCountInString(me.Name) > maxName {
		return refuse("that name is too long")
	}
	c.Assign("me", me)
	// After the join, when the channel gets what is said: from the list of what was
	// said before and from then on, nothing can be missing.
	c.Send(func(c *phoenixtest.Context) {
		if err := c.Track(me.ID, me); err != nil {
			panic(err)
		}
		c.PresenceState()
		c.Push("history", map[string]any{"messages": r.since(params.Seen)})
	})
	return phoenixtest.OK(nil)
}

func refuse(reason string) phoenixtest.Reply {
	return phoenixtest.Error(map[string]string{"reason": reason})
}

func me(c *phoenixtest.Context) person {
	p, _ := c.Get("me").(person)
	return p
}

// say takes a message, and replies with it as the others get it.
func (r *room) say(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var said struct {
		Body  string `json:"body"`
		Nonce string `json:"nonce"`
	}
	if err := payload.Decode(&said); err != nil {
		return refuse("the payload is not as it should be")
	}
	body := strings.TrimSpace(said.Body)
	if body == "" || utf8.RuneCountInString(body) > maxBody {
		return refuse("that is too short or too long")
	}

	// The lock is kept for the broadcast, so that all get it in the same order.
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.known(me(c).ID, said.Nonce); ok {
		return phoenixtest.OK(m)
	}
	r.seq++
	m := message{Seq: r.seq, At: time.Now().UnixMilli(), From: me(c), Body: body, Nonce: said.Nonce}
	r.history = append(r.history, m)
	if len(r.history) > maxHistory {
		r.history = r.history[1:]
	}
	c.BroadcastFrom("message", m)
	return phoenixtest.OK(m)
}

// known returns a message that the server has got before. r.mu is locked.
func (r *room) known(id, nonce string) (message, bool) {
	for _, m := range r.history {
		if nonce != "" && m.Nonce == nonce && m.From.ID == id {
			return m, true
		}
	}
	return message{}, false
}

// since returns what was said after a message.
func (r *room) since(seq int) []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	missed := []message{}
	for _, m := range r.history {
		if m.Seq > seq {
			missed = append(missed, m)
		}
	}
	return missed
}

// typing tells the others that somebody has begun to type, or has stopped.
func typing(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var t struct {
		On bool `json:"on"`
	}
	if payload.Decode(&t) == nil {
		c.BroadcastFrom("typing", map[string]any{"id": me(c).ID, "on": t.On})
	}
	return phoenixtest.NoReply()
}

func rename(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var as struct {
		Name string `json:"name"`
	}
	if err := payload.Decode(&as); err != nil {
		return refuse("the payload is not as it should be")
	}
	p := me(c)
	if p.Name = strings.TrimSpace(as.Name); p.Name == "" || utf8.RuneCountInString(p.Name) > maxName {
		return refuse("that name is too short or too long")
	}
	c.Assign("me", p)
	if err := c.Update(p.ID, p); err != nil {
		return refuse(err.Error())
	}
	return phoenixtest.OK(p)
}

// cut cuts all connections, and takes the server away for a while.
func (r *room) cut(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage != nil || r.closed {
		return
	}
	r.Down()
	r.outage = time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.closed {
			return
		}
		r.outage = nil
		r.Up()
	})
}

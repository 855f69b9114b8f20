package phoenix_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// clubChannel tracks everybody who joins, under a key of their own choice, and then
// whatever they ask for.
func clubChannel() phoenixtest.Channel {
	type request struct {
		Key  string         `json:"key"`
		Meta map[string]any `json:"meta"`
	}
	handle := func(do func(*phoenixtest.Context, request) error) func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
		return func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
			var r request
			if err := p.Decode(&r); err != nil {
				return phoenixtest.Crash()
			}
			if err := do(c, r); err != nil {
				return phoenixtest.Error(map[string]string{"reason": err.Error()})
			}
			return phoenixtest.OK(nil)
		}
	}
	return phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
			var r request
			if err := p.Decode(&r); err != nil {
				return phoenixtest.Crash()
			}
			c.Send(func(c *phoenixtest.Context) {
				if r.Key != "" {
					if err := c.Track(r.Key, r.Meta); err != nil {
						panic(err)
					}
				}
				c.PresenceState()
			})
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"track":   handle(func(c *phoenixtest.Context, r request) error { return c.Track(r.Key, r.Meta) }),
			"update":  handle(func(c *phoenixtest.Context, r request) error { return c.Update(r.Key, r.Meta) }),
			"untrack": handle(func(c *phoenixtest.Context, r request) error { c.Untrack(r.Key); return nil }),
			"crash":   func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.Crash() },
		},
	}
}

// A member is a client of the club.
type member struct {
	socket   *phoenix.Socket
	channel  *phoenix.Channel
	presence presence
	replay   *presenceReplay
	done     chan struct{}
}

func canonical(data []byte) string {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		panic(err)
	}
	return text(v)
}

func (m *member) clubList() map[string]string {
	all := map[string]string{}
	for e := range m.presence.All() {
		var metas []string
		for _, m := range e.Metas {
			metas = append(metas, canonical(m.Raw))
		}
		slices.Sort(metas)
		all[e.Key] = strings.Join(metas, " ") + canonical(e.Fields.Bytes())
	}
	return all
}

// TestPresenceOfThreeClients has three clients track, update, untrack, crash, drop
// and return, over each transport and serializer. Whenever it is quiet, the lists of
// all are that of the server.
func TestPresenceOfThreeClients(t *testing.T) {
	t.Parallel()
	for seed := range 20 {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			opts := &phoenixtest.Options{
				FetchPresences: func(topic string, all map[string]phoenixtest.Presence) map[string]phoenixtest.Presence {
					for key, p := range all {
						p.Fields = map[string]any{"user": strings.ToUpper(key) + "@" + topic}
						all[key] = p
					}
					return all
				},
			}
			harness.InBubble(t, opts, func(t *testing.T, h *harness.Harness) {
				rnd := rand.New(rand.NewPCG(29, uint64(seed)))
				h.Polls = seed&1 > 0
				serializer := phoenix.V2()
				if seed&2 > 0 {
					serializer = phoenix.V1()
				}
				h.Srv.Handle("club", clubChannel())
				var members []*member
				for i := range 3 {
					s := h.Connected(&phoenix.SocketOptions{Serializer: serializer})
					members = append(members, newMember(h, s, map[string]any{"key": fmt.Sprintf("k%d", i%2), "meta": person{i}}))
				}
				for range 12 {
					for range rnd.IntN(8) {
						m := members[rnd.IntN(len(members))]
						disturbIn(h, rnd, m)
						if rnd.IntN(3) == 0 {
							synctest.Wait()
						}
					}
					h.Srv.Up()
					time.Sleep(time.Minute + 30*time.Second) // whoever was cut is noticed, and everybody back
					synctest.Wait()
					want := text(clubListOf(h))
					for i, m := range members {
						if got := text(m.clubList()); got != want || m.presence.Status() != phoenix.PresenceSynced {
							t.Fatalf("client %d is %v and has\n%s\nthe server has\n%s", i, m.presence.Status(), got, want)
						}
						if got, want := text(m.replay.list), text(modelOf(t, m.presence.Snapshot().All())); got != want {
							t.Fatalf("the changes of client %d give\n%s\nits list is\n%s", i, got, want)
						}
					}
				}
				for _, m := range members {
					m.presence.Close()
					<-m.done
				}
			})
		})
	}
}

// A severedConn is a connection whose end the server does not hear of.
type severedConn struct{ net.Conn }

func (c severedConn) Close() error { return c.SetDeadline(time.Unix(1, 0)) }

// TestPresenceHasGhosts shows what becomes of an old meta whose connection broke
// without a word: it stays until the server notices, next to the new one.
func TestPresenceHasGhosts(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("club", clubChannel())
		transport := &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := h.Srv.DialContext(ctx, network, addr)
				return severedConn{conn}, err
			},
		}
		t.Cleanup(transport.CloseIdleConnections)
		ann := newMember(h, h.Connected(&phoenix.SocketOptions{HTTPClient: &http.Client{Transport: transport}}),
			map[string]any{"key": "ann", "meta": person{1}})
		conn := h.Accept()
		bob := newMember(h, h.Connected(nil), nil)
		metas := func(want int, status phoenix.PresenceStatus) {
			t.Helper()
			synctest.Wait()
			e, _ := ann.presence.Snapshot().Get("ann")
			if len(e.Metas) != want || ann.presence.Status() != status {
				t.Errorf("at %v ann is %v and has herself %d times, want %v and %d", h.Now(), ann.presence.Status(), len(e.Metas), status, want)
			}
		}
		metas(1, phoenix.PresenceSynced)
		conn.Blackhole()
		h.SleepUntil(40*time.Second - 1)
		metas(1, phoenix.PresenceSynced) // nobody knows
		h.SleepUntil(40 * time.Second)   // the heartbeat of 30 s was not answered
		metas(1, phoenix.PresenceStale)
		h.SleepUntil(41 * time.Second)
		metas(2, phoenix.PresenceSynced) // back, and her ghost is there
		if e, _ := bob.presence.Snapshot().Get("ann"); len(e.Metas) != 2 {
			t.Errorf("bob has ann %d times", len(e.Metas))
		}
		h.SleepUntil(90 * time.Second)
		conn.Cut() // nothing came in on it for 60 s
		metas(1, phoenix.PresenceSynced)
	})
}

func newMember(h *harness.Harness, s *phoenix.Socket, params any) *member {
	h.T.Helper()
	m := &member{socket: s, replay: &presenceReplay{modelState{}}, done: make(chan struct{})}
	m.channel = h.Channel(m.socket, "club", &phoenix.ChannelOptions{Params: params})
	m.presence = phoenix.NewPresence[person](m.channel, nil)
	changes := m.presence.Changes(h.T.Context())
	go func() {
		defer close(m.done)
		for c := range changes {
			m.replay.apply(h.T, c)
		}
	}()
	if _, err := m.channel.Join(h.T.Context()); err != nil {
		h.T.Fatal(err)
	}
	return m
}

// clubListOf returns who the server says is present, in an order that does not depend
// on who asks.
func clubListOf(h *harness.Harness) map[string]string {
	all := map[string]string{}
	for key, p := range h.Srv.Presences("club") {
		var metas []string
		for _, m := range p.Metas {
			metas = append(metas, canonical(m.Bytes()))
		}
		slices.Sort(metas)
		all[key] = strings.Join(metas, " ") + canonical([]byte(text(p.Fields)))
	}
	return all
}

// disturbIn has something happen to a client.
func disturbIn(h *harness.Harness, rnd *rand.Rand, m *member) {
	key := fmt.Sprintf("k%d", rnd.IntN(4))
	request := map[string]any{"key": key, "meta": person{rnd.IntN(100)}}
	switch rnd.IntN(12) {
	case 0, 1, 2:
		m.channel.PushAsync(h.T.Context(), "track", request)
	case 3, 4, 5:
		m.channel.PushAsync(h.T.Context(), "update", request)
	case 6, 7:
		m.channel.PushAsync(h.T.Context(), "untrack", request)
	case 8:
		m.channel.PushAsync(h.T.Context(), "crash", nil)
	case 9: // the connection breaks, and the server notices it at once, or late
		for _, conn := range h.Srv.Conns() {
			if rnd.IntN(2) == 0 {
				conn.Cut()
				break
			}
			if rnd.IntN(4) == 0 {
				conn.Blackhole()
				break
			}
		}
	case 10:
		h.Srv.Down()
	case 11:
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		h.Srv.Up()
	}
}

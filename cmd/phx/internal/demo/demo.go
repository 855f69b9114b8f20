// Package demo is the server that phx starts where it is given none: a fake Phoenix
// with a small application.
package demo

import (
	"strings"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

// Help says what the application does.
const Help = `topics:
  room:*     a room. It keeps presences: join with {"name":"ann"}
  clock:*    pushes "tick" every second, or every {"every_ms":100}
  private:*  refuses the join, except with {"token":"sesame"}
events of a room:
  ping, echo  reply with the payload
  shout       is broadcast to the room, without a reply
  slow        replies after a second, or after {"ms":100}
  status      sets the status of one's presence: {"status":"away"}
  binary      replies with binary data: 16 bytes, or {"size":100}
  error       replies with an error
  crash       crashes the channel
  stop        ends the channel`

// Start starts the server, on a free port of the loopback interface if addr is "".
// The caller must close it.
func Start(addr string) (*phoenixtest.Server, error) {
	server, err := phoenixtest.Start(&phoenixtest.Options{
		Network:   phoenixtest.TCP,
		Addr:      addr,
		AuthToken: true,
		Compress:  true,
		// Nobody looks at it, and a load test would fill it.
		FrameLog: -1,
	})
	if err != nil {
		return nil, err
	}
	server.Handle("room:*", room())
	server.Handle("clock:*", phoenixtest.Channel{Join: joinClock})
	server.Handle("private:*", phoenixtest.Channel{Join: joinPrivate, Events: events()})
	return server, nil
}

// keyName is the assign with the key of one's presence.
const keyName = "name"

func room() phoenixtest.Channel {
	return phoenixtest.Channel{Join: joinRoom, Events: events(), Default: unknown}
}

func joinRoom(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	params := struct{ Name string }{Name: "guest"}
	if err := payload.Decode(&params); err != nil {
		return refuse("the params are no object with a name")
	}
	c.Assign(keyName, params.Name)
	c.Send(func(c *phoenixtest.Context) {
		if err := c.Track(params.Name, map[string]string{"status": "online"}); err != nil {
			panic(err)
		}
		c.PresenceState()
	})
	return phoenixtest.OK(nil)
}

func joinPrivate(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var params struct{ Token string }
	if payload.Decode(&params) != nil || params.Token != "sesame" {
		return refuse("unauthorized")
	}
	return phoenixtest.OK(nil)
}

// joinClock starts the ticks. They come from the channel's own process, one Send
// after the other, so that the channel can end in between.
func joinClock(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	every, err := duration(payload, "every_ms", time.Second)
	if err != nil || every < time.Millisecond {
		return refuse("every_ms is no number of milliseconds")
	}
	n := 0
	var tick func(c *phoenixtest.Context)
	tick = func(c *phoenixtest.Context) {
		c.Sleep(every)
		if c.Context().Err() != nil {
			return
		}
		n++
		c.Push("tick", map[string]int{"n": n})
		c.Send(tick)
	}
	c.Send(tick)
	return phoenixtest.OK(nil)
}

func events() phoenixtest.Events {
	return phoenixtest.Events{
		"ping": echo,
		"echo": echo,
		"shout": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
			c.Broadcast("shout", payload)
			return phoenixtest.NoReply()
		},
		"slow":   slow,
		"status": status,
		"binary": binary,
		"error": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return refuse("you asked for it")
		},
		"crash": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.Crash() },
		"stop": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.StopWith(phoenixtest.OK(nil))
		},
	}
}

func echo(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	return phoenixtest.OK(payload)
}

// unknown answers where a Phoenix channel without such a clause would crash: somebody
// who tries out the program shall be told.
func unknown(_ *phoenixtest.Context, event string, _ phoenixtest.Payload) phoenixtest.Reply {
	return refuse("no event " + strings.ToValidUTF8(event, "?"))
}

// slow answers late, and lets the channel handle other events meanwhile.
func slow(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	wait, err := duration(payload, "ms", time.Second)
	if err != nil {
		return refuse("ms is no number of milliseconds")
	}
	ref := c.Ref()
	go func() {
		c.Sleep(wait)
		c.Reply(ref, phoenixtest.OK(map[string]int64{"ms": wait.Milliseconds()}))
	}()
	return phoenixtest.NoReply()
}

func status(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var want struct{ Status string }
	name, ok := c.Get(keyName).(string)
	if payload.Decode(&want) != nil || want.Status == "" || !ok {
		return refuse("which status?")
	}
	if err := c.Update(name, map[string]string{"status": want.Status}); err != nil {
		return refuse("you are not present")
	}
	return phoenixtest.OK(nil)
}

// mostBytes is the most that the event "binary" replies with.
const mostBytes = 1 << 20

func binary(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	want := struct{ Size int }{Size: 16}
	if payload.Decode(&want) != nil || want.Size < 0 || want.Size > mostBytes {
		return refuse("size is no number of bytes up to 1048576")
	}
	data := make(phoenixtest.Binary, want.Size)
	for i := range data {
		data[i] = byte(i)
	}
	return phoenixtest.OK(data)
}

func refuse(reason string) phoenixtest.Reply {
	return phoenixtest.Error(map[string]string{"reason": reason})
}

// longest is the longest time that anybody may ask for.
const longest = time.Minute

// duration returns a number of milliseconds from a payload.
func duration(payload phoenixtest.Payload, key string, standard time.Duration) (time.Duration, error) {
	var params map[string]any
	if err := payload.Decode(&params); err != nil {
		return 0, err
	}
	ms, ok := params[key].(float64)
	if !ok {
		return standard, nil
	}
	return min(max(time.Duration(ms)*time.Millisecond, 0), longest), nil
}

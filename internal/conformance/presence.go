package conformance

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

const assignTrack = "track"

// trackIn tracks the key that a join asks for, after the join. A key that has no
// string crashes the join.
func trackIn(c *process, p payload) {
	if p.IsBinary() {
		return
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(p.Bytes()))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return
	}
	v, ok := m["track"]
	if !ok {
		return
	}
	key, ok := textOf(v)
	if !ok {
		panic("the key of a presence has no string")
	}
	c.Send(func(c *process) {
		c.Assign(assignTrack, key)
		if err := c.Track(key, map[string]any{"online_at": time.Now().Unix(), "state": "new"}); err != nil {
			panic(err)
		}
		c.PresenceState()
	})
}

func presences() phoenixtest.Events {
	return phoenixtest.Events{
		"update": func(c *process, p payload) reply {
			key, ok := c.Get(assignTrack).(string)
			if !ok || c.Update(key, p) != nil {
				return phoenixtest.Crash()
			}
			return phoenixtest.OK(nil)
		},
		"untrack": func(c *process, _ payload) reply {
			key, ok := c.Get(assignTrack).(string)
			if !ok {
				return phoenixtest.Crash()
			}
			c.Untrack(key)
			return phoenixtest.OK(nil)
		},
	}
}
